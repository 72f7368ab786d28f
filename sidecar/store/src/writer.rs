//! The one writer: takes all that waits, links it, writes it, syncs once, then answers every caller.
//!
//! Order: write one frame to the journal and sync it, take the changes into the tail's index, publish to readers,
//! acknowledge. A commit that fails poisons the store; nothing is acknowledged after that. Sealing runs beside it: the
//! writer hands over what is to be sealed and catalogues the result. So does the keeper, which writes the ledger.

mod checkpoint;
mod commit;
mod draft;
mod keyed;
mod legacy;
mod listing;
mod pause;
mod phase;
mod prune;
mod room;
mod strip;
mod take;
mod tasks;
mod thread;

pub(crate) use pause::SealPause;
pub(crate) use thread::Writer;
