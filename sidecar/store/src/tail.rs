//! The tail's index on disk, in sled, which `engine` alone names: the catalogue of segments, the floor, the phase, the
//! lanes' marks and dead letters. It is never the only copy of anything: journal and ledger hold the same, and opening
//! brings it in line with them or makes it anew. So a failure of sled ends the use of the index, not that of the store.
//!
//! What sled 0.34 does not do is done here: its `flush` does not sync the file, so [`Tail::flush`] does, and a panic of
//! its is an error.

mod align;
mod earlier;
mod engine;
mod index;
mod key;

pub(crate) use index::Tail;
