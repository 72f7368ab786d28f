//! Which head a question for the past means.

use std::sync::Arc;

use boboyka_strand::{Hash, Head, Hlc, Seq};

use crate::error::ReadError;
use crate::memory::Memory;
use crate::read;
use crate::segment::{Frame, Segment};
use crate::shared::Shared;
use crate::tail_run::TailRun;

/// A moment of a strand, as a reader names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AsOf {
    /// The newest block.
    Now,
    /// The newest block that was appended at this time or before, in milliseconds since 1970.
    Ms(u64),
    /// The block with this seq.
    Seq(Seq),
    /// The block with this hash.
    Hash(Hash),
}

/// Why a moment is none of a strand.
#[derive(Debug, thiserror::Error)]
pub enum MomentError {
    /// The time is still to come.
    #[error(
        "is in the future: it is {now_ms} now, and later records may still come before that time"
    )]
    Future {
        /// The clock, in milliseconds since 1970.
        now_ms: u64,
    },
    /// The strand is shorter.
    #[error("is beyond the newest record, which has seq {head}")]
    Beyond {
        /// The newest block.
        head: Seq,
    },
    /// Seqs begin with 1.
    #[error("must be a seq from 1")]
    Zero,
    /// No block has the hash.
    #[error("names a record that this strand does not have")]
    Unknown,
    /// It was pruned or lost, or can't be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// The head at a moment.
pub(crate) fn resolve(shared: &Shared, as_of: AsOf, now_ms: u64) -> Result<Head, MomentError> {
    let (head, floor) = {
        let state = shared.state();
        (state.memory().head(), state.floor().head)
    };
    let found = match as_of {
        AsOf::Now => head,
        AsOf::Ms(ms) if ms > now_ms.max(head.hlc.ms()) => {
            return Err(MomentError::Future { now_ms });
        }
        AsOf::Ms(ms) if ms >= head.hlc.ms() => head,
        AsOf::Ms(ms) => behind_lost(shared, at_time(shared, ms)?, ms),
        AsOf::Seq(0) => return Err(MomentError::Zero),
        AsOf::Seq(seq) if seq > head.seq => return Err(MomentError::Beyond { head: head.seq }),
        AsOf::Seq(seq) if seq == head.seq => head,
        AsOf::Seq(seq) => {
            let block = read::block(shared, seq)?;
            Head::of(&block.ok_or(MomentError::Unknown)?)
        }
        AsOf::Hash(hash) if hash == head.hash => head,
        AsOf::Hash(hash) => {
            let block = read::block_by_hash(shared, &hash)?;
            Head::of(&block.ok_or(MomentError::Unknown)?)
        }
    };
    // At the floor and below, nothing is left of what a reader would see.
    if found.seq <= floor.seq && floor.seq > 0 && found.seq < head.seq {
        let floor = floor.seq;
        return Err(ReadError::Pruned { floor }.into());
    }
    Ok(found)
}

/// The same moment, or that of the lost records which follow it and are not later either.
fn behind_lost(shared: &Shared, mut at: Head, ms: u64) -> Head {
    let state = shared.state();
    let gap_behind = |at: Head| state.memory().gap_of(at.seq + 1).map(|gap| gap.last);
    while let Some(last) = gap_behind(at).filter(|last| last.hlc.ms() <= ms) {
        at = last;
    }
    at
}

/// The newest block that is not later than this time, which is before the head's.
fn at_time(shared: &Shared, ms: u64) -> Result<Head, ReadError> {
    let segment = {
        let state = shared.state();
        let memory = state.memory();
        if let Some(head) = in_tail(memory, ms) {
            return Ok(head);
        }
        let segments = memory.segments();
        let begins = |segment: &Arc<Segment>| segment.meta.before.hlc.ms() <= ms;
        let end = segments.partition_point(begins);
        match end.checked_sub(1).and_then(|at| segments.get(at)) {
            Some(segment) => Arc::clone(segment),
            None => return Ok(memory.floor().head),
        }
    };
    if segment.meta.head.hlc.ms() <= ms {
        return Ok(segment.meta.head);
    }
    in_segment(&segment, ms).map_err(|error| {
        let floor = shared.state().floor().head.seq;
        if segment.meta.head.seq <= floor {
            ReadError::Pruned { floor }
        } else {
            error
        }
    })
}

/// The newest block of the tail that is not later; `None` if its first one is.
fn in_tail(memory: &Memory, ms: u64) -> Option<Head> {
    let begins = |run: &Arc<TailRun>| run.entries.first().is_some_and(|entry| entry.ms <= ms);
    let end = memory.tail().partition_point(begins);
    let run = memory.tail().get(end.checked_sub(1)?)?;
    let at = run.entries.partition_point(|entry| entry.ms <= ms);
    let entry = run.entries.get(at.checked_sub(1)?)?;
    Some(Head {
        seq: run.before.seq + at as u64,
        hash: entry.hash,
        hlc: Hlc::from_ms(entry.ms),
    })
}

fn in_segment(segment: &Segment, ms: u64) -> Result<Head, ReadError> {
    let open = segment.open()?;
    let begins = |frame: &Frame| Hlc::new(frame.first_hlc).ms() <= ms;
    let end = open.frames().partition_point(begins);
    let Some(frame) = end.checked_sub(1).and_then(|at| open.frames().get(at)) else {
        return Ok(segment.meta.before);
    };
    let blocks = open.read(frame)?;
    let mut later = blocks.iter().rev();
    let found = later.find(|block| block.header.timestamp_hlc.ms() <= ms);
    Ok(found.map_or(segment.meta.before, Head::of))
}
