//! The blocks as readers find them: floor, catalogue of segments and tail, in memory.
//!
//! The tail is held compressed, as it was written, with what is needed to find a block in it. It is
//! bounded: what outgrows the bounds of `seal` moves into a segment.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::sync::Arc;

use boboyka_strand::{Hash, Head, PerType, Seq};

use crate::binding::Binding;
use crate::floor::Floor;
use crate::gap::Gap;
use crate::segment::Segment;
use crate::tail_run::TailRun;
use crate::tlog::Holders;
use crate::versions::TailVersions;

/// Floor, segments and tail, without a gap between them but those that are recorded.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    floor: Floor,
    binding: Binding,
    /// Oldest first.
    gaps: Vec<Gap>,
    segments: Vec<Arc<Segment>>,
    segment_bytes: u64,
    tail: VecDeque<Arc<TailRun>>,
    tail_blocks: usize,
    tail_bytes: usize,
    tail_versions: TailVersions,
    counts: PerType<u64>,
}

impl Memory {
    pub(crate) fn new(
        floor: Floor,
        binding: Binding,
        segments: Vec<Arc<Segment>>,
        gaps: Vec<Gap>,
    ) -> Self {
        let mut counts = floor.counts;
        for segment in &segments {
            segment.meta.add_to(&mut counts);
        }
        Self {
            floor,
            binding,
            gaps,
            segment_bytes: bytes_of(&segments),
            segments,
            counts,
            ..Self::default()
        }
    }

    /// Adds what was appended.
    pub(crate) fn push(&mut self, run: Arc<TailRun>) {
        for (seq, entry) in (run.first_seq()..).zip(&run.entries) {
            self.counts[entry.record_type] += 1;
            if let Some(key) = entry.version_of {
                self.tail_versions.push(key, seq);
            }
        }
        self.tail_blocks += run.entries.len();
        self.tail_bytes += run.bytes.len();
        self.tail.push_back(run);
    }

    /// Puts a segment in the place of the runs it was made of.
    pub(crate) fn seal(&mut self, segment: Arc<Segment>) {
        let end = self
            .tail
            .partition_point(|run| run.head.seq <= segment.meta.head.seq);
        let sealed: Vec<_> = self.tail.drain(..end).collect();
        self.tail_blocks -= sealed.iter().map(|run| run.entries.len()).sum::<usize>();
        self.tail_bytes -= sealed.iter().map(|run| run.bytes.len()).sum::<usize>();
        self.segment_bytes += segment.file_len;
        self.tail_versions.seal(segment.meta.head.seq);
        self.segments.push(segment);
    }

    /// Puts a segment in the place of the one with the same blocks, which it returns.
    pub(crate) fn replace(&mut self, segment: Arc<Segment>) -> Option<Arc<Segment>> {
        let first_seq = segment.meta.first_seq();
        let mut segments = self.segments.iter_mut();
        let place = segments.find(|held| held.meta.first_seq() == first_seq)?;
        let earlier = std::mem::replace(place, segment);
        self.segment_bytes = bytes_of(&self.segments);
        Some(earlier)
    }

    /// Raises the floor over the oldest segments.
    pub(crate) fn prune(&mut self, floor: Floor, binding: Binding) {
        let seq = floor.head.seq;
        self.segments.retain(|segment| segment.meta.head.seq > seq);
        self.gaps.retain(|gap| gap.last.seq > seq);
        self.segment_bytes = bytes_of(&self.segments);
        (self.floor, self.binding) = (floor, binding);
    }

    pub(crate) fn floor(&self) -> &Floor {
        &self.floor
    }

    /// What binds the floor.
    pub(crate) fn binding(&self) -> Binding {
        self.binding
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
        let held = tail.or_else(sealed).unwrap_or(self.floor.head);
        let lost = self.gaps.last().map(|gap| gap.last);
        lost.filter(|lost| lost.seq > held.seq).unwrap_or(held)
    }

    /// What is lost, oldest first.
    pub(crate) fn gaps(&self) -> &[Gap] {
        &self.gaps
    }

    /// The gap that a seq lies in.
    pub(crate) fn gap_of(&self, seq: Seq) -> Option<&Gap> {
        self.gaps.iter().find(|gap| gap.holds(seq))
    }

    /// The newest block that lies in a segment, or the floor.
    pub(crate) fn sealed(&self) -> Seq {
        let last = self.segments.last();
        last.map_or(self.floor.head.seq, |segment| segment.meta.head.seq)
    }

    pub(crate) fn segments(&self) -> &[Arc<Segment>] {
        &self.segments
    }

    /// Bytes in the segments' files.
    pub(crate) fn segment_bytes(&self) -> u64 {
        self.segment_bytes
    }

    pub(crate) fn tail(&self) -> &VecDeque<Arc<TailRun>> {
        &self.tail
    }

    /// The versions in the tail.
    pub(crate) fn tail_versions(&self) -> &TailVersions {
        &self.tail_versions
    }

    pub(crate) fn tail_blocks(&self) -> usize {
        self.tail_blocks
    }

    pub(crate) fn tail_bytes(&self) -> usize {
        self.tail_bytes
    }

    /// Records of each type ever appended, pruned ones too.
    pub(crate) fn counts(&self) -> PerType<u64> {
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

    /// The segment that holds a block, or the newest one before it.
    pub(crate) fn segment_of_or_before(&self, seq: Seq) -> Option<Arc<Segment>> {
        let end = self
            .segments
            .partition_point(|segment| segment.meta.first_seq() <= seq);
        self.segments.get(end.checked_sub(1)?).cloned()
    }

    /// What holds the blocks of a range of seqs, but for those that are pruned.
    pub(crate) fn holders(&self, range: RangeInclusive<Seq>) -> Holders {
        let (first, last) = range.into_inner();
        let from = self
            .segments
            .partition_point(|segment| segment.meta.head.seq < first);
        let segments = self.segments.iter().skip(from);
        let segments = segments.take_while(|segment| segment.meta.first_seq() <= last);
        let from = self.tail.partition_point(|run| run.head.seq < first);
        let runs = self
            .tail
            .iter()
            .skip(from)
            .take_while(|run| run.first_seq() <= last);
        let gaps = self
            .gaps
            .iter()
            .filter(|gap| gap.first <= last && gap.last.seq >= first);
        Holders {
            segments: segments.cloned().collect(),
            runs: runs.cloned().collect(),
            gaps: gaps.copied().collect(),
            floor: self.floor.head.seq,
            unknown_to: 0,
        }
    }

    /// The run that holds a block.
    pub(crate) fn run_of(&self, seq: Seq) -> Option<&Arc<TailRun>> {
        let at = self.tail.partition_point(|run| run.head.seq < seq);
        self.tail.get(at).filter(|run| run.first_seq() <= seq)
    }
}

fn bytes_of(segments: &[Arc<Segment>]) -> u64 {
    segments.iter().map(|segment| segment.file_len).sum()
}
