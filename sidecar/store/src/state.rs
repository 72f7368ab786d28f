//! The one owner of what a strand's readers see: blocks, floor, phase, marks, retention. All of it changes under
//! one lock, so a [`View`] is never torn.

use std::ops::RangeInclusive;
use std::sync::Arc;

use boboyka_strand::retention::{Blocker, Policy};
use boboyka_strand::{PerType, RecordType, Seq};

use crate::floor::Floor;
use crate::lane::Mark;
use crate::memory::Memory;
use crate::phase::PhaseState;
use crate::pruning::Pruning;
use crate::retention::RetentionStatus;
use crate::segment::Segment;
use crate::tail_run::TailRun;
use crate::tlog::{Holders, Tree};
use crate::view::{Footprint, ScrubStatus, View};

/// What is known of an open strand.
#[derive(Debug)]
pub(crate) struct State {
    memory: Memory,
    phase: Option<PhaseState>,
    marks: PerType<Mark>,
    retention: RetentionStatus,
    scrub: ScrubStatus,
    /// Pruned segments whose files are still there, oldest first.
    retired: Vec<Arc<Segment>>,
    /// `None` while it can't be had.
    tree: Option<Tree>,
}

impl State {
    pub(crate) fn new(
        memory: Memory,
        phase: Option<PhaseState>,
        marks: PerType<Mark>,
        tree: Option<Tree>,
    ) -> Self {
        Self {
            retention: RetentionStatus::begun_at(memory.floor()),
            memory,
            phase,
            marks,
            scrub: ScrubStatus::default(),
            retired: Vec::new(),
            tree,
        }
    }

    pub(crate) fn memory(&self) -> &Memory {
        &self.memory
    }

    pub(crate) fn view(&self) -> View {
        let floor = *self.memory.floor();
        let marks = self.marks.map(|_, mark| Mark {
            seq: mark.seq.max(floor.head.seq),
            ..mark
        });
        View {
            head: self.memory.head(),
            floor,
            counts: self.memory.counts(),
            phase: self.phase,
            marks,
            retention: self.retention,
            scrub: self.scrub,
            footprint: Footprint {
                segments: self.memory.segments().len(),
                segment_bytes: self.memory.segment_bytes(),
                tail_blocks: self.memory.tail_blocks(),
                tail_bytes: self.memory.tail_bytes(),
            },
        }
    }

    pub(crate) fn set_phase(&mut self, phase: PhaseState) {
        self.phase = Some(phase);
    }

    /// Adds what was appended.
    pub(crate) fn push(&mut self, run: Arc<TailRun>) {
        if let Some(tree) = &mut self.tree {
            run.entries.iter().for_each(|entry| tree.push(entry.leaf));
        }
        self.memory.push(run);
    }

    /// Puts a segment in the place of the runs it was made of.
    pub(crate) fn seal(&mut self, segment: Arc<Segment>) {
        self.memory.seal(segment);
    }

    /// Moves a lane's mark. How many dead letters there are is counted here: pruning takes some away.
    pub(crate) fn advance(&mut self, lane: RecordType, mark: Mark, letters: usize) {
        let dead_lettered = self.marks[lane].dead_lettered + letters as u64;
        self.marks[lane] = Mark {
            dead_lettered,
            ..mark
        };
    }

    /// A dead letter was accepted after all; the lane's mark since then.
    pub(crate) fn resolve(&mut self, lane: RecordType) -> Mark {
        let mark = &mut self.marks[lane];
        mark.mirrored += 1;
        mark.dead_lettered = mark.dead_lettered.saturating_sub(1);
        *mark
    }

    /// Raises the floor; the files below it are left to a sweep.
    pub(crate) fn prune(&mut self, pruning: &Pruning) {
        let floor = pruning.floor;
        self.memory.prune(floor, pruning.binding);
        for (lane, _) in &pruning.letters {
            let mark = &mut self.marks[*lane];
            mark.dead_lettered = mark.dead_lettered.saturating_sub(1);
        }
        self.retention.pruned(&floor);
        self.retired.extend(pruning.segments.iter().cloned());
    }

    /// Notes a run of retention.
    pub(crate) fn retention_ran(
        &mut self,
        policy: Policy,
        now_ms: u64,
        blocked_by: Option<Blocker>,
    ) {
        self.retention.ran(policy, now_ms, blocked_by);
    }

    /// Notes what the scrub came to; `finished` is when a round ended, and the head when it had begun.
    pub(crate) fn scrubbed(
        &mut self,
        finished: Option<(u64, Seq)>,
        checked_bytes: u64,
        damaged: u64,
    ) {
        let before = self.scrub;
        self.scrub = ScrubStatus {
            last_finished_ms: finished.map(|(at, _)| at).or(before.last_finished_ms),
            checked_to: finished.map_or(before.checked_to, |(_, to)| to),
            checked_bytes,
            damaged,
        };
    }

    /// The segments below the floor, for a sweep.
    pub(crate) fn retired(&self) -> &[Arc<Segment>] {
        &self.retired
    }

    /// Notes the segments that a sweep has unlinked, by their first seqs, and what that gave back.
    pub(crate) fn swept(&mut self, gone: &[Seq], freed_bytes: u64) {
        self.retention.freed_bytes += freed_bytes;
        let is_left = |segment: &Arc<Segment>| !gone.contains(&segment.meta.first_seq());
        self.retired.retain(is_left);
    }

    /// The tree over the headers; `None` while it can't be had.
    pub(crate) fn tree(&self) -> Option<&Tree> {
        self.tree.as_ref()
    }

    /// The file has this many of the tree's hashes of level 1 now.
    pub(crate) fn tree_written(&mut self, hashes: u64) {
        if let Some(tree) = &mut self.tree {
            tree.written(hashes);
        }
    }

    /// What holds the blocks of a range of seqs.
    pub(crate) fn holders(&self, range: RangeInclusive<Seq>) -> Holders {
        let (first, last) = (*range.start(), *range.end());
        let mut holders = self.memory.holders(range);
        let within = |it: &&Arc<Segment>| it.meta.first_seq() <= last && it.meta.head.seq >= first;
        let retired = self.retired.iter().filter(within).cloned();
        holders.segments = retired.chain(holders.segments).collect();
        holders
    }

    pub(crate) fn floor(&self) -> &Floor {
        self.memory.floor()
    }
}
