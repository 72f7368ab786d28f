//! The journal: where a commit becomes durable. A folder of preallocated files, written with zeros when they are made,
//! so that a commit's one write and one sync change no metadata of the file.
//!
//! A commit is one frame. Its runs stay here, and only here on the disk, until they lie in a catalogued segment. A file
//! is used again, under a new generation, once none of its runs is needed and a synced ledger covers its frames.

pub(crate) mod entry;
mod file;
pub(crate) mod frame;
mod keeper;
mod read;
mod supply;
mod write;

pub(crate) use file::{FoundFile, Identity, KeptFile, files_in};
pub(crate) use keeper::{Checkpoint, Chore, Keeper, Line};
pub(crate) use read::{FoundFrame, Frames, scan};
pub(crate) use write::{Journal, Place};
