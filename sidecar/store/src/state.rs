//! The one owner of what a strand's readers see: blocks, floor, phase, marks, retention. All of it changes under
//! one lock, so a [`View`] is never torn.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use boboyka_strand::retention::{Blocker, PayloadAges, Policy};
use boboyka_strand::{PerType, RecordType, Seq};

use crate::archive::ArchiveNeed;
use crate::floor::Floor;
use crate::lane::Mark;
use crate::legacy::{Legacy, LegacyState};
use crate::memory::Memory;
use crate::phase::PhaseState;
use crate::pruning::Pruning;
use crate::retention::RetentionStatus;
use crate::segment::Segment;
use crate::strip;
use crate::tail_run::TailRun;
use crate::tlog::{Holders, Tree};
use crate::view::{Footprint, Owed, ScrubStatus, View};

/// What is known of an open strand.
#[derive(Debug)]
pub(crate) struct State {
    memory: Memory,
    phase: Option<PhaseState>,
    legacy: Arc<Legacy>,
    /// How that stands.
    listed: LegacyState,
    owed: PerType<Owed>,
    era: u64,
    marks: PerType<Mark>,
    retention: RetentionStatus,
    /// Whether a legal hold is wanted. `retention` says so once nothing goes any more.
    hold: bool,
    /// Whether a pruning is decided on and not durable yet.
    pruning: bool,
    /// What the archive needs of the strand; `None` without one.
    archive: Option<ArchiveNeed>,
    scrub: ScrubStatus,
    /// Pruned segments whose files are still there, oldest first.
    retired: Vec<Arc<Segment>>,
    /// Segments in whose place shorter ones came, and whose files are still there; what unlinking them gives back.
    replaced: Vec<(Arc<Segment>, u64)>,
    /// Types of which nothing goes from a segment, by its first seq.
    looked_at: BTreeMap<Seq, PerType<bool>>,
    /// `None` while it can't be had.
    tree: Option<Tree>,
}

impl State {
    pub(crate) fn new(
        memory: Memory,
        phase: Option<PhaseState>,
        legacy: Arc<Legacy>,
        owed: PerType<u64>,
        marks: PerType<Mark>,
        tree: Option<Tree>,
    ) -> Self {
        let mut retention = RetentionStatus::begun_at(memory.floor());
        retention.payloads_gone = strip::gone(memory.segments());
        Self {
            retention,
            hold: false,
            pruning: false,
            archive: None,
            memory,
            phase,
            listed: legacy.state(),
            legacy,
            owed: owed.map(|_, due| Owed { due, done: 0 }),
            era: 0,
            marks,
            scrub: ScrubStatus::default(),
            retired: Vec::new(),
            replaced: Vec::new(),
            looked_at: BTreeMap::new(),
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
            phase: self.phase.map(|phase| self.with_legacy(phase)),
            marks,
            legacy: self.owed,
            era: self.era,
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

    /// The phase with how the list of legacy projects stands, if there is one.
    fn with_legacy(&self, phase: PhaseState) -> PhaseState {
        let counts = phase.mirror_until.is_some() && !self.legacy.is_empty();
        PhaseState {
            legacy: counts.then_some(self.listed),
            ..phase
        }
    }

    /// The legacy projects since the strand's boundary.
    pub(crate) fn legacy(&self) -> &Arc<Legacy> {
        &self.legacy
    }

    /// The last seq up to which the phase mirrors everything, if it does not do so to the end.
    pub(crate) fn mirror_until(&self) -> Option<Seq> {
        self.phase.and_then(|phase| phase.mirror_until)
    }

    pub(crate) fn set_phase(&mut self, phase: PhaseState) {
        self.phase = Some(phase);
    }

    pub(crate) fn set_legacy(&mut self, legacy: Arc<Legacy>) {
        self.listed = legacy.state();
        self.legacy = legacy;
    }

    /// Records were appended that the list has mirrored.
    pub(crate) fn owe(&mut self, due: PerType<u64>) {
        for (lane, more) in due {
            self.owed[lane].due += more;
        }
    }

    /// Nothing of what the list has mirrored counts any more: all of it lies before a new boundary, or is sent again.
    pub(crate) fn owe_nothing(&mut self) {
        for owed in self.owed.values_mut() {
            owed.done = owed.due;
        }
    }

    /// Sets marks back; what lanes have at hand counts no more.
    pub(crate) fn rewind(&mut self, marks: PerType<Mark>) {
        self.marks = marks;
        self.era += 1;
    }

    pub(crate) fn era(&self) -> u64 {
        self.era
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
        let before = self.marks[lane];
        let dead_lettered = before.dead_lettered + letters as u64;
        let owed = self.owed_before_boundary(lane);
        self.marks[lane] = Mark {
            dead_lettered,
            ..mark
        };
        let settled = mark.mirrored.saturating_sub(before.mirrored) + letters as u64;
        let others = owed - self.owed_before_boundary(lane);
        let owed = &mut self.owed[lane];
        owed.done = (owed.done + settled.saturating_sub(others)).min(owed.due);
    }

    /// Records of a lane up to the boundary that are neither mirrored nor dead letters.
    fn owed_before_boundary(&self, lane: RecordType) -> u64 {
        let bounded = self.phase.filter(|phase| phase.mirror_until.is_some());
        let due = bounded.map_or(0, |phase| phase.counts[lane]);
        let mark = self.marks[lane];
        let pruned = self.memory.floor().unmirrored[lane];
        due.saturating_sub(mark.mirrored + mark.dead_lettered + pruned)
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
        if !self.legacy.is_empty() {
            Arc::make_mut(&mut self.legacy).prune(floor.head.seq);
        }
        for (lane, _) in &pruning.letters {
            let mark = &mut self.marks[*lane];
            mark.dead_lettered = mark.dead_lettered.saturating_sub(1);
        }
        self.retention.pruned(&floor);
        self.retention.payloads_gone = strip::gone(self.memory.segments());
        self.looked_at.retain(|seq, _| *seq > floor.head.seq);
        self.retired.extend(pruning.segments.iter().cloned());
        self.end_pruning();
    }

    /// Has readers find a segment that was written anew; the file of the one before is left to the second thread.
    pub(crate) fn strip(&mut self, segment: Arc<Segment>) {
        let len = segment.file_len;
        if let Some(earlier) = self.memory.replace(segment) {
            let freed = earlier.file_len.saturating_sub(len);
            self.replaced.push((earlier, freed));
        }
        self.retention.payloads_gone = strip::gone(self.memory.segments());
        self.end_pruning();
    }

    /// Notes a look at which payloads may go.
    pub(crate) fn stripping_ran(
        &mut self,
        ages: PayloadAges,
        now_ms: u64,
        blocked_by: Option<Blocker>,
    ) {
        self.retention.stripping_ran(ages, now_ms, blocked_by);
    }

    /// Of a segment nothing goes of these types, whatever their ages.
    pub(crate) fn look_no_more(&mut self, first_seq: Seq, types: PerType<bool>) {
        let known = self.looked_at.entry(first_seq).or_default();
        *known = known.map(|kind, before| before || types[kind]);
    }

    /// What [`State::look_no_more`] noted.
    pub(crate) fn looked_at(&self) -> &BTreeMap<Seq, PerType<bool>> {
        &self.looked_at
    }

    /// Whether there is a list of legacy projects, or was one since the boundary.
    pub(crate) fn is_listed(&self) -> bool {
        !self.legacy.is_empty()
    }

    /// Takes the replaced segments out that nobody reads any more.
    pub(crate) fn take_replaced(&mut self) -> Vec<(Arc<Segment>, u64)> {
        let (read, unread) = std::mem::take(&mut self.replaced)
            .into_iter()
            .partition(|(segment, _)| Arc::strong_count(segment) > 1);
        self.replaced = read;
        unread
    }

    /// Notes what unlinking replaced segments gave back.
    pub(crate) fn freed(&mut self, bytes: u64) {
        self.retention.freed_bytes += bytes;
    }

    /// Whether files wait until nobody reads them any more.
    pub(crate) fn has_replaced(&self) -> bool {
        !self.replaced.is_empty()
    }

    /// A pruning begins, unless a legal hold is wanted; whether it does.
    pub(crate) fn begin_pruning(&mut self) -> bool {
        // What began before in the same commit goes on.
        self.pruning |= !self.hold;
        !self.hold
    }

    /// What was decided on is durable, or does not come.
    pub(crate) fn end_pruning(&mut self) {
        self.pruning = false;
        self.settle_hold();
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

    /// Whether a legal hold is wanted.
    pub(crate) fn wants_hold(&self) -> bool {
        self.hold
    }

    /// A legal hold is wanted from now on, or no longer.
    pub(crate) fn hold(&mut self, hold: bool) {
        self.hold = hold;
        self.settle_hold();
    }

    /// A hold is told of when the pruning from before it is over: what it says is that nothing goes.
    fn settle_hold(&mut self) {
        let hold = self.hold && !self.pruning;
        if self.retention.hold != hold {
            self.retention.hold(hold);
        }
    }

    /// What the archive needs of the strand; `None` without one.
    pub(crate) fn archive(&self) -> Option<ArchiveNeed> {
        self.archive
    }

    pub(crate) fn set_archive(&mut self, archive: Option<ArchiveNeed>) {
        self.archive = archive;
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
