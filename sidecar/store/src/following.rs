//! The blocks that follow a seq, oldest first, for a reader that follows the strand. The walk is bounded by records and
//! by bytes, goes on behind what can't be read, and names it.

use std::sync::Arc;

use boboyka_strand::{Block, RecordType, Seq};

use crate::error::causes;
use crate::page::{Missing, NOT_HELD, told};
use crate::read::{has, is_pruned, last_of};
use crate::segment::Segment;
use crate::shared::Shared;
use crate::tail_run::TailRun;

/// Why records at and below the floor are missing.
const PRUNED: &str = "retention has pruned these records";

/// Which blocks a reader wants next.
#[derive(Clone, Copy, Debug)]
pub struct FollowingQuery {
    /// Only blocks after this seq.
    pub after: Seq,
    /// Only this type; all when `None`.
    pub record_type: Option<RecordType>,
    /// How many blocks and missing parts at most, at least 1.
    pub limit: usize,
    /// Whether the blocks have their payloads, or an empty one each.
    pub payloads: bool,
    /// The length of all payloads at most; the first block is there whatever its length.
    pub max_payload_bytes: usize,
}

/// What follows a seq.
#[derive(Debug)]
pub struct Following {
    /// Oldest first.
    pub found: Vec<Found>,
    /// Everything up to here is in `found` or was not asked for.
    pub scanned_to: Seq,
}

/// A part of the strand as a reader meets it.
#[derive(Debug)]
pub enum Found {
    /// A block.
    Block(Block),
    /// Consecutive blocks that can't be read.
    Missing(Missing),
}

/// There is no room for more: the walk ends.
struct Full;

struct Walk<'a> {
    query: &'a FollowingQuery,
    found: Vec<Found>,
    payload_bytes: usize,
    /// Every block up to here was passed.
    reached: Seq,
}

/// What follows a seq, up to the head.
pub(crate) fn following(shared: &Shared, query: &FollowingQuery) -> Following {
    let (segments, runs, floor, head) = parts(shared, query.after);
    let mut walk = Walk {
        query,
        found: Vec::new(),
        payload_bytes: 0,
        reached: query.after,
    };
    // Full only says that the walk ended early, and `reached` says where.
    let _ = walk.all(shared, &segments, &runs, floor, head);
    Following {
        found: walk.found,
        scanned_to: walk.reached,
    }
}

type Parts = (Vec<Arc<Segment>>, Vec<Arc<TailRun>>, Seq, Seq);

/// What lies after a seq, the floor and the head, as of one moment.
fn parts(shared: &Shared, after: Seq) -> Parts {
    let state = shared.state();
    let memory = state.memory();
    let (segments, tail) = (memory.segments(), memory.tail());
    let first = segments.partition_point(|segment| segment.meta.head.seq <= after);
    let first_run = tail.partition_point(|run| run.head.seq <= after);
    (
        segments.iter().skip(first).cloned().collect(),
        tail.iter().skip(first_run).cloned().collect(),
        state.floor().head.seq,
        memory.head().seq,
    )
}

impl Walk<'_> {
    fn all(
        &mut self,
        shared: &Shared,
        segments: &[Arc<Segment>],
        runs: &[Arc<TailRun>],
        floor: Seq,
        head: Seq,
    ) -> Result<(), Full> {
        self.miss(floor, PRUNED)?;
        for segment in segments {
            self.arrive(segment.meta.first_seq())?;
            self.segment(shared, segment)?;
        }
        for run in runs {
            self.arrive(run.first_seq())?;
            self.run(run)?;
        }
        self.arrive(head.saturating_add(1))
    }

    /// Arrives at a part of the strand: what lies between it and the part before is not held.
    fn arrive(&mut self, first: Seq) -> Result<(), Full> {
        self.miss(first.saturating_sub(1), NOT_HELD)
    }

    /// Passes everything up to a seq as missing.
    fn miss(&mut self, last: Seq, why: &str) -> Result<(), Full> {
        if last <= self.reached {
            return Ok(());
        }
        self.room()?;
        self.found.push(Found::Missing(Missing {
            first_seq: self.reached + 1,
            last_seq: last,
            why: why.to_owned(),
        }));
        self.reached = last;
        Ok(())
    }

    fn segment(&mut self, shared: &Shared, segment: &Segment) -> Result<(), Full> {
        let last = segment.meta.head.seq;
        if !has(&segment.meta.counts, self.query.record_type) {
            self.pass(last);
            return Ok(());
        }
        // What was pruned on the way took all that is older with it.
        let why = |error: &_| {
            if is_pruned(shared, segment) {
                PRUNED.to_owned()
            } else {
                told(error)
            }
        };
        let open = match segment.open() {
            Ok(open) => open,
            Err(error) => return self.miss(last, &why(&error)),
        };
        for frame in open.frames() {
            if !has(&frame.counts, self.query.record_type) || last_of(frame) <= self.reached {
                self.pass(last_of(frame));
                continue;
            }
            match open.read(frame) {
                Ok(blocks) => self.take(blocks)?,
                Err(error) => self.miss(last_of(frame), &why(&error))?,
            }
        }
        Ok(())
    }

    fn run(&mut self, run: &TailRun) -> Result<(), Full> {
        let wanted = self.query.record_type;
        let any = run
            .entries
            .iter()
            .any(|entry| wanted.is_none_or(|kind| kind == entry.record_type));
        if !any {
            self.pass(run.head.seq);
            return Ok(());
        }
        match run.blocks() {
            Ok(blocks) => self.take(blocks),
            Err(error) => self.miss(run.head.seq, &causes(&error)),
        }
    }

    fn take(&mut self, blocks: Vec<Block>) -> Result<(), Full> {
        for mut block in blocks {
            let seq = block.header.seq;
            let other = self.query.record_type;
            if seq <= self.reached || other.is_some_and(|kind| kind != block.header.record_type) {
                self.pass(seq);
                continue;
            }
            self.room()?;
            if !self.query.payloads {
                block.payload = Vec::new();
            }
            self.payload_bytes += block.payload.len();
            if self.payload_bytes > self.query.max_payload_bytes && !self.found.is_empty() {
                return Err(Full);
            }
            self.found.push(Found::Block(block));
            self.reached = seq;
        }
        Ok(())
    }

    fn pass(&mut self, seq: Seq) {
        self.reached = self.reached.max(seq);
    }

    fn room(&self) -> Result<(), Full> {
        if self.found.len() < self.query.limit {
            Ok(())
        } else {
            Err(Full)
        }
    }
}
