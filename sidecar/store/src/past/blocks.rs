//! Reading many blocks, each frame once.

use std::collections::BTreeSet;
use std::sync::Arc;

use boboyka_strand::{Block, Break, ChainError, Seq};

use crate::error::{ReadError, TailError, causes};
use crate::read::{is_pruned, last_of};
use crate::segment::{OpenSegment, Segment};
use crate::shared::Shared;
use crate::tail_run::TailRun;

/// A block, or why it can't be read.
pub(super) type Read = (Seq, Result<Block, ReadError>);

/// Reads blocks, oldest first; what is pruned or was never there is left out.
pub(super) fn read(shared: &Shared, seqs: &BTreeSet<Seq>, mut take: impl FnMut(Read)) {
    let mut left = seqs.clone();
    while let Some(seq) = left.first().copied() {
        let (run, segment) = {
            let state = shared.state();
            let memory = state.memory();
            (memory.run_of(seq).cloned(), memory.segment_of(seq).cloned())
        };
        if let Some(run) = run {
            let here = up_to(&mut left, run.head.seq);
            read_run(&run, &here, &mut take);
        } else if let Some(segment) = segment {
            let here = up_to(&mut left, segment.meta.head.seq);
            read_segment(shared, &segment, here, &mut take);
        } else {
            left.pop_first();
        }
    }
}

/// Takes the seqs up to one out.
fn up_to(left: &mut BTreeSet<Seq>, last: Seq) -> BTreeSet<Seq> {
    let behind = left.split_off(&(last + 1));
    std::mem::replace(left, behind)
}

fn read_run(run: &Arc<TailRun>, seqs: &BTreeSet<Seq>, take: &mut impl FnMut(Read)) {
    match run.blocks() {
        Ok(blocks) => take_blocks(blocks, seqs, take),
        Err(error) => {
            let why = error.to_string();
            for seq in seqs {
                let error = TailError::Value {
                    what: "run",
                    why: why.clone(),
                };
                take((*seq, Err(error.into())));
            }
        }
    }
}

fn read_segment(
    shared: &Shared,
    segment: &Segment,
    mut left: BTreeSet<Seq>,
    take: &mut impl FnMut(Read),
) {
    let open = segment.open();
    while let Some(seq) = left.first().copied() {
        let read = open.as_ref().map_err(|_| ()).and_then(|open| {
            let frame = open.frame_of(seq).ok_or(())?;
            Ok((open.read(frame), last_of(frame)))
        });
        match read {
            Ok((Ok(blocks), last)) => {
                let here = up_to(&mut left, last);
                take_blocks(blocks, &here, take);
            }
            _ if is_pruned(shared, segment) => return,
            Ok((Err(error), _)) => {
                left.pop_first();
                take((seq, Err(error)));
            }
            Err(()) => {
                left.pop_first();
                take((seq, Err(unopened(segment, &open))));
            }
        }
    }
}

/// Why a segment that can't be opened has no such block.
fn unopened(segment: &Segment, open: &Result<OpenSegment<'_>, ReadError>) -> ReadError {
    let why = open.as_ref().err().map(|error| causes(error));
    let reason = Break::Unreadable(why.unwrap_or_default());
    let first = segment.meta.first_seq();
    ReadError::Damaged {
        first,
        last: segment.meta.head.seq,
        source: ChainError { seq: first, reason },
    }
}

fn take_blocks(blocks: Vec<Block>, seqs: &BTreeSet<Seq>, take: &mut impl FnMut(Read)) {
    for block in blocks {
        let seq = block.header.seq;
        if seqs.contains(&seq) {
            take((seq, Ok(block)));
        }
    }
}
