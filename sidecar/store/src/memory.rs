//! The strand as readers see it: the sealed segments' catalogue and the tail, in memory, and the phase
//! that counts for what is in them: whoever sees a change of phase's record sees the phase too.
//!
//! The tail is held compressed, as it was written, with what is needed to find a block in it. It is
//! bounded: what outgrows the bounds of `seal` moves into a segment.

use std::collections::VecDeque;
use std::sync::Arc;

use boboyka_strand::{Block, Hash, Head, RECORD_TYPES, RecordType, Seq, run};

use crate::error::TailError;
use crate::floor::Floor;
use crate::key::IdempotencyKey;
use crate::phase::PhaseState;
use crate::segment::Segment;

/// What the tail knows of a block without decoding it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TailEntry {
    pub(crate) hash: Hash,
    pub(crate) ms: u64,
    pub(crate) record_type: RecordType,
    pub(crate) key: Option<IdempotencyKey>,
}

/// A run in the tail: what one commit, or a part of a large one, appended.
#[derive(Debug)]
pub(crate) struct TailRun {
    pub(crate) before: Head,
    pub(crate) head: Head,
    pub(crate) entries: Box<[TailEntry]>,
    /// As it lies on the disk: see `tail_run`.
    pub(crate) bytes: Box<[u8]>,
    /// In how many pieces it lies there.
    pub(crate) pieces: u8,
}

impl TailRun {
    pub(crate) fn first_seq(&self) -> Seq {
        self.before.seq + 1
    }

    /// Its blocks, their chain recomputed.
    pub(crate) fn blocks(&self) -> Result<Vec<Block>, TailError> {
        let unpacked = crate::tail_run::unpack(&self.bytes)?;
        run::decode(&unpacked.run).map_err(|error| TailError::Value {
            what: "run",
            why: error.to_string(),
        })
    }
}

/// Floor, segments and tail, without a gap between them.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    floor: Floor,
    phase: Option<PhaseState>,
    segments: Vec<Arc<Segment>>,
    tail: VecDeque<Arc<TailRun>>,
    tail_blocks: usize,
    tail_bytes: usize,
    counts: [u64; RECORD_TYPES],
}

impl Memory {
    pub(crate) fn new(floor: Floor, segments: Vec<Arc<Segment>>) -> Self {
        let mut counts = floor.counts;
        for segment in &segments {
            for (count, more) in counts.iter_mut().zip(segment.meta.counts) {
                *count += u64::from(more);
            }
        }
        Self {
            floor,
            segments,
            counts,
            ..Self::default()
        }
    }

    /// Adds what was appended.
    pub(crate) fn push(&mut self, run: Arc<TailRun>) {
        for entry in &run.entries {
            if let Some(count) = self.counts.get_mut(entry.record_type.index()) {
                *count += 1;
            }
        }
        self.tail_blocks += run.entries.len();
        self.tail_bytes += run.bytes.len();
        self.tail.push_back(run);
    }

    /// Puts a segment in the place of the runs it was made of, and gives those back.
    pub(crate) fn seal(&mut self, segment: Arc<Segment>) -> Vec<Arc<TailRun>> {
        let end = self
            .tail
            .partition_point(|run| run.head.seq <= segment.meta.head.seq);
        let sealed: Vec<_> = self.tail.drain(..end).collect();
        self.tail_blocks -= sealed.iter().map(|run| run.entries.len()).sum::<usize>();
        self.tail_bytes -= sealed.iter().map(|run| run.bytes.len()).sum::<usize>();
        self.segments.push(segment);
        sealed
    }

    /// Raises the floor over the oldest segments.
    pub(crate) fn prune(&mut self, floor: Floor) {
        let seq = floor.head.seq;
        self.segments.retain(|segment| segment.meta.head.seq > seq);
        self.floor = floor;
    }

    pub(crate) fn floor(&self) -> &Floor {
        &self.floor
    }

    pub(crate) fn phase(&self) -> Option<PhaseState> {
        self.phase
    }

    pub(crate) fn set_phase(&mut self, phase: Option<PhaseState>) {
        self.phase = phase;
    }

    /// Whether the strand holds this block, or held it. What is sealed or pruned was checked before.
    pub(crate) fn holds(&self, seq: Seq, hash: &Hash) -> bool {
        let Some(run) = self.run_of(seq) else {
            return seq <= self.head().seq;
        };
        let at = usize::try_from(seq - run.first_seq()).unwrap_or(usize::MAX);
        run.entries.get(at).is_some_and(|entry| entry.hash == *hash)
    }

    /// The newest block.
    pub(crate) fn head(&self) -> Head {
        let sealed = || self.segments.last().map(|segment| segment.meta.head);
        let tail = self.tail.back().map(|run| run.head);
        tail.or_else(sealed).unwrap_or(self.floor.head)
    }

    pub(crate) fn segments(&self) -> &[Arc<Segment>] {
        &self.segments
    }

    pub(crate) fn tail(&self) -> &VecDeque<Arc<TailRun>> {
        &self.tail
    }

    pub(crate) fn tail_blocks(&self) -> usize {
        self.tail_blocks
    }

    pub(crate) fn tail_bytes(&self) -> usize {
        self.tail_bytes
    }

    /// Records of each type ever appended, pruned ones too.
    pub(crate) fn counts(&self) -> [u64; RECORD_TYPES] {
        self.counts
    }

    /// The segment that holds a block.
    pub(crate) fn segment_of(&self, seq: Seq) -> Option<&Arc<Segment>> {
        let at = self
            .segments
            .partition_point(|segment| segment.meta.head.seq < seq);
        self.segments
            .get(at)
            .filter(|segment| segment.meta.first_seq() <= seq)
    }

    /// The run that holds a block.
    pub(crate) fn run_of(&self, seq: Seq) -> Option<&Arc<TailRun>> {
        let at = self.tail.partition_point(|run| run.head.seq < seq);
        self.tail.get(at).filter(|run| run.first_seq() <= seq)
    }
}
