//! Reading the strand: single blocks, a lane's next blocks. All of it blocks.

use std::sync::Arc;

use boboyka_strand::{Block, Hash, PerType, RecordType, Seq};

use crate::error::ReadError;
use crate::gap::Gap;
use crate::mirrored::Mirrored;
use crate::segment::{Frame, Segment};
use crate::shared::Shared;
use crate::tail_run::TailRun;

/// A lane's next blocks.
#[derive(Debug)]
pub struct LaneRead {
    /// Oldest first.
    pub blocks: Vec<Block>,
    /// Those whose payload is gone: they were settled before it went, or nobody waits for them. There are none where
    /// there are blocks.
    pub gone: Vec<Seq>,
    /// Every block of the lane's type up to here is in `blocks` or `gone`, or was not asked for.
    pub scanned_to: Seq,
}

/// What names a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordName {
    /// Its hash.
    Hash(Hash),
    /// Its position in the strand.
    Seq(Seq),
}

/// The block that this names.
pub(crate) fn named(shared: &Shared, name: &RecordName) -> Result<Option<Block>, ReadError> {
    match name {
        RecordName::Hash(hash) => block_by_hash(shared, hash),
        RecordName::Seq(seq) => block(shared, *seq),
    }
}

/// The block with this hash.
pub(crate) fn block_by_hash(shared: &Shared, hash: &Hash) -> Result<Option<Block>, ReadError> {
    let (run, segments) = {
        let state = shared.state();
        let memory = state.memory();
        let holds = |run: &&Arc<TailRun>| run.entries.iter().any(|e| e.hash == *hash);
        (
            memory.tail().iter().find(holds).cloned(),
            memory.segments().to_vec(),
        )
    };
    if let Some(run) = run {
        return Ok(run.blocks()?.into_iter().find(|block| block.hash == *hash));
    }
    let mut damage = None;
    for segment in segments.iter().rev() {
        match find_in(segment, hash) {
            Ok(Some(block)) => return Ok(Some(block)),
            Ok(None) => {}
            Err(_) if is_pruned(shared, segment) => {}
            // The block may well be in a segment that can be read.
            Err(error) => damage = Some(error),
        }
    }
    match damage {
        Some(error) => Err(error),
        None if shared.pruned_index.find(hash).is_some() => Err(below(shared)),
        None => perhaps_lost(shared.state().memory().gaps()).map_or(Ok(None), Err),
    }
}

/// A lane's blocks after a seq that the phase mirrors, oldest first; at least one when there is one.
pub(crate) fn read_lane(
    shared: &Shared,
    lane: RecordType,
    after: Seq,
    max_records: usize,
    max_payload_bytes: usize,
) -> Result<LaneRead, ReadError> {
    let parts = lane_parts(shared, lane, after);
    let (segments, tail, until) = (parts.segments, parts.tail, parts.until);
    let mut read = LaneScan {
        lane,
        after,
        until,
        mirrored: parts.mirrored,
        max_records,
        max_payload_bytes,
        bytes: 0,
        found: Vec::new(),
        gone: Vec::new(),
    };
    for segment in segments.iter().filter(|s| has(&s.meta.counts, Some(lane))) {
        match read.take_segment(segment) {
            Ok(None) => {}
            Ok(Some(scanned_to)) => return Ok(read.up_to(scanned_to)),
            // Pruned on the way: nobody waits for it any more.
            Err(_) if is_pruned(shared, segment) => {}
            Err(error) => return Err(error),
        }
    }
    for run in tail
        .iter()
        .filter(|run| run.entries.iter().any(|e| e.record_type == lane))
    {
        if let Some(scanned_to) = read.take(run.blocks()?) {
            return Ok(read.up_to(scanned_to));
        }
    }
    Ok(read.up_to(until))
}

/// The block with a seq.
pub(crate) fn block(shared: &Shared, seq: Seq) -> Result<Option<Block>, ReadError> {
    let (run, segment) = {
        let state = shared.state();
        let memory = state.memory();
        (memory.run_of(seq).cloned(), memory.segment_of(seq).cloned())
    };
    if let Some(run) = run {
        return Ok(run
            .blocks()?
            .into_iter()
            .find(|block| block.header.seq == seq));
    }
    match segment {
        Some(segment) => block_in(&segment, seq).map_err(|error| {
            if is_pruned(shared, &segment) {
                below(shared)
            } else {
                error
            }
        }),
        None if (1..=shared.state().floor().head.seq).contains(&seq) => Err(below(shared)),
        None => lost(shared.state().memory().gap_of(seq)).map_or(Ok(None), Err),
    }
}

/// What a lane has to read.
struct LaneParts {
    segments: Vec<Arc<Segment>>,
    tail: Vec<Arc<TailRun>>,
    until: Seq,
    mirrored: Mirrored,
}

/// What a lane has to read after a seq, and up to where: phase and blocks as of one moment, so that no
/// record is seen without the phase that it was appended in.
fn lane_parts(shared: &Shared, lane: RecordType, after: Seq) -> LaneParts {
    let state = shared.state();
    let memory = state.memory();
    let first = memory
        .segments()
        .partition_point(|segment| segment.meta.head.seq <= after);
    let first_run = memory.tail().partition_point(|run| run.head.seq <= after);
    LaneParts {
        segments: memory.segments().iter().skip(first).cloned().collect(),
        tail: memory.tail().iter().skip(first_run).cloned().collect(),
        until: state.view().mirrored_end(lane),
        mirrored: Mirrored::of(&state),
    }
}

/// Whether a segment that could not be read has been pruned since it was looked up.
pub(crate) fn is_pruned(shared: &Shared, segment: &Segment) -> bool {
    segment.meta.head.seq <= shared.state().floor().head.seq
}

/// The answer to a question for a pruned record.
fn below(shared: &Shared) -> ReadError {
    ReadError::Pruned {
        floor: shared.state().floor().head.seq,
    }
}

/// The answer to a question for a hash that is found nowhere.
fn perhaps_lost(gaps: &[Gap]) -> Option<ReadError> {
    let (first, last) = (gaps.first()?, gaps.last()?);
    Some(ReadError::PerhapsLost {
        lost: gaps.iter().map(Gap::len).sum(),
        first: first.first,
        last: last.last.seq,
    })
}

/// The answer to a question for a seq that may be in a gap.
fn lost(gap: Option<&Gap>) -> Option<ReadError> {
    gap.map(|gap| ReadError::Lost {
        first: gap.first,
        last: gap.last.seq,
    })
}

/// A lane's scan on its way.
struct LaneScan {
    lane: RecordType,
    after: Seq,
    until: Seq,
    mirrored: Mirrored,
    max_records: usize,
    max_payload_bytes: usize,
    bytes: usize,
    found: Vec<Block>,
    gone: Vec<Seq>,
}

impl LaneScan {
    /// Takes what fits; when something did not, the seq up to which all was taken.
    fn take(&mut self, blocks: Vec<Block>) -> Option<Seq> {
        for block in blocks {
            let seq = block.header.seq;
            if seq > self.until {
                return Some(self.until);
            }
            if seq <= self.after || block.header.record_type != self.lane {
                continue;
            }
            if !self.mirrored.has(&block) {
                continue;
            }
            self.bytes += block.payload.len();
            let taken = self.found.len() + self.gone.len();
            let full = taken >= self.max_records || self.bytes > self.max_payload_bytes;
            let others = if block.is_gone() {
                !self.found.is_empty()
            } else {
                !self.gone.is_empty()
            };
            if full && taken > 0 || others {
                return Some(seq - 1);
            }
            if block.is_gone() {
                self.gone.push(seq);
            } else {
                self.found.push(block);
            }
        }
        None
    }

    fn take_segment(&mut self, segment: &Segment) -> Result<Option<Seq>, ReadError> {
        if segment.meta.first_seq() > self.until {
            return Ok(Some(self.until));
        }
        let open = segment.open()?;
        for frame in open.frames() {
            if has(&frame.counts, Some(self.lane))
                && last_of(frame) > self.after
                && let Some(scanned_to) = self.take(open.read(frame)?)
            {
                return Ok(Some(scanned_to));
            }
        }
        Ok(None)
    }

    fn up_to(self, scanned_to: Seq) -> LaneRead {
        LaneRead {
            blocks: self.found,
            gone: self.gone,
            scanned_to,
        }
    }
}

fn block_in(segment: &Segment, seq: Seq) -> Result<Option<Block>, ReadError> {
    let open = segment.open()?;
    let Some(frame) = open.frame_of(seq) else {
        return Ok(None);
    };
    Ok(open
        .read(frame)?
        .into_iter()
        .find(|block| block.header.seq == seq))
}

fn find_in(segment: &Segment, hash: &Hash) -> Result<Option<Block>, ReadError> {
    for seq in segment.seqs_like(hash)? {
        let block = block_in(segment, seq)?;
        if block.as_ref().is_some_and(|block| block.hash == *hash) {
            return Ok(block);
        }
    }
    Ok(None)
}

/// Whether counts per type have any of a type.
pub(crate) fn has<N: Copy + Default + PartialEq>(
    counts: &PerType<N>,
    record_type: Option<RecordType>,
) -> bool {
    record_type.is_none_or(|kind| counts[kind] != N::default())
}

pub(crate) fn last_of(frame: &Frame) -> Seq {
    let blocks: u64 = frame.counts.values().copied().map(u64::from).sum();
    frame.first_seq + blocks - 1
}
