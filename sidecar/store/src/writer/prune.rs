//! Planning what is pruned: the limit that the phase and the lanes set, the cut that the policy wants,
//! and the floor that comes of both. Nothing is unlinked here: the floor is durable first.

use std::collections::BTreeSet;
use std::sync::Arc;

use boboyka_crds::Phase;
use boboyka_strand::retention::{self, Claim, LaneProgress, Piece, Policy};
use boboyka_strand::{Block, PerType, RecordType, Seq};

use super::commit::Commit;
use super::thread::Writer;
use crate::binding::{self, Binding};
use crate::change::Change;
use crate::error::{ReadError, TailError, causes};
use crate::floor::Floor;
use crate::job::Waiter;
use crate::pruning::Pruning;
use crate::retention::{Counted, Needed};
use crate::segment::Segment;
use crate::state::State;
use crate::strip;
use crate::view::View;

/// Segments that are counted at a time: sealing waits meanwhile.
const COUNTED_MAX: usize = 16;

/// What a run of retention comes to.
enum Plan {
    Nothing,
    Prune(Box<Pruning>),
    /// These are to be counted first.
    Count(Vec<Arc<Segment>>),
}

impl Writer {
    /// Plans what goes, as far as the commit has none yet.
    pub(super) fn prune(
        &mut self,
        commit: &mut Commit,
        policy: Policy,
        needed: Needed,
        (counted, reply): (&Counted, Waiter),
    ) {
        self.policy = policy;
        // A change of phase under way may change what may go: the next run sees.
        let mut plan = Plan::Nothing;
        if commit.phase.is_none() && commit.prune.is_none() {
            plan = self
                .plan_pruning(commit, policy, needed, counted)
                .unwrap_or_else(|error| {
                    let error = causes(&error);
                    tracing::error!(error, "could not plan a pruning; nothing is pruned");
                    Plan::Nothing
                });
        }
        match plan {
            Plan::Count(segments) => {
                return self.start_counting(segments, policy, needed, reply);
            }
            Plan::Prune(pruning) => commit.prune = Some(*pruning),
            Plan::Nothing => {}
        }
        commit.replies.pruned.push(reply);
    }

    /// What may and should go now, if anything.
    fn plan_pruning(
        &self,
        commit: &mut Commit,
        policy: Policy,
        needed: Needed,
        counted: &Counted,
    ) -> Result<Plan, TailError> {
        let now_ms = commit.now_ms;
        let (view, segments, archive) = {
            let state = self.shared.state();
            let segments = state.memory().segments().to_vec();
            (state.view(), segments, state.archive())
        };
        let claim = claim(&view, needed);
        let lanes = self.progress(commit, &view, &segments)?;
        let limit = retention::limit(claim, &lanes, view.mirror_until(), view.head.seq)
            .within(archive.map(|archive| archive.archived));
        let pieces: Vec<_> = segments.iter().map(|segment| piece(segment)).collect();
        let tail_bytes = view.footprint.tail_bytes as u64;
        let cut = retention::cut(policy, &pieces, tail_bytes, limit, now_ms);
        self.shared
            .change(|state| state.retention_ran(policy, now_ms, cut.blocked_by));
        let mut going = segments.get(..cut.pieces).unwrap_or_default();
        if let Some(at) = uncounted(&view, going, counted) {
            let (known, unknown) = going.split_at(at);
            if counted.is_empty() {
                let next = unknown.iter().take(COUNTED_MAX);
                return Ok(Plan::Count(next.cloned().collect()));
            }
            going = known;
        }
        let Some(last) = going.last() else {
            return Ok(Plan::Nothing);
        };
        let mut floor = Floor {
            head: last.meta.head,
            ..view.floor
        };
        for segment in going {
            segment.meta.add_to(&mut floor.counts);
        }
        if holds_only_records_of_pruning(going) {
            return Ok(Plan::Nothing);
        }
        let going_away = view.floor.head.seq + 1..=floor.head.seq;
        let mut others = PerType::<u64>::default();
        for (lane, more) in counted.range(going_away).flat_map(|(_, counted)| *counted) {
            others[lane] += more;
        }
        let letters = self.settle_floor(commit, &view, &others, &mut floor)?;
        // A legal hold may have come since the claim was made, or an archive that has not these segments.
        let begins = |state: &mut State| {
            let kept = state
                .archive()
                .is_some_and(|it| it.archived < floor.head.seq);
            !kept && state.begin_pruning()
        };
        if !self.shared.change(begins) {
            return Ok(Plan::Nothing);
        }
        let Some(binding) = bind(commit, &view.floor, &floor) else {
            self.shared.change(State::end_pruning);
            return Ok(Plan::Nothing);
        };
        Ok(Plan::Prune(Box::new(Pruning {
            floor,
            binding,
            segments: going.to_vec(),
            letters,
        })))
    }

    pub(super) fn progress(
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
    pub(super) fn letters(
        &self,
        commit: &Commit,
        lane: RecordType,
    ) -> Result<BTreeSet<Seq>, TailError> {
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
        others: &PerType<u64>,
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
                floor.unmirrored[lane] += others[lane];
            }
            going.extend(gone.into_iter().map(|seq| (lane, seq)));
        }
        Ok(going)
    }
}

/// What must be kept, and for whom.
pub(super) fn claim(view: &View, needed: Needed) -> Claim {
    match view.phase.map(|state| state.phase) {
        _ if view.retention.hold => Claim::LegalHold,
        _ if needed == Needed::Nothing => Claim::Head,
        Some(Phase::CutOver) if needed == Needed::Owed => Claim::Owed,
        Some(_) | None => Claim::Rollback,
    }
}

/// The first segment of which nobody has counted what is not mirrored, where that matters: behind the boundary, and before the
/// mark of a lane.
fn uncounted(view: &View, going: &[Arc<Segment>], counted: &Counted) -> Option<usize> {
    let (until, last) = (view.mirror_until()?, going.last()?);
    let passed = |lane: RecordType| view.marks[lane].seq >= last.meta.head.seq;
    RecordType::MIRRORED
        .into_iter()
        .find(|lane| passed(*lane))?;
    going.iter().position(|segment| {
        segment.meta.head.seq > until && !counted.contains_key(&segment.meta.first_seq())
    })
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

/// Whether segments hold nothing but records of what retention did earlier. Pruning those would add another one, so that an idle
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
            if !open.read(frame)?.iter().all(is_record_of_retention) {
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

fn is_record_of_retention(block: &Block) -> bool {
    binding::is_record(block) || strip::is_record(block)
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

pub(super) fn piece(segment: &Segment) -> Piece {
    Piece {
        last_seq: segment.meta.head.seq,
        newest_ms: segment.meta.appended_ms(segment.meta.head.hlc),
        bytes: segment.file_len,
    }
}
