//! How an integration stands, from what was seen, decided and done. Pure.
//!
//! `Ready` sums up, `Reconciling` and `Stalled` are there only while they are true, so that kstatus, `kubectl wait` and
//! Argo CD read it rightly. A condition that nothing is known of yet is not there.

mod chain;
mod conditions;

use std::collections::BTreeMap;
use std::time::Duration;

use boboyka_crds::{BoboykaIntegration, BoboykaStrand, IntegrationStatus, Phase, StrandCounts};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;

use super::apply::Applied;
use super::observe::{INTERVAL_MIN, Seen};
use super::rollout::Rollout;
use crate::integration::{Storage, Validated};
use crate::phases::{Decision, Evidence};

pub(super) use chain::chain_of;
use conditions::{Conditions, Verdict};

/// Steady reports of a whole cluster in a second, at the most; as many urgent ones may come on top.
const REPORTS_PER_SECOND: usize = 10;

/// What the status is made of.
pub(super) struct Facts<'a> {
    pub(super) validated: &'a Validated,
    pub(super) seen: &'a Seen,
    pub(super) evidence: &'a [Evidence],
    pub(super) decision: &'a Decision,
    pub(super) rollout: &'a Rollout,
    pub(super) applied: &'a Applied,
    pub(super) now: &'a Time,
}

/// The status of an integration that can't be acted on: what was in force stays in force.
pub(super) fn invalid(
    integration: &BoboykaIntegration,
    before: &IntegrationStatus,
    why: &str,
    now: &Time,
) -> IntegrationStatus {
    let generation = integration.metadata.generation;
    let mut conditions = Conditions::after(&before.conditions, generation, now);
    conditions.set("Ready", Verdict::no("InvalidSpec", why));
    conditions.set("Stalled", Verdict::yes("InvalidSpec", why));
    IntegrationStatus {
        observed_generation: generation,
        conditions: conditions.list(),
        ..before.clone()
    }
}

/// The status.
pub(super) fn status(facts: &Facts<'_>, before: &IntegrationStatus) -> IntegrationStatus {
    let (seen, decision) = (facts.seen, facts.decision);
    let strands = counts(facts);
    let statuses = || {
        seen.strands
            .iter()
            .filter_map(|strand| strand.status.as_ref())
    };
    let mut records_by_type: BTreeMap<String, i64> = BTreeMap::new();
    for (record_type, count) in statuses().flat_map(|status| &status.records_by_type) {
        *records_by_type.entry(record_type.clone()).or_default() += count;
    }
    let backlog = statuses().map(|status| status.backlog).sum();
    let lag_ms = statuses()
        .filter(|one| one.backlog > 0)
        .map(|one| one.lag_ms)
        .max()
        .unwrap_or_default();
    let supabase_url = statuses()
        .rev()
        .find_map(|status| status.supabase_url.clone());
    let mut status = IntegrationStatus {
        observed_generation: Some(facts.validated.generation),
        phase: Some(decision.phase),
        phase_generation: Some(decision.generation),
        transition: decision.transition.clone(),
        strands,
        records: statuses().map(|status| status.records).sum(),
        records_by_type,
        backlog,
        lag: (backlog > 0).then(|| coarse(lag_ms)),
        dead_letters: statuses().map(|status| status.dead_letters).sum(),
        supabase_url: supabase_url.filter(|_| facts.validated.secret.is_some()),
        report_interval_seconds: Some(interval(seen.fleet)),
        conditions: Vec::new(),
    };
    status.conditions = conditions(facts, before, &status);
    status
}

/// How often each sidecar reports, so that all of them together don't burden the API server.
fn interval(fleet: usize) -> i32 {
    i32::try_from(fleet.div_ceil(REPORTS_PER_SECOND))
        .unwrap_or(i32::MAX)
        .max(INTERVAL_MIN)
}

fn counts(facts: &Facts<'_>) -> StrandCounts {
    let count = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
    let strands = &facts.seen.strands;
    let held = strands
        .iter()
        .filter(|strand| strand.spec.holder.is_some())
        .count();
    let ready = strands
        .iter()
        .zip(facts.evidence)
        .filter(|(strand, evidence)| is_ready(strand, evidence))
        .count();
    StrandCounts {
        total: count(strands.len()),
        held: count(held),
        ready: count(ready),
        summary: Some(format!("{ready}/{held}")),
    }
}

fn is_ready(strand: &BoboykaStrand, evidence: &Evidence) -> bool {
    evidence.fresh && strand.status.as_ref().is_some_and(|status| status.ready)
}

/// An age in words, coarser the older: a status that changed with every second would be written every second.
fn coarse(ms: i64) -> String {
    let seconds = ms / 1000;
    match seconds {
        ..10 => format!("{seconds}s"),
        10..60 => format!("{}s", seconds / 10 * 10),
        60..3600 => format!("{}m", seconds / 60),
        _ => format!("{}h{}m", seconds / 3600, seconds % 3600 / 600 * 10),
    }
}

fn conditions(
    facts: &Facts<'_>,
    before: &IntegrationStatus,
    status: &IntegrationStatus,
) -> Vec<k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition> {
    let mut all = Conditions::after(
        &before.conditions,
        Some(facts.validated.generation),
        facts.now,
    );
    all.set("ChainIntact", chains(facts));
    for kind in [
        "CredentialsAccepted",
        "SupabaseReachable",
        "RetentionEnforced",
    ] {
        if let Some(verdict) = reported(facts, kind) {
            all.set(kind, verdict);
        }
    }
    if let Some(verdict) = mirror(facts, status) {
        all.set("MirrorCaughtUp", verdict);
    }
    all.set("StorageDurable", durable(facts));
    if facts.validated.selector.is_some() {
        all.set("WorkloadsSelected", selected(facts));
    }
    all.set("SidecarsUpToDate", up_to_date(facts.rollout));
    let stalled = stalled(facts);
    let ready = ready(facts, status, &all, stalled.as_ref());
    if !ready.holds && stalled.is_none() && is_under_way(facts, status) {
        all.set("Reconciling", Verdict::yes(&ready.reason, &ready.message));
    }
    if let Some(stalled) = stalled {
        all.set("Stalled", stalled);
    }
    all.set("Ready", ready);
    all.list()
}

fn ready(
    facts: &Facts<'_>,
    status: &IntegrationStatus,
    all: &Conditions<'_>,
    stalled: Option<&Verdict>,
) -> Verdict {
    if let Some(stalled) = stalled {
        return Verdict::no(&stalled.reason, &stalled.message);
    }
    if let Some(failure) = facts.applied.failures.first() {
        return Verdict::no("NotApplied", failure);
    }
    if let Some(bad) = all.first_false(&["ChainIntact", "CredentialsAccepted", "WorkloadsSelected"])
    {
        return bad;
    }
    if let Some(transition) = &status.transition {
        let closed = transition.gates.iter().filter(|gate| !gate.passed);
        let closed: Vec<String> = closed
            .map(|gate| format!("{}: {}", gate.name, gate.message))
            .collect();
        let message = format!("{} waits: {}", transition.to, closed.join("; "));
        return Verdict::no("PhaseGateClosed", &message);
    }
    if facts.validated.phase != facts.decision.phase && !facts.validated.suspended {
        return Verdict::no(
            "PhaseAdvancing",
            &format!(
                "{} is in force on the way to {}",
                facts.decision.phase, facts.validated.phase
            ),
        );
    }
    let bare = facts
        .seen
        .pods
        .iter()
        .filter(|pod| pod.strand.is_none())
        .count();
    if bare > 0 {
        return Verdict::no(
            "SidecarMissing",
            &format!(
                "{bare} labelled pods were started without a sidecar; delete them to have them started anew"
            ),
        );
    }
    let waiting = facts.seen.strands.iter().zip(facts.evidence);
    let waiting: Vec<String> = waiting
        .filter(|(strand, evidence)| strand.spec.holder.is_some() && !is_ready(strand, evidence))
        .map(|(strand, _)| strand.name_any())
        .collect();
    if !waiting.is_empty() {
        return Verdict::no(
            "SidecarsNotReady",
            &format!("not ready: {}", some_of(&waiting)),
        );
    }
    match status.strands.held {
        0 => Verdict::yes("NoPods", "no pod of this integration is running"),
        held => Verdict::yes(
            "AsExpected",
            &format!("{held} strands are held, and all sidecars are ready"),
        ),
    }
}

/// Whether something is on its way that needs nobody's help.
fn is_under_way(facts: &Facts<'_>, status: &IntegrationStatus) -> bool {
    status.transition.is_some()
        || status.strands.ready < status.strands.held
        || facts.validated.phase != facts.decision.phase
        || !facts.applied.failures.is_empty()
}

fn stalled(facts: &Facts<'_>) -> Option<Verdict> {
    match facts.rollout {
        Rollout::Stopped { pod, left, .. } => Some(Verdict::yes(
            "RolloutStopped",
            &format!(
                "the sidecar of {pod} did not come up with {}: {left} others stay as they are until spec.sidecar.image changes",
                facts.validated.image
            ),
        )),
        Rollout::Done
        | Rollout::Next { .. }
        | Rollout::Moving { .. }
        | Rollout::Suspended { .. } => None,
    }
}

fn up_to_date(rollout: &Rollout) -> Verdict {
    let behind = |reason: &str, left: &usize| {
        Verdict::no(reason, &format!("{left} sidecars run another image"))
    };
    match rollout {
        Rollout::Done => Verdict::yes(
            "AsExpected",
            "every sidecar runs the image that is asked for",
        ),
        Rollout::Next { left, .. } | Rollout::Moving { left, .. } => behind("RollingOut", left),
        Rollout::Stopped { left, .. } => behind("RolloutStopped", left),
        Rollout::Suspended { left } => behind("Suspended", left),
    }
}

fn chains(facts: &Facts<'_>) -> Verdict {
    let broken = facts.seen.strands.iter().filter_map(|strand| {
        chain_of(strand)
            .err()
            .map(|problem| (strand.name_any(), problem))
    });
    let broken: Vec<_> = broken.collect();
    match broken.first() {
        None => Verdict::yes(
            "AsExpected",
            "every strand is the one that was seen before, and its chain holds",
        ),
        Some((_, first)) => {
            let told: Vec<String> = broken
                .iter()
                .map(|(name, problem)| format!("{name}: {problem}"))
                .collect();
            Verdict::no(first.reason(), &some_of(&told))
        }
    }
}

/// What the sidecars say of a kind: no, if one of them does.
fn reported(facts: &Facts<'_>, kind: &str) -> Option<Verdict> {
    let held = facts
        .seen
        .strands
        .iter()
        .filter(|strand| strand.spec.holder.is_some());
    let said = held.filter_map(|strand| {
        let conditions = &strand.status.as_ref()?.conditions;
        Some((
            strand.name_any(),
            conditions.iter().find(|one| one.type_ == kind)?,
        ))
    });
    let said: Vec<_> = said.collect();
    let (_, any) = said.first()?;
    let no: Vec<_> = said
        .iter()
        .filter(|(_, one)| one.status == "False")
        .collect();
    Some(match no.first() {
        None if any.message.is_empty() => Verdict::yes(&any.reason, "every sidecar says so"),
        None => Verdict::yes(&any.reason, &any.message),
        Some((_, first)) => {
            let told: Vec<String> = no
                .iter()
                .map(|(name, one)| format!("{name}: {}", one.message))
                .collect();
            Verdict::no(&first.reason, &some_of(&told))
        }
    })
}

fn mirror(facts: &Facts<'_>, status: &IntegrationStatus) -> Option<Verdict> {
    facts.validated.secret.as_ref()?;
    Some(if status.dead_letters > 0 {
        Verdict::no(
            "DeadLetters",
            &format!(
                "Supabase refuses {} records; GET /v1/boboyka/mirror of their sidecars tells why",
                status.dead_letters
            ),
        )
    } else if status.backlog > 0 {
        Verdict::no(
            "Backlog",
            "records wait for Supabase; status.backlog counts them",
        )
    } else if facts.decision.phase == Phase::DualWrite {
        Verdict::yes("AsExpected", "Supabase has every record")
    } else {
        Verdict::yes(
            "PhaseMirrorsNothing",
            &format!(
                "Supabase has every record from before {}",
                facts.decision.phase
            ),
        )
    })
}

fn durable(facts: &Facts<'_>) -> Verdict {
    match facts.validated.storage {
        Storage::Claim { .. } => {
            Verdict::yes("AsExpected", "every strand is on a volume of its own")
        }
        Storage::Ephemeral { .. } => Verdict::no(
            "EphemeralStorage",
            "strands go with their pods; Supabase holds the copy",
        ),
    }
}

fn selected(facts: &Facts<'_>) -> Verdict {
    let contested = &facts.applied.contested;
    if contested.is_empty() {
        return Verdict::yes(
            "AsExpected",
            "every workload that is selected has the label",
        );
    }
    Verdict::no(
        "Conflict",
        &format!("somebody else set the label of {}", some_of(contested)),
    )
}

/// The first few of a list, and how many more there are.
fn some_of(all: &[String]) -> String {
    const MOST: usize = 5;
    let told: Vec<&str> = all.iter().take(MOST).map(String::as_str).collect();
    match all.len().checked_sub(MOST).filter(|more| *more > 0) {
        Some(more) => format!("{} and {more} more", told.join(", ")),
        None => told.join(", "),
    }
}

/// How long after one write of counters alone the next is due: the more integrations, the later.
pub(super) fn pace(integrations: usize) -> Duration {
    const FASTEST: Duration = Duration::from_secs(1);
    const WRITES_PER_SECOND: u64 = 5;
    FASTEST.max(
        Duration::from_millis(1000 / WRITES_PER_SECOND)
            * u32::try_from(integrations).unwrap_or(u32::MAX),
    )
}

#[cfg(test)]
mod tests;
