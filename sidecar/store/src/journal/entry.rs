//! The entries of a frame's body: runs, and changes of what is small.
//!
//! A run's entry has the tag 1 and holds the seq of its first block (u64), the packed time of the block before it
//! (u64), and the run as [`crate::tail_run`] packs it.

use boboyka_strand::Seq;

use crate::change::{Change, ENTRY_HEAD_LEN, put_entry, take_entry};
use crate::error::Unreadable;
use crate::tail_run::TailRun;

const RUN: u8 = 1;

/// A run as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RawRun {
    pub(crate) first_seq: Seq,
    /// Packed time of the block before the first.
    pub(crate) hlc_before: u64,
    pub(crate) bytes: Vec<u8>,
}

/// One entry.
pub(crate) enum Entry {
    Run(RawRun),
    Change(Box<Change>),
}

/// How long a run is as an entry.
pub(crate) fn run_len(run: &TailRun) -> usize {
    ENTRY_HEAD_LEN + 16 + run.bytes.len()
}

/// Adds a run as an entry.
pub(crate) fn put_run(run: &TailRun, out: &mut Vec<u8>) -> Result<(), Unreadable> {
    let first = run.first_seq().to_be_bytes();
    let before = run.before.hlc.get().to_be_bytes();
    put_entry(RUN, &[&first, &before, &run.bytes], out)
}

/// The entries of a body, in order.
pub(crate) fn read(mut body: &[u8]) -> Result<Vec<Entry>, Unreadable> {
    let mut entries = Vec::new();
    while !body.is_empty() {
        let (tag, bytes) = take_entry(&mut body)?;
        entries.push(match tag {
            RUN => Entry::Run(read_run(bytes)?),
            _ => Entry::Change(Box::new(Change::read(tag, bytes)?)),
        });
    }
    Ok(entries)
}

fn read_run(bytes: &[u8]) -> Result<RawRun, Unreadable> {
    let cut_short = || Unreadable {
        what: "run",
        why: "its entry is cut short".to_owned(),
    };
    let (first, rest) = bytes.split_first_chunk().ok_or_else(cut_short)?;
    let (before, run) = rest.split_first_chunk().ok_or_else(cut_short)?;
    Ok(RawRun {
        first_seq: Seq::from_be_bytes(*first),
        hlc_before: u64::from_be_bytes(*before),
        bytes: run.to_vec(),
    })
}
