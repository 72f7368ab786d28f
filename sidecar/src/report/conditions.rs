//! The conditions of a report: whether Supabase answers, whether it takes the credentials, whether retention is
//! enforced, whether the clock is behind the strand, whether witnesses cosign its log, whether it is archived, whether the strand is
//! damaged.
//! Pure. A condition that says nothing about this strand, such as Supabase's while nothing is mirrored, is left out.

use boboyka_mirror::{LaneState, LaneStatus};
use boboyka_strand::retention::Blocker;
use enum_map::Enum;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

use super::log::Witnessing;
use super::snapshot::Snapshot;
use crate::archive::Archived;

const REACHABLE: &str = "SupabaseReachable";
const ACCEPTED: &str = "CredentialsAccepted";
const RETENTION: &str = "RetentionEnforced";
const CLOCK: &str = "ClockInStep";
const COSIGNED: &str = "CheckpointsCosigned";
const ARCHIVED: &str = "Archived";
/// There while it is true, so that kstatus reads the strand as failed: nothing mends a damaged one by itself.
const STALLED: &str = "Stalled";
/// A strand may be this far ahead of the clock, in milliseconds: clocks of nodes differ a little.
const AHEAD_MAX_MS: u64 = 60_000;

/// Of a message, which repeats what Supabase answered.
const MESSAGE_MAX: usize = 500;

/// Every reason that a condition of a sidecar can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub(super) enum Reason {
    /// Supabase answers, or its table took rows with these credentials.
    RequestsAnswered,
    /// Requests to Supabase fail.
    RequestsFail,
    /// Nothing was sent that could show it.
    NotTried,
    /// No credentials are mounted, or they can't be read.
    CredentialsMissing,
    /// Supabase refuses the key or a grant.
    CredentialsRefused,
    /// Retention keeps what its policy allows.
    Enforced,
    /// Retention has not run yet.
    NotRunYet,
    /// A legal hold keeps every record.
    LegalHold,
    /// A lane has yet to mirror what the policy lets go.
    WaitsForMirror,
    /// A dead letter is in what the policy lets go.
    WaitsForDeadLetters,
    /// A return to an earlier phase would mirror what the policy lets go.
    KeptForRollback,
    /// The archive does not hold what the policy lets go.
    WaitsForArchive,
    /// The strand's time is ahead of the clock.
    ClockBehind,
    /// Every witness cosigns.
    Cosigned,
    /// A witness can't be asked, or does not answer.
    WitnessMissing,
    /// A witness holds another tree of the log.
    WitnessContradicts,
    /// The archive has a part of the strand and takes more; how late it is, the figures tell.
    ArchiveHolds,
    /// The strand can't be archived.
    ArchiveFails,
    /// The strand is damaged.
    ChainBroken,
}

impl Reason {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::RequestsAnswered => "RequestsAnswered",
            Self::RequestsFail => "RequestsFail",
            Self::NotTried => "NotTried",
            Self::CredentialsMissing => "CredentialsMissing",
            Self::CredentialsRefused => "CredentialsRefused",
            Self::Enforced => "Enforced",
            Self::NotRunYet => "NotRunYet",
            Self::LegalHold => "LegalHold",
            Self::WaitsForMirror => "WaitsForMirror",
            Self::WaitsForDeadLetters => "WaitsForDeadLetters",
            Self::KeptForRollback => "KeptForRollback",
            Self::WaitsForArchive => "WaitsForArchive",
            Self::ClockBehind => "ClockBehind",
            Self::Cosigned => "Cosigned",
            Self::WitnessMissing => "WitnessMissing",
            Self::WitnessContradicts => "WitnessContradicts",
            Self::ArchiveHolds => "ArchiveHolds",
            Self::ArchiveFails => "ArchiveFails",
            Self::ChainBroken => "ChainBroken",
        }
    }
}

/// What is known of a condition: status, reason, message.
type Finding = (&'static str, Reason, String);

/// The conditions, with their times kept where they say the same as `before`.
pub(super) fn conditions(
    snapshot: &Snapshot,
    now: Timestamp,
    before: &[Condition],
) -> Vec<Condition> {
    let earlier = |kind: &str| before.iter().find(|one| one.type_ == kind);
    let (mut found, lanes) = (Vec::new(), open(snapshot));
    if !lanes.is_empty() {
        found.push((REACHABLE, Some(reachable(snapshot, &lanes))));
        found.push((ACCEPTED, accepted(snapshot, &lanes)));
    }
    let policy = snapshot.strand.retention;
    let has_ages = policy.payload_ages.values().any(Option::is_some);
    if policy.hold || has_ages || policy.max_age_ms.or(policy.max_size_bytes).is_some() {
        found.push((RETENTION, Some(retention(snapshot))));
    }
    let now_ms = u64::try_from(now.as_millisecond()).unwrap_or_default();
    if snapshot.strand.ahead_ms(now_ms) > AHEAD_MAX_MS {
        found.push((CLOCK, Some(clock_behind())));
    }
    if let Some(witnessing) = &snapshot.witnessed_log {
        found.push((COSIGNED, cosigned(witnessing)));
    }
    if let Some(archived) = &snapshot.archive {
        found.push((ARCHIVED, Some(archived_so(archived))));
    }
    if !snapshot.chain.intact {
        found.push((STALLED, Some(chain_broken(snapshot))));
    }
    let condition = |(kind, finding): (&str, Option<Finding>)| match (finding, earlier(kind)) {
        (Some(finding), earlier) => of(kind, finding, now, earlier),
        (None, Some(earlier)) => earlier.clone(),
        (None, None) => of(
            kind,
            ("Unknown", Reason::NotTried, String::new()),
            now,
            None,
        ),
    };
    let mut conditions: Vec<_> = found.into_iter().map(condition).collect();
    let mut all = conditions.iter_mut();
    if let Some(held) = all.find(|it| it.reason == Reason::LegalHold.as_str()) {
        held.observed_generation = snapshot.held_since;
    }
    conditions
}

/// The lanes that have anything to do with Supabase.
fn open(snapshot: &Snapshot) -> Vec<&LaneStatus> {
    if !snapshot.has_supabase && snapshot.supabase_url.is_none() {
        return Vec::new();
    }
    let lanes = snapshot.lanes.iter();
    lanes
        .filter(|lane| lane.state != LaneState::Closed)
        .collect()
}

fn reachable(snapshot: &Snapshot, lanes: &[&LaneStatus]) -> Finding {
    if snapshot.supabase_url.is_none() {
        let message = "the sidecar has no credentials to try it with";
        return ("Unknown", Reason::NotTried, message.to_owned());
    }
    if let Some(lane) = first(lanes, &[LaneState::Open, LaneState::BackingOff]) {
        return ("False", Reason::RequestsFail, message(lane));
    }
    ("True", Reason::RequestsAnswered, String::new())
}

/// `None` where nothing new is known.
fn accepted(snapshot: &Snapshot, lanes: &[&LaneStatus]) -> Option<Finding> {
    if snapshot.supabase_url.is_none() {
        let reason = lanes.first().and_then(|lane| lane.reason.clone());
        let message = reason.unwrap_or_else(|| "no credentials are mounted".to_owned());
        return Some(("False", Reason::CredentialsMissing, message));
    }
    if let Some(lane) = first(lanes, &[LaneState::AuthFailed]) {
        return Some(("False", Reason::CredentialsRefused, message(lane)));
    }
    let taken = [
        LaneState::Mirroring,
        LaneState::SchemaMismatch,
        LaneState::Refused,
    ];
    first(lanes, &taken).map(|_| ("True", Reason::RequestsAnswered, String::new()))
}

fn retention(snapshot: &Snapshot) -> Finding {
    let retention = &snapshot.strand.retention;
    if retention.hold {
        let message = "a legal hold keeps every record: spec.retention.hold";
        return ("False", Reason::LegalHold, message.to_owned());
    }
    if let Some(blocker) = retention.blocked_by.or(retention.payloads_blocked_by) {
        let reason = match blocker {
            Blocker::LegalHold => Reason::LegalHold,
            Blocker::Lane(_) => Reason::WaitsForMirror,
            Blocker::DeadLetters(_) => Reason::WaitsForDeadLetters,
            Blocker::Rollback => Reason::KeptForRollback,
            Blocker::Archive => Reason::WaitsForArchive,
        };
        return ("False", reason, blocker.to_string());
    }
    if retention.last_run_ms.is_none() {
        return ("Unknown", Reason::NotRunYet, String::new());
    }
    let message = match retention.pruned_seq {
        0 => "retention had nothing to prune yet".to_owned(),
        seq => format!("retention pruned the strand up to seq {seq}"),
    };
    ("True", Reason::Enforced, message)
}

/// The message has no number, which would change with every report.
fn clock_behind() -> Finding {
    let message = "the newest record is more than a minute ahead of the node's clock, which went back: set the clock; until it \
                   has caught up, new records get the time of the newest";
    ("False", Reason::ClockBehind, message.to_owned())
}

/// `None` where nothing new is known.
fn cosigned(witnessing: &Witnessing) -> Option<Finding> {
    match witnessing {
        Witnessing::Begun => None,
        Witnessing::Cosigned => Some(("True", Reason::Cosigned, String::new())),
        Witnessing::Missing(why) => Some(("False", Reason::WitnessMissing, why.clone())),
        Witnessing::Contradicted(why) => Some(("False", Reason::WitnessContradicts, why.clone())),
    }
}

/// The message names the kind of a failure and what to do, and nothing that a store answered.
fn archived_so(archived: &Archived) -> Finding {
    let status = archived.status.borrow();
    if let Some(fault) = &status.fault {
        let message = format!("{}: {}", fault.kind.name(), fault.kind.next_step());
        return ("False", Reason::ArchiveFails, message);
    }
    if status.seq == 0 {
        let message = "nothing was seen in the archive yet";
        return ("Unknown", Reason::NotTried, message.to_owned());
    }
    let message = "no failure; status.archive.waitingSegments is what it does not have yet";
    ("True", Reason::ArchiveHolds, message.to_owned())
}

fn chain_broken(snapshot: &Snapshot) -> Finding {
    let why = snapshot.chain.reason.clone();
    ("True", Reason::ChainBroken, why.unwrap_or_default())
}

fn first<'a>(lanes: &[&'a LaneStatus], states: &[LaneState]) -> Option<&'a LaneStatus> {
    lanes
        .iter()
        .copied()
        .find(|lane| states.contains(&lane.state))
}

fn message(lane: &LaneStatus) -> String {
    format!(
        "{}: {}",
        lane.table,
        lane.reason.as_deref().unwrap_or(lane.state.name())
    )
}

fn of(
    kind: &str,
    (status, reason, message): Finding,
    now: Timestamp,
    earlier: Option<&Condition>,
) -> Condition {
    let since = earlier.filter(|earlier| earlier.status == status);
    Condition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: reason.as_str().to_owned(),
        message: message.chars().take(MESSAGE_MAX).collect(),
        last_transition_time: since
            .map_or(Time(now), |earlier| earlier.last_transition_time.clone()),
        observed_generation: None,
    }
}
