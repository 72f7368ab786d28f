//! Phase and marks as they count for the blocks that the strand holds.

use std::sync::Arc;

use boboyka_strand::{PerType, RecordType, Seq};

use crate::binding::Binding;
use crate::lane::Mark;
use crate::memory::Memory;
use crate::phase::RecordedPhase;
use crate::summary::Summary;

/// The phase that counts: the one whose record the strand holds.
pub(super) fn phase(summary: &Summary, memory: &Memory) -> Option<RecordedPhase> {
    let found = summary.phase?;
    let state = found.in_force(|seq, hash| memory.holds(seq, &hash))?;
    Some(RecordedPhase {
        state,
        record: found.record.filter(|_| state == found.state),
        before: found.before.filter(|_| state == found.state),
    })
}

/// The list of legacy projects. When the strand lost the record of its last change, the list is as it was said, and is
/// recorded again.
pub(super) fn legacy(summary: &mut Summary, memory: &Memory) {
    let record = summary.legacy.record;
    if record.is_some_and(|(seq, hash)| !memory.holds(seq, &hash)) {
        Arc::make_mut(&mut summary.legacy).record = None;
    }
}

/// What binds the floor. A version that made no records of pruning left none of this.
pub(super) fn binding(summary: &mut Summary) {
    let floor = summary.floor.head.seq;
    summary.binding.get_or_insert(match floor {
        0 => Binding::Nothing,
        _ => Binding::Earlier(floor),
    });
}

/// The lanes' marks, none beyond the head.
pub(super) fn marks(summary: &Summary, memory: &Memory) -> PerType<Mark> {
    let mut marks = PerType::<Mark>::default();
    for lane in RecordType::MIRRORED {
        marks[lane] = mark(summary, memory, lane);
    }
    marks
}

fn mark(summary: &Summary, memory: &Memory, lane: RecordType) -> Mark {
    let (mut mark, floor) = (summary.marks[lane], &summary.floor);
    mark.raise_to(floor, lane);
    mark.dead_lettered = summary.letters_len(lane);
    let head = memory.head().seq;
    if mark.seq > head {
        let (lane, mark) = (lane.name(), mark.seq);
        tracing::error!(
            lane,
            mark,
            head,
            "the mark of lane {lane} is set back from {mark} to the head, {head}"
        );
    }
    mark.seq = mark.seq.min(head);
    let loses = memory.gaps().iter().any(|gap| gap.first <= mark.seq);
    if loses && mark.seq >= memory.sealed() {
        // Lost records are counted nowhere, so none of them counts as mirrored either.
        let there = counted(memory, lane, mark.seq);
        let others = mark.dead_lettered + floor.unmirrored[lane];
        mark.mirrored = mark.mirrored.min(there.saturating_sub(others));
    }
    mark
}

/// Records of a lane that the strand counts up to a seq in its tail.
fn counted(memory: &Memory, lane: RecordType, seq: Seq) -> u64 {
    let behind = memory
        .tail()
        .iter()
        .flat_map(|run| (run.first_seq()..).zip(&run.entries))
        .filter(|(at, entry)| *at > seq && entry.record_type == lane);
    memory.counts()[lane] - behind.count() as u64
}
