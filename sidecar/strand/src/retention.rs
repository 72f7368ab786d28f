//! What of a strand's oldest part may go. Pure: sizes, times and how far the lanes came are arguments.
//!
//! The invariant: `pruned ≤ mirrored ≤ head` while there is a Supabase and the phase mirrors or may go
//! back to mirroring; `pruned ≤ head` after that, but never what the mirror still owes.

use crate::block::Seq;
use crate::record_type::{RECORD_TYPES, RecordType};

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
    /// A lane has not mirrored it yet.
    Lane(RecordType),
    /// A dead letter of a lane is in it.
    DeadLetters(RecordType),
    /// A return to an earlier phase would mirror it.
    Rollback,
}

/// How far pruning may go, and what keeps it from going further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The last seq that may go.
    pub seq: Seq,
    /// What would be pruned wrongly behind it; `None` when that is the head.
    pub blocker: Option<Blocker>,
}

/// How far pruning may go. `mirror_until` is the last seq that the phase mirrors, if it ends.
pub fn limit(
    claim: Claim,
    lanes: &[LaneProgress; RECORD_TYPES],
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
    for (lane, progress) in RecordType::ALL.into_iter().zip(lanes) {
        if claim != Claim::Head && progress.owed > 0 {
            lower(progress.mark, Blocker::Lane(lane));
        } else if claim == Claim::Rollback && progress.unmirrored > 0 {
            // All that the phase mirrors is settled: what is left begins behind it.
            let settled = mirror_until.unwrap_or(0).max(progress.mark);
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

/// What is to go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// So many pieces, the oldest ones.
    pub pieces: usize,
    /// What their files take.
    pub bytes: u64,
    /// What keeps the next piece, which the policy lets go.
    pub blocked_by: Option<Blocker>,
}

/// What is to go of `pieces`, which come oldest first; `tail_bytes` is what else the strand takes.
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
