//! What of a strand's oldest part may go. Pure: sizes, times and how far the lanes came are arguments.
//!
//! The invariant: `pruned ≤ mirrored ≤ head` while there is a Supabase and the phase mirrors or may go
//! back to mirroring; `pruned ≤ head` after that, but never what the mirror still owes. Under a legal hold nothing goes.

use std::fmt;

use crate::block::Seq;
use crate::record_type::{PerType, RecordType};

/// When the oldest part of a strand may go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// When its newest record is older than this many milliseconds.
    pub max_age_ms: Option<u64>,
    /// When the strand takes more bytes than this.
    pub max_size_bytes: Option<u64>,
}

impl Policy {
    /// Whether anything may ever go.
    pub fn is_some(&self) -> bool {
        self.max_age_ms.is_some() || self.max_size_bytes.is_some()
    }
}

/// A sealed segment, as retention sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Its newest record.
    pub last_seq: Seq,
    /// When that was appended.
    pub newest_ms: u64,
    /// What its file takes.
    pub bytes: u64,
}

/// How far a lane came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LaneProgress {
    /// All of its records up to here are mirrored or dead letters.
    pub mark: Seq,
    /// Of the records that the phase mirrors, how many are neither.
    pub owed: u64,
    /// Of all records, how many are neither.
    pub unmirrored: u64,
    /// Its oldest dead letter.
    pub oldest_letter: Option<Seq>,
}

/// What must be kept, and for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Everything: a legal hold.
    LegalHold,
    /// Nothing: all up to the head may go.
    Head,
    /// Whatever may come back to be mirrored: lanes and dead letters.
    Rollback,
    /// What the lanes still have to mirror in this phase.
    Owed,
}

/// Why something that the policy lets go has to stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocker {
    /// A legal hold keeps everything.
    LegalHold,
    /// A lane has not mirrored it yet.
    Lane(RecordType),
    /// A dead letter of a lane is in it.
    DeadLetters(RecordType),
    /// A return to an earlier phase would mirror it.
    Rollback,
    /// The archive does not hold it yet, or nobody has checked that it does.
    Archive,
}

/// Why the strand keeps what its policy lets go, in a few words.
impl fmt::Display for Blocker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LegalHold => f.write_str("a legal hold keeps every record"),
            Self::Lane(lane) => write!(f, "the lane {lane} has not mirrored it yet"),
            Self::DeadLetters(lane) => write!(f, "the lane {lane} has a dead letter in it"),
            Self::Rollback => f.write_str("a return to DualWrite would mirror it"),
            Self::Archive => f.write_str("the archive does not hold it yet"),
        }
    }
}

/// How far pruning may go, and what keeps it from going further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The last seq that may go.
    pub seq: Seq,
    /// What would be pruned wrongly behind it; `None` when that is the head.
    pub blocker: Option<Blocker>,
}

impl Limit {
    /// The same for a strand with an archive, which holds everything up to `archived`.
    #[must_use]
    pub fn within(self, archived: Option<Seq>) -> Self {
        match archived {
            Some(seq) if seq < self.seq => Self {
                seq,
                blocker: Some(Blocker::Archive),
            },
            Some(_) | None => self,
        }
    }
}

/// How far pruning may go. `mirror_until` is the last seq that the phase mirrors, if it ends.
pub fn limit(
    claim: Claim,
    lanes: &PerType<LaneProgress>,
    mirror_until: Option<Seq>,
    head: Seq,
) -> Limit {
    let mut limit = Limit {
        seq: head,
        blocker: None,
    };
    let mut lower = |seq: Seq, blocker| {
        if seq < limit.seq {
            limit = Limit {
                seq,
                blocker: Some(blocker),
            };
        }
    };
    if claim == Claim::LegalHold {
        lower(0, Blocker::LegalHold);
    }
    for (lane, progress) in lanes {
        if claim != Claim::Head && progress.owed > 0 {
            lower(progress.mark, Blocker::Lane(lane));
        } else if claim == Claim::Rollback && progress.unmirrored > 0 {
            // All that the phase mirrors is settled: what is left begins behind it.
            let settled = mirror_until.unwrap_or(progress.mark);
            lower(settled, Blocker::Rollback);
        }
        if claim == Claim::Rollback
            && let Some(letter) = progress.oldest_letter
        {
            lower(letter.saturating_sub(1), Blocker::DeadLetters(lane));
        }
    }
    limit
}

/// The pieces that go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// How many pieces go: the oldest ones.
    pub pieces: usize,
    /// What their files take.
    pub bytes: u64,
    /// What keeps the next piece, which the policy lets go.
    pub blocked_by: Option<Blocker>,
}

/// Which of `pieces` go; they come oldest first, and `tail_bytes` is what else the strand takes.
pub fn cut(policy: Policy, pieces: &[Piece], tail_bytes: u64, limit: Limit, now_ms: u64) -> Cut {
    let mut left: u64 = tail_bytes + pieces.iter().map(|piece| piece.bytes).sum::<u64>();
    let mut cut = Cut::default();
    for piece in pieces {
        let old = policy
            .max_age_ms
            .is_some_and(|age| now_ms.saturating_sub(piece.newest_ms) > age);
        let large = policy.max_size_bytes.is_some_and(|size| left > size);
        if !old && !large {
            break;
        }
        if piece.last_seq > limit.seq {
            cut.blocked_by = limit.blocker;
            break;
        }
        cut.pieces += 1;
        cut.bytes += piece.bytes;
        left -= piece.bytes;
    }
    cut
}

/// How long payloads of a type are kept, in milliseconds; `None` for ever.
pub type PayloadAges = PerType<Option<u64>>;

/// A segment is rewritten for as many records as this part of it, so that no type goes record by record …
const WORTH_ONE_IN: u64 = 16;
/// … and whatever it is worth when payloads are this many times as old as they may be.
const OVERDUE: u64 = 2;

/// Which types of a segment may lose their payloads now, and what keeps one that the ages let go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// The types.
    pub types: PerType<bool>,
    /// What keeps another one.
    pub blocked_by: Option<Blocker>,
}

impl Due {
    /// Whether there is any.
    pub fn is_some(&self) -> bool {
        self.types.values().any(|due| *due)
    }
}

/// Which types of a segment may lose their payloads now. `held` is how many records of each type may still have one, `limits`
/// how far each lane came. A segment is judged by its newest record, as when it is pruned whole, so that each type has it
/// rewritten once.
pub fn due(
    ages: &PayloadAges,
    piece: &Piece,
    held: &PerType<u64>,
    limits: &PerType<Limit>,
    now_ms: u64,
) -> Due {
    let age_ms = now_ms.saturating_sub(piece.newest_ms);
    let (mut due, mut going, mut overdue) = (Due::default(), 0, false);
    for (kind, max_age_ms) in ages {
        let Some(max_age_ms) = max_age_ms.filter(|max| age_ms > *max && held[kind] > 0) else {
            continue;
        };
        if piece.last_seq > limits[kind].seq {
            due.blocked_by = due.blocked_by.or(limits[kind].blocker);
            continue;
        }
        due.types[kind] = true;
        going += held[kind];
        overdue |= age_ms > max_age_ms.saturating_mul(OVERDUE);
    }
    let records: u64 = held.values().sum();
    if going * WORTH_ONE_IN < records && !overdue {
        due.types = PerType::default();
    }
    due
}

/// How far payloads of one lane may go, and what keeps the next one: what the lane alone still needs, and its dead letters,
/// which somebody may send again.
pub fn payload_limit(
    claim: Claim,
    lane: RecordType,
    progress: &LaneProgress,
    mirror_until: Option<Seq>,
    head: Seq,
) -> Limit {
    let mut lanes = PerType::<LaneProgress>::default();
    lanes[lane] = *progress;
    let limit = limit(claim, &lanes, mirror_until, head);
    match progress.oldest_letter {
        Some(letter) if letter <= limit.seq => Limit {
            seq: letter.saturating_sub(1),
            blocker: Some(Blocker::DeadLetters(lane)),
        },
        _ => limit,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BY_SIZE: Policy = Policy {
        max_age_ms: None,
        max_size_bytes: Some(250),
    };

    /// Ten segments of 100 bytes and 10 records, one a second.
    fn pieces() -> Vec<Piece> {
        (1..=10)
            .map(|n| Piece {
                last_seq: n * 10,
                newest_ms: n * 1000,
                bytes: 100,
            })
            .collect()
    }

    fn to_head() -> Limit {
        limit(Claim::Head, &PerType::default(), None, 100)
    }

    fn owing(mark: Seq) -> LaneProgress {
        LaneProgress {
            mark,
            owed: 5,
            unmirrored: 5,
            oldest_letter: None,
        }
    }

    #[test]
    fn the_oldest_go_until_the_rest_fits_and_the_tail_counts() {
        let cut = |tail| cut(BY_SIZE, &pieces(), tail, to_head(), 0);
        assert_eq!((cut(0).pieces, cut(0).bytes), (8, 800));
        assert_eq!(cut(51).pieces, 9);
        assert_eq!(cut(10_000).pieces, 10);
        assert_eq!(cut(10_000).blocked_by, None);
    }

    #[test]
    fn a_segment_goes_when_its_newest_record_is_too_old() {
        let policy = Policy {
            max_age_ms: Some(2_000),
            max_size_bytes: None,
        };
        let at = |now_ms| cut(policy, &pieces(), 0, to_head(), now_ms).pieces;
        assert_eq!((at(3_000), at(3_001), at(5_500), at(99_999)), (0, 1, 3, 10));
        // A clock that went back prunes nothing.
        assert_eq!(at(0), 0);
        assert_eq!(
            cut(Policy::default(), &pieces(), 0, to_head(), 99_999).pieces,
            0
        );
    }

    #[test]
    fn what_a_lane_owes_stays_and_the_lane_is_named() {
        let mut lanes = PerType::<LaneProgress>::default();
        lanes[RecordType::AgentHealth] = owing(35);
        for claim in [Claim::Rollback, Claim::Owed] {
            let limit = limit(claim, &lanes, None, 100);
            let blocker = Some(Blocker::Lane(RecordType::AgentHealth));
            assert_eq!((limit.seq, limit.blocker), (35, blocker));
            let cut = cut(BY_SIZE, &pieces(), 0, limit, 0);
            assert_eq!((cut.pieces, cut.blocked_by), (3, blocker));
        }
        assert_eq!(limit(Claim::Head, &lanes, None, 100), to_head());
    }

    #[test]
    fn a_rollback_needs_all_behind_the_boundary_and_a_cutover_does_not() {
        let mut lanes = PerType::<LaneProgress>::default();
        // An idle lane's mark lags; all that the phase mirrors is settled all the same.
        lanes[RecordType::AuditLog] = LaneProgress {
            mark: 7,
            owed: 0,
            unmirrored: 9,
            oldest_letter: None,
        };
        let kept = limit(Claim::Rollback, &lanes, Some(60), 100);
        assert_eq!((kept.seq, kept.blocker), (60, Some(Blocker::Rollback)));
        assert_eq!(limit(Claim::Owed, &lanes, Some(60), 100).seq, 100);
    }

    #[test]
    fn a_dead_letter_stays_as_long_as_it_may_be_sent_again() {
        let mut lanes = PerType::<LaneProgress>::default();
        lanes[RecordType::ProjectBuild].oldest_letter = Some(21);
        let kept = limit(Claim::Rollback, &lanes, None, 100);
        let blocker = Some(Blocker::DeadLetters(RecordType::ProjectBuild));
        assert_eq!((kept.seq, kept.blocker), (20, blocker));
        assert_eq!(limit(Claim::Owed, &lanes, None, 100).seq, 100);
    }

    #[test]
    fn under_a_legal_hold_nothing_goes_and_the_hold_is_named_whatever_the_lanes_owe() {
        let mut lanes = PerType::<LaneProgress>::default();
        for owed in [LaneProgress::default(), owing(0)] {
            lanes[RecordType::AuditLog] = owed;
            let limit = limit(Claim::LegalHold, &lanes, None, 100);
            let blocker = Some(Blocker::LegalHold);
            assert_eq!((limit.seq, limit.blocker), (0, blocker));
            let cut = cut(BY_SIZE, &pieces(), 0, limit, 0);
            assert_eq!((cut.pieces, cut.blocked_by), (0, blocker));
        }
    }

    const HOUR: u64 = 3_600_000;

    fn held(health: u64, others: u64) -> PerType<u64> {
        let mut held = PerType::<u64>::default();
        held[RecordType::AgentHealth] = health;
        held[RecordType::AuditLog] = others;
        held
    }

    /// Health snapshots are kept for an hour, and the lane has settled everything up to a seq.
    fn due_after(age_ms: u64, held: &PerType<u64>, settled: Seq) -> Due {
        let mut ages = PayloadAges::default();
        ages[RecordType::AgentHealth] = Some(HOUR);
        let piece = Piece {
            last_seq: 100,
            newest_ms: 0,
            bytes: 1,
        };
        let limits = PerType::from_fn(|lane: RecordType| {
            payload_limit(Claim::Owed, lane, &owing(settled), None, 1_000)
        });
        due(&ages, &piece, held, &limits, age_ms)
    }

    #[test]
    fn payloads_go_when_the_newest_record_of_their_segment_is_too_old_and_no_others_do() {
        let is_due = |age_ms| due_after(age_ms, &held(50, 50), 100).types;
        assert_eq!(is_due(HOUR), PerType::default());
        let types = is_due(HOUR + 1);
        assert!(types[RecordType::AgentHealth] && !types[RecordType::AuditLog]);
        assert!(!due_after(HOUR + 1, &held(0, 50), 100).is_some());
    }

    #[test]
    fn a_segment_is_not_rewritten_for_a_few_records_until_they_are_overdue() {
        assert!(due_after(HOUR + 1, &held(10, 150), 100).is_some());
        assert!(!due_after(HOUR + 1, &held(10, 151), 100).is_some());
        assert!(!due_after(2 * HOUR, &held(1, 1_000), 100).is_some());
        assert!(due_after(2 * HOUR + 1, &held(1, 1_000), 100).is_some());
    }

    #[test]
    fn a_payload_waits_for_its_own_lane_alone_and_for_dead_letters() {
        let waits = due_after(HOUR + 1, &held(50, 50), 99);
        let blocker = Some(Blocker::Lane(RecordType::AgentHealth));
        assert_eq!((waits.is_some(), waits.blocked_by), (false, blocker));
        let lane = RecordType::AuditLog;
        let letter = LaneProgress {
            mark: 100,
            oldest_letter: Some(40),
            ..LaneProgress::default()
        };
        for claim in [Claim::Head, Claim::Owed, Claim::Rollback] {
            let limit = payload_limit(claim, lane, &letter, None, 100);
            assert_eq!(
                (limit.seq, limit.blocker),
                (39, Some(Blocker::DeadLetters(lane)))
            );
        }
        let hold = payload_limit(Claim::LegalHold, lane, &letter, None, 100);
        assert_eq!((hold.seq, hold.blocker), (0, Some(Blocker::LegalHold)));
    }

    fn claims() -> impl Strategy<Value = Claim> {
        let (all, head) = (Just(Claim::LegalHold), Just(Claim::Head));
        prop_oneof![all, head, Just(Claim::Rollback), Just(Claim::Owed)]
    }

    fn progress() -> impl Strategy<Value = LaneProgress> {
        let letter = proptest::option::of(1_u64..200);
        (0_u64..200, 0_u64..3, 0_u64..3, letter).prop_map(|(mark, owed, more, oldest_letter)| {
            LaneProgress {
                mark,
                owed,
                unmirrored: owed + more,
                oldest_letter,
            }
        })
    }

    proptest! {
        #[test]
        fn nothing_that_is_needed_is_ever_cut(
            claim in claims(),
            lanes in proptest::array::uniform4(progress()),
            mirror_until in proptest::option::of(0_u64..200),
            archived in proptest::option::of(0_u64..200),
            sizes in proptest::collection::vec((1_u64..20, 1_u64..300), 0..15),
            max_age_ms in proptest::option::of(0_u64..5_000),
            max_size_bytes in proptest::option::of(0_u64..2_000),
            tail_bytes in 0_u64..500,
            now_ms in 0_u64..10_000,
        ) {
            let mut at = 0;
            let pieces: Vec<_> = sizes.iter().map(|(records, bytes)| {
                at += records;
                Piece { last_seq: at, newest_ms: at * 20, bytes: *bytes }
            }).collect();
            let head = at + 3;
            let mut progress = PerType::<LaneProgress>::default();
            for (lane, came) in RecordType::MIRRORED.into_iter().zip(lanes) {
                progress[lane] = came;
            }
            let limit = limit(claim, &progress, mirror_until, head).within(archived);
            let policy = Policy { max_age_ms, max_size_bytes };
            let cut = cut(policy, &pieces, tail_bytes, limit, now_ms);
            let floor = pieces[..cut.pieces].last().map_or(0, |piece| piece.last_seq);
            prop_assert!(floor <= limit.seq && limit.seq <= head);
            prop_assert!(claim != Claim::LegalHold || floor == 0);
            prop_assert!(archived.is_none_or(|archived| floor <= archived));
            for lane in &lanes {
                let owes = claim != Claim::Head && lane.owed > 0;
                prop_assert!(!owes || floor <= lane.mark);
                let letter = lane.oldest_letter.filter(|_| claim == Claim::Rollback);
                prop_assert!(letter.is_none_or(|letter| floor < letter));
                if claim == Claim::Rollback && lane.unmirrored > 0 {
                    prop_assert!(floor <= lane.mark.max(mirror_until.unwrap_or(0)));
                }
            }
            // The policy is obeyed and not more: the last one that went had to, the next one has not.
            let left: u64 = tail_bytes + pieces[cut.pieces..].iter().map(|p| p.bytes).sum::<u64>();
            let wanted = |piece: &Piece, left: u64| {
                max_age_ms.is_some_and(|age| now_ms.saturating_sub(piece.newest_ms) > age)
                    || max_size_bytes.is_some_and(|size| left > size)
            };
            if let Some(last) = pieces[..cut.pieces].last() {
                prop_assert!(wanted(last, left + last.bytes));
            }
            if let Some(next) = pieces.get(cut.pieces) {
                prop_assert_eq!(wanted(next, left), cut.blocked_by.is_some());
            }
        }
    }
}
