//! Which records are versions of which key: sorted files beside the segments, and a sorted list of the tail in memory.
//!
//! The files are a cache, made of segments and never the only copy of anything. Each covers a range of seqs that begins
//! and ends where segments do; the ranges do not overlap. A segment has its own file when it is sealed, and eight
//! neighbours of a level become one of the next. What a file says is checked by checksum when it is read, and by
//! the key in the block that it leads to; a file that does not hold is dropped and made again.

mod cover;
mod entry;
mod file;
mod format;
mod list;
mod merge;
mod scan;
mod shelf;
mod write;

pub(crate) use cover::{Piece, Wanted};
pub(crate) use entry::{Entry, KeyHash};
pub(crate) use file::VersionFile;
pub(crate) use list::TailVersions;
pub(crate) use merge::{Merge, STEP_BYTES, Step};
pub(crate) use scan::{Source, newest_of};
pub(crate) use shelf::Versions;
pub(crate) use write::{Range, write_file};
