//! The one writer: takes all that waits, links it, writes it, syncs once, then answers every caller.
//!
//! Order: put what changes into the tail, commit (flush and sync), publish to readers, acknowledge. A commit
//! that fails poisons the store; nothing is acknowledged after that. Sealing runs beside it: the writer
//! hands over what is to be sealed and catalogues the result.

mod commit;
mod draft;
mod keyed;
mod pause;
mod phase;
mod prune;
mod thread;

pub(crate) use pause::SealPause;
pub(crate) use thread::Writer;
