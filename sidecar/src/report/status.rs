//! A report: from what the sidecar sees of itself to its strand's status. Pure.

use boboyka_crds::{self as crds, Boundary, Chain, HeadReference, StrandStatus};
use boboyka_mirror::LaneStatus;
use boboyka_store::{PhaseState, RetentionStatus};
use boboyka_strand::{Hash, Head, RECORD_TYPES, RecordType, Seq};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use uuid::Uuid;

use super::conditions::conditions;

/// What the sidecar sees of itself.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    /// Whether it takes records.
    pub(super) ready: bool,
    pub(super) strand_id: Uuid,
    pub(super) head: Head,
    /// The newest pruned block; seq 0 when nothing was pruned.
    pub(super) floor: Head,
    /// The block that the operator asked for, if the strand has it.
    pub(super) witnessed: Option<(Seq, Hash)>,
    /// Records of each type, pruned ones too.
    pub(super) counts: [u64; RECORD_TYPES],
    pub(super) lanes: Vec<LaneStatus>,
    pub(super) chain: Chain,
    pub(super) phase: Option<PhaseState>,
    pub(super) boundary: Option<Boundary>,
    /// Whether the integration names a Supabase.
    pub(super) has_supabase: bool,
    pub(super) supabase_url: Option<String>,
    pub(super) disk_bytes: u64,
    pub(super) retention: RetentionStatus,
}

/// The strand's status, as the sidecar of this pod says it now. `before` are the conditions that were said last.
pub(super) fn status(
    snapshot: &Snapshot,
    pod_uid: &str,
    now: Timestamp,
    before: &[Condition],
) -> StrandStatus {
    let by_type = RecordType::ALL.into_iter().zip(snapshot.counts);
    let lanes = &snapshot.lanes;
    StrandStatus {
        pod_uid: Some(pod_uid.to_owned()),
        reported_at: Some(Time(now)),
        ready: snapshot.ready,
        strand_id: Some(snapshot.strand_id.to_string()),
        head: Some(reference(snapshot.head.seq, snapshot.head.hash)),
        floor: (snapshot.floor.seq > 0).then(|| reference(snapshot.floor.seq, snapshot.floor.hash)),
        witnessed: snapshot.witnessed.map(|(seq, hash)| reference(seq, hash)),
        records: number(snapshot.counts.iter().sum()),
        records_by_type: by_type
            .map(|(kind, count)| (kind.name().to_owned(), number(count)))
            .collect(),
        lanes: lanes.iter().map(lane).collect(),
        backlog: number(lanes.iter().map(|lane| lane.backlog).sum()),
        lag_ms: number(lanes.iter().map(|lane| lane.lag_ms).max().unwrap_or(0)),
        dead_letters: number(lanes.iter().map(|lane| lane.dead_lettered).sum()),
        chain: Some(snapshot.chain.clone()),
        phase: snapshot.phase.map(|state| state.phase),
        phase_generation: snapshot.phase.map(|state| state.generation),
        boundary: snapshot.boundary.clone(),
        supabase_url: snapshot.supabase_url.clone(),
        disk_bytes: number(snapshot.disk_bytes),
        version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        conditions: conditions(snapshot, now, before),
    }
}

/// What of a status must be known at once: all but the figures that move by themselves.
pub(super) fn health(status: &StrandStatus) -> StrandStatus {
    let mut health = StrandStatus {
        reported_at: None,
        head: None,
        floor: None,
        records: 0,
        records_by_type: [].into(),
        backlog: 0,
        lag_ms: 0,
        dead_letters: status.dead_letters.min(1),
        disk_bytes: 0,
        ..status.clone()
    };
    for lane in &mut health.lanes {
        *lane = crds::LaneStatus {
            record_type: std::mem::take(&mut lane.record_type),
            state: std::mem::take(&mut lane.state),
            reason: None,
            mark: 0,
            backlog: 0,
            dead_letters: 0,
        };
    }
    for condition in &mut health.conditions {
        condition.message = String::new();
        condition.last_transition_time = Time(Timestamp::UNIX_EPOCH);
    }
    health
}

/// Whether two reports say the same, whenever they said it.
pub(super) fn same(one: &StrandStatus, other: &StrandStatus) -> bool {
    let at_no_time = |status: &StrandStatus| StrandStatus {
        reported_at: None,
        ..status.clone()
    };
    at_no_time(one) == at_no_time(other)
}

fn lane(lane: &LaneStatus) -> crds::LaneStatus {
    crds::LaneStatus {
        record_type: lane.record_type.name().to_owned(),
        state: lane.state.name().to_owned(),
        reason: lane.reason.clone(),
        mark: number(lane.mark),
        backlog: number(lane.backlog),
        dead_letters: number(lane.dead_lettered),
    }
}

fn reference(seq: Seq, hash: Hash) -> HeadReference {
    HeadReference {
        seq: number(seq),
        hash: hash.to_string(),
    }
}

/// Kubernetes' numbers have a sign.
fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
