//! One moment of a strand: all that is known of it without reading its blocks, consistent in itself.

use boboyka_strand::{Head, PerType, RecordType, Seq};

use crate::floor::Floor;
use crate::lane::Mark;
use crate::phase::PhaseState;
use crate::retention::RetentionStatus;

/// What the store occupies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footprint {
    /// Sealed segments.
    pub segments: usize,
    /// Bytes in their files.
    pub segment_bytes: u64,
    /// Blocks in the tail.
    pub tail_blocks: usize,
    /// Bytes in the tail's values.
    pub tail_bytes: usize,
}

/// What the scrub has found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScrubStatus {
    /// When it last came to the end of the strand, in milliseconds since 1970; `None` before the first time.
    pub last_finished_ms: Option<u64>,
    /// The head when the round began that ended then: every record up to there was read again.
    pub checked_to: Seq,
    /// Bytes that it has read since the start.
    pub checked_bytes: u64,
    /// Segments that are damaged or missing, and 1 if the journal lost what is not sealed; in this round, or in the last
    /// one that came to its end.
    pub damaged: u64,
}

/// Records after the boundary that the phase mirrors all the same; both only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owed {
    /// How many were appended.
    pub due: u64,
    /// How many of them are in their table or dead letters.
    pub done: u64,
}

impl Owed {
    pub(crate) fn left(self) -> u64 {
        self.due.saturating_sub(self.done)
    }
}

/// One moment of a strand. Invariant: `floor ≤ mark ≤ head` in every lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// The newest block.
    pub head: Head,
    /// Where the strand begins.
    pub floor: Floor,
    /// Records of each type ever appended, pruned ones too.
    pub counts: PerType<u64>,
    /// The phase in force; `None` while the strand has recorded none.
    pub phase: Option<PhaseState>,
    /// The lanes' progress; no mark is below the floor.
    pub marks: PerType<Mark>,
    /// Records after the boundary that the list of legacy projects has mirrored, since the start.
    pub legacy: PerType<Owed>,
    /// It changes when marks are set back.
    pub era: u64,
    /// How retention stands.
    pub retention: RetentionStatus,
    /// What the scrub has found.
    pub scrub: ScrubStatus,
    /// What the store occupies.
    pub footprint: Footprint,
}

impl View {
    /// How far the newest block's time is ahead of the clock, in milliseconds: the clock went back, and times in the
    /// strand never do.
    pub fn ahead_ms(&self, now_ms: u64) -> u64 {
        self.head.hlc.ms().saturating_sub(now_ms)
    }

    /// The last seq up to which the phase mirrors everything, if it does not do so to the end.
    pub fn mirror_until(&self) -> Option<Seq> {
        self.phase.and_then(|phase| phase.mirror_until)
    }

    /// The last seq in the strand that the phase may mirror in a lane.
    pub fn mirrored_end(&self, lane: RecordType) -> Seq {
        let head = self.head.seq;
        let legacy = self.legacy_end(lane);
        self.mirror_until()
            .map_or(head, |until| until.max(legacy).min(head))
    }

    /// The seq of the strand's record of the list of legacy projects in force; 0 where none was since the boundary.
    pub fn list_since(&self) -> Seq {
        let legacy = self.phase.and_then(|phase| phase.legacy);
        legacy.map_or(0, |legacy| legacy.since)
    }

    /// Whether the phase mirrors new records of legacy projects in a lane.
    pub fn goes_on(&self, lane: RecordType) -> bool {
        self.legacy_end(lane) == Seq::MAX
    }

    /// The last seq that a list of legacy projects has mirrored; 0 without one.
    fn legacy_end(&self, lane: RecordType) -> Seq {
        let legacy = self.phase.and_then(|phase| phase.legacy);
        legacy.map_or(0, |legacy| legacy.ends[lane])
    }

    /// Records of a lane that wait to be mirrored: those that the phase mirrors, and that are neither in
    /// their table nor dead letters. It follows from counts: an idle lane's mark lags behind the head, its counts don't.
    pub fn backlog(&self, lane: RecordType) -> u64 {
        if lane.table().is_none() {
            return 0;
        }
        let bounded = self.phase.filter(|phase| phase.mirror_until.is_some());
        let due = bounded.map_or(self.counts[lane], |phase| phase.counts[lane]);
        let legacy = bounded.map_or(0, |_| self.legacy[lane].left());
        due.saturating_sub(self.settled(lane)) + legacy
    }

    /// Records of a lane that are neither in their table nor dead letters, whether the phase mirrors them or not.
    pub fn unmirrored(&self, lane: RecordType) -> u64 {
        if lane.table().is_none() {
            return 0;
        }
        self.counts[lane].saturating_sub(self.settled(lane))
    }

    /// Whether every record that the strand had in an earlier view and that the phase mirrors now is in its table or a
    /// dead letter.
    pub fn has_settled(&self, earlier: &Self) -> bool {
        let until = self.phase.filter(|phase| phase.mirror_until.is_some());
        RecordType::MIRRORED.into_iter().all(|lane| {
            let count = earlier.counts[lane];
            let due = until.map_or(count, |phase| count.min(phase.counts[lane]));
            let legacy = until.is_none() || self.legacy[lane].done >= earlier.legacy[lane].due;
            self.marks[lane].seq >= earlier.head.seq || self.settled(lane) >= due && legacy
        })
    }

    /// Whether nothing is left that the phase wants mirrored.
    pub fn is_settled(&self) -> bool {
        self.has_settled(self)
    }

    /// A lane's records that need no copy any more; they are its oldest.
    pub(crate) fn settled(&self, lane: RecordType) -> u64 {
        let mark = self.marks[lane];
        mark.mirrored + mark.dead_lettered + self.floor.unmirrored[lane]
    }
}
