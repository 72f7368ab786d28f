//! How far the lanes came, told by counting: an idle lane's mark lags behind the head, its counts don't.

use boboyka_strand::{RECORD_TYPES, RecordType, Seq};

use crate::{Mark, Shared, Store};

/// A place in the strand, with the records of each type up to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The place.
    pub seq: Seq,
    counts: [u64; RECORD_TYPES],
}

/// What a lane has settled, and its records that are neither mirrored nor dead letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Backlog {
    /// How many are settled: they are the oldest.
    pub(crate) settled: u64,
    /// Those that the phase mirrors.
    pub(crate) owed: u64,
    /// All of them.
    pub(crate) unmirrored: u64,
}

impl Store {
    /// A lane's mark; not below the floor.
    pub fn mark(&self, lane: RecordType) -> Mark {
        self.shared.mark(lane)
    }

    /// Records of a lane that wait to be mirrored: those that the phase mirrors, and that are neither in
    /// their table nor dead letters.
    pub fn backlog(&self, lane: RecordType) -> u64 {
        self.shared.backlog(lane).owed
    }

    /// The head, with what it takes to see later whether the lanes came as far.
    pub fn place(&self) -> Place {
        let memory = self.shared.memory();
        Place {
            seq: memory.head().seq,
            counts: memory.counts(),
        }
    }

    /// Whether every record up to a place that the phase mirrors is in its table or a dead letter.
    pub fn settled(&self, place: &Place) -> bool {
        RecordType::ALL.into_iter().all(|lane| {
            let mark = self.mark(lane);
            let (due, pruned) = {
                let memory = self.shared.memory();
                let until = memory.phase().filter(|phase| phase.mirror_until.is_some());
                let count = of(&place.counts, lane);
                let due = until.map_or(count, |phase| count.min(of(&phase.counts, lane)));
                (due, of(&memory.floor().unmirrored, lane))
            };
            mark.seq >= place.seq || mark.mirrored + mark.dead_lettered + pruned >= due
        })
    }
}

impl Shared {
    pub(crate) fn mark(&self, lane: RecordType) -> Mark {
        let floor = self.memory().floor().head.seq;
        let mut mark = *self.marks().get(lane.index()).unwrap_or(&Mark::default());
        mark.seq = mark.seq.max(floor);
        mark
    }

    pub(crate) fn backlog(&self, lane: RecordType) -> Backlog {
        // The mark first: what is appended meanwhile may be counted as waiting, never as settled.
        let mark = self.mark(lane);
        let memory = self.memory();
        let pruned = of(&memory.floor().unmirrored, lane);
        let settled = mark.mirrored + mark.dead_lettered + pruned;
        let count = of(&memory.counts(), lane);
        let until = memory.phase().filter(|phase| phase.mirror_until.is_some());
        let due = until.map_or(count, |phase| of(&phase.counts, lane));
        Backlog {
            settled,
            owed: due.saturating_sub(settled),
            unmirrored: count.saturating_sub(settled),
        }
    }
}

fn of(counts: &[u64; RECORD_TYPES], lane: RecordType) -> u64 {
    counts.get(lane.index()).copied().unwrap_or(0)
}
