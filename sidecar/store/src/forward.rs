//! The next blocks after a place, oldest first. A step is bounded by records, by bytes and by what it reads, goes on
//! behind what can't be read, and names it.

use std::sync::Arc;

use boboyka_strand::{Block, Hlc, RecordType, Seq};

use crate::error::ReadError;
use crate::memory::Memory;
use crate::page::{Missing, told};
use crate::read::{has, is_pruned, last_of};
use crate::segment::Segment;
use crate::shared::Shared;
use crate::tail_run::TailRun;

/// Which blocks a step is of.
#[derive(Clone, Copy, Debug)]
pub struct ForwardQuery {
    /// Only blocks after this seq.
    pub after: Seq,
    /// Only this type; all when `None`.
    pub record_type: Option<RecordType>,
    /// How many at most.
    pub limit: usize,
    /// The length of their payloads at most; a step has its first block whatever its length.
    pub max_payload_bytes: usize,
    /// How many blocks are decoded at most, a frame more or less.
    pub max_read: usize,
}

/// What a step came to.
#[derive(Debug, Default)]
pub struct Forward {
    /// Oldest first.
    pub blocks: Vec<Block>,
    /// What the step passed and could not read, oldest first.
    pub missing: Vec<Missing>,
    /// Where the next step begins.
    pub reached: Seq,
    /// Whether that was the head.
    pub is_at_head: bool,
    /// How many blocks were decoded.
    pub read: usize,
}

/// The step has no room: it ends.
struct Full;

struct Walk<'a> {
    query: &'a ForwardQuery,
    step: Forward,
    payload_bytes: usize,
}

/// The next blocks after a place.
pub(crate) fn forward(shared: &Shared, query: &ForwardQuery) -> Forward {
    let (segments, runs, head) = {
        let state = shared.state();
        let (segments, runs) = parts_after(state.memory(), query.after);
        (segments, runs, state.view().head.seq)
    };
    let mut walk = Walk {
        query,
        step: Forward {
            reached: query.after,
            ..Forward::default()
        },
        payload_bytes: 0,
    };
    let ended = walk.walk(shared, &segments, &runs, head);
    walk.step.is_at_head = ended.is_ok();
    walk.step
}

/// A place with nothing but older blocks before it: every block up to there is of this time or earlier. Reads nothing.
pub(crate) fn place_before(memory: &Memory, hlc: Hlc) -> Seq {
    let segments = memory.segments();
    let at = segments.partition_point(|segment| segment.meta.head.hlc <= hlc);
    if let Some(segment) = segments.get(at) {
        return segment.meta.before.seq;
    }
    let run = memory.tail().partition_point(|run| run.head.hlc <= hlc);
    memory
        .tail()
        .get(run)
        .map_or(memory.head().seq, |run| run.before.seq)
}

/// A place after at most `count` held blocks of a type, and how many of them are still to be passed behind it. Reads
/// nothing.
pub(crate) fn place_after(
    memory: &Memory,
    record_type: Option<RecordType>,
    mut count: u64,
) -> (Seq, u64) {
    let mut place = memory.floor().head.seq;
    for segment in memory.segments() {
        let len = match record_type {
            Some(kind) => u64::from(segment.meta.counts[kind]),
            None => segment.meta.len(),
        };
        if len > count {
            return (place, count);
        }
        (place, count) = (segment.meta.head.seq, count - len);
    }
    for run in memory.tail() {
        let is_of = |kind| record_type.is_none_or(|wanted| wanted == kind);
        let len = run.entries.iter().filter(|entry| is_of(entry.record_type));
        let len = len.count() as u64;
        if len > count {
            return (place, count);
        }
        (place, count) = (run.head.seq, count - len);
    }
    (place, count)
}

fn parts_after(memory: &Memory, after: Seq) -> (Vec<Arc<Segment>>, Vec<Arc<TailRun>>) {
    let segment = memory
        .segments()
        .partition_point(|segment| segment.meta.head.seq <= after);
    let run = memory.tail().partition_point(|run| run.head.seq <= after);
    (
        memory.segments().iter().skip(segment).cloned().collect(),
        memory.tail().iter().skip(run).cloned().collect(),
    )
}

impl Walk<'_> {
    fn walk(
        &mut self,
        shared: &Shared,
        segments: &[Arc<Segment>],
        runs: &[Arc<TailRun>],
        head: Seq,
    ) -> Result<(), Full> {
        for segment in segments {
            self.arrive(segment.meta.first_seq())?;
            self.segment(shared, segment)?;
        }
        for run in runs {
            self.arrive(run.first_seq())?;
            let is_wanted = |kind| self.query.record_type.is_none_or(|wanted| wanted == kind);
            if run.entries.iter().any(|entry| is_wanted(entry.record_type)) {
                self.frame(run.head.seq, run.blocks().map_err(ReadError::from))?;
            }
            self.step.reached = run.head.seq;
        }
        self.arrive(head.saturating_add(1))
    }

    fn segment(&mut self, shared: &Shared, segment: &Segment) -> Result<(), Full> {
        let last = segment.meta.head.seq;
        if has(&segment.meta.counts, self.query.record_type) {
            match segment.open() {
                Ok(open) => {
                    for frame in open.frames() {
                        let end = last_of(frame);
                        if end <= self.step.reached {
                            continue;
                        }
                        if has(&frame.counts, self.query.record_type) {
                            match open.read(frame) {
                                Err(_) if is_pruned(shared, segment) => {
                                    return self.miss(last, PRUNED);
                                }
                                read => self.frame(end, read)?,
                            }
                        }
                        self.step.reached = end;
                    }
                }
                Err(_) if is_pruned(shared, segment) => return self.miss(last, PRUNED),
                Err(error) => self.miss(last, &told(&error))?,
            }
        }
        self.step.reached = last;
        Ok(())
    }

    /// Takes what a frame has, which ends with `last`.
    fn frame(&mut self, last: Seq, read: Result<Vec<Block>, ReadError>) -> Result<(), Full> {
        if self.step.read >= self.query.max_read {
            return Err(Full);
        }
        match read {
            Ok(blocks) => {
                self.step.read += blocks.len();
                self.take(blocks)
            }
            Err(error) => self.miss(last, &told(&error)),
        }
    }

    fn take(&mut self, blocks: Vec<Block>) -> Result<(), Full> {
        for block in blocks {
            let (seq, kind) = (block.header.seq, block.header.record_type);
            if seq <= self.step.reached {
                continue;
            }
            if self.query.record_type.is_none_or(|wanted| wanted == kind) {
                self.payload_bytes += block.payload.len();
                let is_full = self.step.blocks.len() >= self.query.limit
                    || self.payload_bytes > self.query.max_payload_bytes;
                if is_full && !self.step.blocks.is_empty() {
                    return Err(Full);
                }
                self.step.blocks.push(block);
            }
            self.step.reached = seq;
        }
        Ok(())
    }

    /// Arrives at a part of the strand: what lies between it and the part before is not held.
    fn arrive(&mut self, first: Seq) -> Result<(), Full> {
        let last = first.saturating_sub(1);
        if last > self.step.reached {
            self.miss(last, "the strand does not hold these records any more")?;
        }
        Ok(())
    }

    fn miss(&mut self, last: Seq, why: &str) -> Result<(), Full> {
        if self.step.blocks.len() + self.step.missing.len() >= self.query.limit {
            return Err(Full);
        }
        self.step.missing.push(Missing {
            first_seq: self.step.reached + 1,
            last_seq: last,
            why: why.to_owned(),
        });
        self.step.reached = last;
        Ok(())
    }
}

const PRUNED: &str = "retention removed these records while they were read";
