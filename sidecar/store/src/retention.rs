//! How retention stands.

use std::collections::BTreeMap;

use boboyka_strand::retention::{Blocker, PayloadAges, Policy};
use boboyka_strand::{PerType, Seq};

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

/// Records that are not mirrored, of each lane, by the first seqs of the segments that hold them.
pub(crate) type Counted = BTreeMap<Seq, PerType<u64>>;

/// How retention stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetentionStatus {
    /// Whether a legal hold keeps everything.
    pub hold: bool,
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
    /// Payloads older than this may go, by type.
    pub payload_ages: PayloadAges,
    /// Records that are held without their payload.
    pub payloads_gone: u64,
    /// What keeps payloads that the ages let go.
    pub payloads_blocked_by: Option<Blocker>,
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

    /// Takes over the ages of a look at what payloads may go, and what it came to.
    pub(crate) fn stripping_ran(
        &mut self,
        ages: PayloadAges,
        now_ms: u64,
        blocked_by: Option<Blocker>,
    ) {
        self.payload_ages = ages;
        self.last_run_ms = Some(now_ms);
        self.payloads_blocked_by = blocked_by;
    }

    /// A legal hold begins or ends. What it kept is known again after the next run.
    pub(crate) fn hold(&mut self, hold: bool) {
        self.hold = hold;
        self.blocked_by.take_if(|_| !hold);
        self.payloads_blocked_by.take_if(|_| !hold);
    }

    /// The strand begins at this floor now.
    pub(crate) fn pruned(&mut self, floor: &Floor) {
        self.pruned_seq = floor.head.seq;
        self.pruned_unmirrored = floor.unmirrored.values().sum();
    }
}
