//! Planning what is pruned: the limit that the phase and the lanes set, the cut that the policy wants,
//! and the floor that comes of both. Nothing is unlinked here: the floor is durable first.

use std::sync::Arc;

use boboyka_crds::Phase;
use boboyka_strand::retention::{self, Claim, LaneProgress, Piece, Policy};
use boboyka_strand::{RECORD_TYPES, RecordType, Seq};

use super::Writer;
use crate::error::TailError;
use crate::floor::Floor;
use crate::segment::Segment;
use crate::tail::Tail;

/// Segments on their way out, and the floor that they leave.
pub(crate) struct Pruning {
    pub(crate) floor: Floor,
    pub(crate) segments: Vec<Arc<Segment>>,
    /// Dead letters whose records go with them.
    pub(crate) letters: Vec<(RecordType, Seq)>,
}

impl Pruning {
    /// Puts the floor first: what is below it is gone whatever else is done.
    pub(super) fn put(&self, tail: &Tail) -> Result<(), TailError> {
        tail.put_floor(&self.floor)?;
        for segment in &self.segments {
            tail.remove_segment(segment.meta.first_seq())?;
        }
        self.letters
            .iter()
            .try_for_each(|(lane, seq)| tail.remove_letter(*lane, *seq))
    }
}

impl Writer {
    /// What may and should go now, if anything.
    pub(super) fn plan_pruning(
        &self,
        policy: Policy,
        has_supabase: bool,
        now_ms: u64,
    ) -> Result<Option<Pruning>, TailError> {
        let shared = &self.shared;
        let (segments, tail_bytes, phase, head, floor) = {
            let memory = shared.memory();
            (
                memory.segments().to_vec(),
                memory.tail_bytes() as u64,
                memory.phase(),
                memory.head(),
                *memory.floor(),
            )
        };
        let claim = match phase.map(|state| state.phase) {
            _ if !has_supabase => Claim::Head,
            Some(Phase::CutOver) => Claim::Owed,
            Some(Phase::DualWrite | Phase::MigrateInternals) | None => Claim::Rollback,
        };
        let mirror_until = phase.and_then(|state| state.mirror_until);
        let lanes = self.progress(&segments, &floor)?;
        let limit = retention::limit(claim, &lanes, mirror_until, head.seq);
        let pieces: Vec<_> = segments.iter().map(|segment| piece(segment)).collect();
        let cut = retention::cut(policy, &pieces, tail_bytes, limit, now_ms);
        shared.retention().ran(policy, now_ms, cut.blocked_by);
        let going = segments.get(..cut.pieces).unwrap_or_default();
        let Some(last) = going.last() else {
            return Ok(None);
        };
        let mut floor = Floor {
            head: last.meta.head,
            ..floor
        };
        for segment in going {
            for (count, more) in floor.counts.iter_mut().zip(segment.meta.counts) {
                *count += u64::from(more);
            }
        }
        let letters = self.settle_floor(&mut floor)?;
        Ok(Some(Pruning {
            floor,
            segments: going.to_vec(),
            letters,
        }))
    }

    fn progress(
        &self,
        segments: &[Arc<Segment>],
        floor: &Floor,
    ) -> Result<[LaneProgress; RECORD_TYPES], TailError> {
        let mut lanes = [LaneProgress::default(); RECORD_TYPES];
        for (lane, progress) in RecordType::ALL.into_iter().zip(&mut lanes) {
            let mark = self.shared.mark(lane);
            let oldest_letter = if mark.dead_lettered > 0 {
                let letters = self.shared.tail.letters(lane, 0, 1)?;
                letters.first().map(|letter| letter.seq)
            } else {
                None
            };
            let backlog = self.shared.backlog(lane);
            *progress = LaneProgress {
                mark: mark
                    .seq
                    .max(settled_end(segments, floor, lane, backlog.settled)),
                owed: backlog.owed,
                unmirrored: backlog.unmirrored,
                oldest_letter,
            };
        }
        Ok(lanes)
    }

    /// Counts what goes without having been mirrored, so that the backlogs stay right; the dead letters
    /// among it.
    fn settle_floor(&self, floor: &mut Floor) -> Result<Vec<(RecordType, Seq)>, TailError> {
        let mut going = Vec::new();
        let counts = floor.counts;
        for ((lane, unmirrored), count) in RecordType::ALL
            .into_iter()
            .zip(&mut floor.unmirrored)
            .zip(counts)
        {
            let mark = self.shared.mark(lane);
            let letters = if mark.dead_lettered > 0 {
                self.shared.tail.letters(lane, 0, usize::MAX)?
            } else {
                Vec::new()
            };
            let seqs = letters.iter().map(|letter| letter.seq);
            let gone: Vec<_> = seqs.filter(|seq| *seq <= floor.head.seq).collect();
            *unmirrored = if mark.seq < floor.head.seq {
                // Of what lies behind the mark nothing is mirrored.
                count.saturating_sub(mark.mirrored)
            } else {
                *unmirrored + gone.len() as u64
            };
            going.extend(gone.into_iter().map(|seq| (lane, seq)));
        }
        Ok(going)
    }
}

/// The end of the newest segment that holds nothing of a lane but what is settled. A lane's mark stands at
/// its last settled record, which may be far back when its records are rare.
fn settled_end(segments: &[Arc<Segment>], floor: &Floor, lane: RecordType, settled: u64) -> Seq {
    let mut count = floor.counts.get(lane.index()).copied().unwrap_or(0);
    let clean = segments.iter().take_while(|segment| {
        count += segment
            .meta
            .counts
            .get(lane.index())
            .copied()
            .map_or(0, u64::from);
        count <= settled
    });
    clean
        .last()
        .map_or(floor.head.seq, |segment| segment.meta.head.seq)
}

fn piece(segment: &Segment) -> Piece {
    Piece {
        last_seq: segment.meta.head.seq,
        newest_ms: segment.meta.head.hlc.ms(),
        bytes: segment.file_len,
    }
}
