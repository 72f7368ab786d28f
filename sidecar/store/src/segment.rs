//! A segment: a sealed, immutable file of consecutive blocks, with what is needed to find one in it.
//!
//! Byte layout (`docs/strand-format.md` has all of it): magic and strand id, compressed runs of a few
//! hundred blocks ("frames"), the hash index, the key index with its filter, a footer, a trailer with
//! a digest over all before it. Nothing in a segment ever changes; it is read with positioned reads.

mod bloom;
mod follow;
mod format;
mod found;
mod gone;
mod index;
mod kept;
mod read;
mod search;
mod trust;
mod verify;
mod write;

pub(crate) use bloom::Bloom;
pub(crate) use follow::follow_run;
pub(crate) use format::{Footer, Frame, HASH_ENTRY_LEN, SEGMENT_MAX_BLOCKS, Segment};
pub(crate) use gone::Gone;
pub(crate) use read::OpenSegment;
pub(crate) use verify::{Digest, identity_in};
pub(crate) use write::SegmentWriter;
