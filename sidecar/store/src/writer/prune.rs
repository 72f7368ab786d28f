//! Planning what is pruned: the limit that the phase and the lanes set, the cut that the policy wants,
//! and the floor that comes of both. Nothing is unlinked here: the floor is durable first.

use std::collections::BTreeSet;
use std::sync::Arc;

use boboyka_crds::Phase;
use boboyka_strand::retention::{self, Claim, LaneProgress, Piece, Policy};
use boboyka_strand::{PerType, RecordType, Seq};

use super::commit::Commit;
use super::thread::Writer;
use crate::binding::{self, Binding};
use crate::change::Change;
use crate::error::{ReadError, TailError, causes};
use crate::floor::Floor;
use crate::pruning::Pruning;
use crate::retention::Needed;
use crate::segment::{Segment, SegmentMeta};
use crate::view::View;

impl Writer {
    /// What may and should go now, if anything.
    pub(super) fn plan_pruning(
        &self,
        commit: &mut Commit,
        policy: Policy,
        needed: Needed,
    ) -> Result<Option<Pruning>, TailError> {
        let now_ms = commit.now_ms;
        let (view, segments) = {
            let state = self.shared.state();
            (state.view(), state.memory().segments().to_vec())
        };
        let claim = match view.phase.map(|state| state.phase) {
            _ if needed == Needed::Nothing => Claim::Head,
            Some(Phase::CutOver) if needed == Needed::Owed => Claim::Owed,
            Some(_) | None => Claim::Rollback,
        };
        let lanes = self.progress(commit, &view, &segments)?;
        let limit = retention::limit(claim, &lanes, view.mirror_until(), view.head.seq);
        let pieces: Vec<_> = segments.iter().map(|segment| piece(segment)).collect();
        let tail_bytes = view.footprint.tail_bytes as u64;
        let cut = retention::cut(policy, &pieces, tail_bytes, limit, now_ms);
        self.shared
            .change(|state| state.retention_ran(policy, now_ms, cut.blocked_by));
        let going = segments.get(..cut.pieces).unwrap_or_default();
        let Some(last) = going.last() else {
            return Ok(None);
        };
        let mut floor = Floor {
            head: last.meta.head,
            ..view.floor
        };
        for segment in going {
            segment.meta.add_to(&mut floor.counts);
        }
        if holds_only_records_of_pruning(going) {
            return Ok(None);
        }
        let letters = self.settle_floor(commit, &view, &mut floor)?;
        let Some(binding) = bind(commit, &view.floor, &floor) else {
            return Ok(None);
        };
        Ok(Some(Pruning {
            floor,
            binding,
            segments: going.to_vec(),
            letters,
        }))
    }

    fn progress(
        &self,
        commit: &Commit,
        view: &View,
        segments: &[Arc<Segment>],
    ) -> Result<PerType<LaneProgress>, TailError> {
        let mut lanes = PerType::<LaneProgress>::default();
        for lane in RecordType::MIRRORED {
            let mark = view.marks[lane];
            let oldest_letter = if mark.dead_lettered > 0 {
                self.letters(commit, lane)?.first().copied()
            } else {
                None
            };
            lanes[lane] = LaneProgress {
                mark: mark.seq.max(settled_end(view, segments, lane)),
                owed: view.backlog(lane),
                unmirrored: view.unmirrored(lane),
                oldest_letter,
            };
        }
        Ok(lanes)
    }

    /// The seqs of a lane's dead letters, with what the commit changes of them.
    fn letters(&self, commit: &Commit, lane: RecordType) -> Result<BTreeSet<Seq>, TailError> {
        let mut seqs: BTreeSet<Seq> = self.shared.tail.letter_seqs(lane)?;
        for change in &commit.changes {
            if let Change::Letter(letter) = change
                && letter.record_type == lane
            {
                seqs.insert(letter.seq);
            } else if let Change::Resolved(of, seq) = change
                && *of == lane
            {
                seqs.remove(seq);
            }
        }
        Ok(seqs)
    }

    /// Counts what goes without having been mirrored, so that the backlogs stay right; returns the dead letters
    /// among it.
    fn settle_floor(
        &self,
        commit: &Commit,
        view: &View,
        floor: &mut Floor,
    ) -> Result<Vec<(RecordType, Seq)>, TailError> {
        let mut going = Vec::new();
        for lane in RecordType::MIRRORED {
            let mark = view.marks[lane];
            let letters = if mark.dead_lettered > 0 {
                self.letters(commit, lane)?
            } else {
                BTreeSet::new()
            };
            let gone: Vec<_> = letters.range(..=floor.head.seq).copied().collect();
            if mark.seq < floor.head.seq {
                // Of what lies behind the mark nothing is mirrored.
                floor.unmirrored[lane] = floor.counts[lane].saturating_sub(mark.mirrored);
            } else {
                floor.unmirrored[lane] += gone.len() as u64;
            }
            going.extend(gone.into_iter().map(|seq| (lane, seq)));
        }
        Ok(going)
    }
}

/// Appends the record that binds a floor.
fn bind(commit: &mut Commit, before: &Floor, floor: &Floor) -> Option<Binding> {
    match binding::record(before, floor) {
        Ok(record) => {
            let appended = commit.link(record, None);
            Some(Binding::Record(appended.seq, appended.hash))
        }
        Err(error) => {
            let error = causes(&error);
            tracing::error!(
                error,
                "could not make the record of a pruning; nothing is pruned"
            );
            None
        }
    }
}

/// Whether segments hold nothing but records of earlier prunings. Pruning those would add another one, so that an idle
/// strand would prune and append for ever.
fn holds_only_records_of_pruning(segments: &[Arc<Segment>]) -> bool {
    let only_audit = |segment: &Arc<Segment>| {
        let others = RecordType::ALL
            .into_iter()
            .filter(|kind| *kind != RecordType::AuditLog);
        others
            .map(|kind| u64::from(segment.meta.counts[kind]))
            .sum::<u64>()
            == 0
    };
    let only_records = |segment: &Arc<Segment>| -> Result<bool, ReadError> {
        let open = segment.open()?;
        for frame in open.frames() {
            if !open.read(frame)?.iter().all(binding::is_record) {
                return Ok(false);
            }
        }
        Ok(true)
    };
    // What can't be read may well be something else.
    segments.iter().all(only_audit)
        && segments
            .iter()
            .all(|segment| only_records(segment).unwrap_or(false))
}

/// The end of the newest segment that holds nothing of a lane but what is settled. A lane's mark stands at
/// its last settled record, which may be far back when its records are rare.
fn settled_end(view: &View, segments: &[Arc<Segment>], lane: RecordType) -> Seq {
    let mut count = view.floor.counts[lane];
    let clean = segments.iter().take_while(|segment| {
        count += u64::from(segment.meta.counts[lane]);
        count <= view.settled(lane)
    });
    clean
        .last()
        .map_or(view.floor.head.seq, |segment| segment.meta.head.seq)
}

fn piece(segment: &Segment) -> Piece {
    Piece {
        last_seq: segment.meta.head.seq,
        newest_ms: newest_ms(&segment.meta),
        bytes: segment.file_len,
    }
}

/// When a segment's newest block was appended. Times in the strand stay ahead after the clock was ahead once; the clock
/// was right again when the segment was sealed, and no block is younger than that.
fn newest_ms(meta: &SegmentMeta) -> u64 {
    meta.head.hlc.ms().min(meta.sealed_at_ms)
}

#[cfg(test)]
mod tests {
    use boboyka_strand::{Head, Hlc, PerType};
    use uuid::Uuid;

    use super::{SegmentMeta, newest_ms};

    #[test]
    fn a_segment_is_as_old_as_its_sealing_when_its_blocks_are_ahead_of_the_clock() {
        let meta = |newest, sealed_at_ms| SegmentMeta {
            strand: Uuid::nil(),
            before: Head::EMPTY,
            head: Head {
                hlc: Hlc::from_ms(newest),
                ..Head::EMPTY
            },
            counts: PerType::default(),
            keys: 0,
            payload_bytes: 0,
            sealed_at_ms,
            frames_end: 0,
        };
        assert_eq!(newest_ms(&meta(1_000, 2_000)), 1_000);
        assert_eq!(newest_ms(&meta(9_000, 2_000)), 2_000);
    }
}
