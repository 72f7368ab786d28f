//! How retention stands.

use boboyka_strand::Seq;
use boboyka_strand::retention::{Blocker, Policy};

use crate::floor::Floor;

/// What of a strand is needed beside what the policy keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needed {
    /// Nothing: there is no Supabase, or no way back to mirroring.
    Nothing,
    /// Before `CutOver` what a way back would mirror, and after it what the mirror still owes.
    Owed,
    /// What a way back would mirror, in every phase.
    WayBack,
}

/// How retention stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetentionStatus {
    /// Records older than this may go.
    pub max_age_ms: Option<u64>,
    /// The oldest records may go while the strand takes more bytes than this.
    pub max_size_bytes: Option<u64>,
    /// When retention ran last, in milliseconds since 1970; `None` before the first run.
    pub last_run_ms: Option<u64>,
    /// The newest pruned record.
    pub pruned_seq: Seq,
    /// Of the pruned records, how many Supabase never got.
    pub pruned_unmirrored: u64,
    /// Bytes that pruning has freed since the start.
    pub freed_bytes: u64,
    /// What keeps records that the policy lets go.
    pub blocked_by: Option<Blocker>,
}

impl RetentionStatus {
    /// At the start of a store with this floor.
    pub(crate) fn begun_at(floor: &Floor) -> Self {
        let mut status = Self::default();
        status.pruned(floor);
        status
    }

    /// Takes over the policy of a run, and what the run came to.
    pub(crate) fn ran(&mut self, policy: Policy, now_ms: u64, blocked_by: Option<Blocker>) {
        self.max_age_ms = policy.max_age_ms;
        self.max_size_bytes = policy.max_size_bytes;
        self.last_run_ms = Some(now_ms);
        self.blocked_by = blocked_by;
    }

    /// The strand begins at this floor now.
    pub(crate) fn pruned(&mut self, floor: &Floor) {
        self.pruned_seq = floor.head.seq;
        self.pruned_unmirrored = floor.unmirrored.values().sum();
    }
}
