//! The status of an integration, from what was seen, decided and applied. Pure.
//!
//! `Ready` sums up; `Reconciling` and `Stalled` exist only while they are true, so that kstatus, `kubectl wait` and
//! Argo CD read them rightly. A condition of which nothing is known yet is absent.

mod archive;
mod backfill;
mod chain;
mod checks;
mod conditions;
mod facts;
mod fences;
mod finding;
mod legacy;
mod mirror;
mod ready;
mod reported;
mod retention;
mod sidecars;
mod storage;
mod tally;
mod workloads;

use std::time::Duration;

use boboyka_crds::{BoboykaIntegration, IntegrationStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::seen::INTERVAL_MIN;
use crate::reason::{ConditionType, Reason};
use checks::findings;
use conditions::Conditions;
pub(super) use facts::Facts;
use finding::Finding;
use tally::Tally;

/// Regular reports of a whole cluster per second, at most; as many urgent ones may come on top.
const REPORTS_PER_SECOND: usize = 10;
/// Writes of counters alone per second, of all integrations together.
const COUNTER_WRITES_PER_SECOND: u64 = 5;
/// The shortest time between two writes of counters alone to one integration.
const PACE_MIN: Duration = Duration::from_secs(1);

/// The status of an integration that is not valid: the phase in force stays in force.
pub(super) fn invalid(
    integration: &BoboykaIntegration,
    before: &IntegrationStatus,
    why: &str,
    now: &Time,
) -> IntegrationStatus {
    let generation = integration.metadata.generation;
    let mut conditions = Conditions::after(&before.conditions, generation, now);
    conditions.set(ConditionType::Ready, Finding::no(Reason::InvalidSpec, why));
    conditions.set(
        ConditionType::Stalled,
        Finding::yes(Reason::InvalidSpec, why),
    );
    IntegrationStatus {
        observed_generation: generation,
        conditions: conditions.list(),
        ..before.clone()
    }
}

/// The status.
pub(super) fn status(facts: &Facts<'_>, before: &IntegrationStatus) -> IntegrationStatus {
    let Tally {
        strands,
        records,
        records_by_type,
        backlog,
        lag_ms,
        dead_letters,
        unmirrored,
        unmirrored_bytes,
        supabase_url,
    } = facts.tally.clone();
    // Without Supabase, nothing waits for it.
    let backlog = facts.validated.secret.as_ref().map_or(0, |_| backlog);
    let mut status = IntegrationStatus {
        observed_generation: Some(facts.validated.generation),
        strands,
        records,
        records_by_type,
        backlog,
        lag: (backlog > 0 && lag_ms > 0).then(|| coarse(lag_ms)),
        dead_letters,
        supabase_url: supabase_url.filter(|_| facts.validated.secret.is_some()),
        archive: archive::counts(facts),
        witness_policy: facts.validated.witness_policy.clone(),
        report_interval_seconds: Some(interval(facts.seen.fleet)),
        unmirrored,
        unmirrored_bytes,
        conditions: conditions(facts, before),
        ..IntegrationStatus::default()
    };
    facts.standing.write(&mut status);
    let was = before
        .migration
        .as_ref()
        .and_then(|it| it.backfill.as_ref());
    if let Some(backfill) = backfill::backfill(facts, was) {
        let migration = status.migration.get_or_insert_default();
        migration.backfill = Some(backfill);
    }
    status
}

fn conditions(
    facts: &Facts<'_>,
    before: &IntegrationStatus,
) -> Vec<k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition> {
    let generation = Some(facts.validated.generation);
    let mut conditions = Conditions::after(&before.conditions, generation, facts.now);
    for (kind, finding) in findings(facts) {
        conditions.set(kind, finding);
    }
    conditions.list()
}

/// How often each sidecar reports, in seconds, so that all of them together don't burden the API server.
fn interval(fleet: usize) -> i32 {
    let interval = i32::try_from(fleet.div_ceil(REPORTS_PER_SECOND));
    interval.unwrap_or(i32::MAX).max(INTERVAL_MIN)
}

/// The time between two writes of counters alone to one integration: the more integrations, the longer.
pub(super) fn pace(integrations: usize) -> Duration {
    let integrations = u32::try_from(integrations).unwrap_or(u32::MAX);
    PACE_MIN.max(Duration::from_millis(1000 / COUNTER_WRITES_PER_SECOND) * integrations)
}

/// An age for people, coarser the older: a status that changed every second would be written every second.
fn coarse(ms: i64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0 => "<1s".to_owned(),
        ..10 => format!("{seconds}s"),
        10..60 => format!("{}s", seconds / 10 * 10),
        60..3600 => format!("{}m", seconds / 60),
        _ => format!("{}h{}m", seconds / 3600, seconds % 3600 / 600 * 10),
    }
}

#[cfg(test)]
pub(in crate::controller) mod tests;
