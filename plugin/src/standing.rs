//! How a strand stands, from its object: its state, why it is in it, and what to do next. Pure.

mod judge;
mod state;

use boboyka_crds::{BoboykaIntegration, BoboykaStrand};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;
use serde::Serialize;

pub(crate) use self::state::State;
use crate::age;
use judge::Subject;

/// The shortest interval between two reports, in seconds.
const INTERVAL_MIN: i64 = 10;

/// How one strand stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Standing {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) integration: String,
    /// The pod that holds the strand.
    pub(crate) pod: Option<String>,
    pub(crate) state: State,
    /// Why it is in this state; empty when all is well.
    pub(crate) why: String,
    /// What to do next; empty when there is nothing to do.
    pub(crate) next: String,
    /// The newest record, 0 while there is none.
    pub(crate) head: i64,
    pub(crate) backlog: i64,
    pub(crate) lag_ms: i64,
    pub(crate) dead_letters: i64,
    /// The age of the last report by this machine's clock.
    pub(crate) reported_seconds_ago: Option<i64>,
}

/// Judges a strand of an integration, if that exists.
pub(crate) fn standing(
    strand: &BoboykaStrand,
    integration: Option<&BoboykaIntegration>,
    now: Timestamp,
) -> Standing {
    let report = strand.report();
    let age = report.and_then(|report| report.reported_at.as_ref());
    let age = age.map(|at| age::seconds(at, now));
    let holder = strand.spec.holder.as_ref();
    let status = integration.and_then(|one| one.status.as_ref());
    let interval = status.and_then(|status| status.report_interval_seconds);
    // Without Supabase a strand counts all of its records as waiting.
    let mirrors = integration.is_none_or(|one| one.spec.supabase.is_some());
    let subject = Subject {
        backlog: report
            .filter(|_| mirrors)
            .map_or(0, |report| report.backlog),
        strand,
        namespace: strand.namespace().unwrap_or_default(),
        pod: holder.and_then(|holder| holder.pod_name.clone()),
        age,
        interval: i64::from(interval.unwrap_or_default()).max(INTERVAL_MIN),
        now,
    };
    let (state, why, next) = subject.judge();
    Standing {
        name: strand.name_any(),
        integration: strand.spec.integration.clone(),
        state,
        why,
        next,
        head: report
            .and_then(|report| report.head.as_ref())
            .map_or(0, |head| head.seq),
        backlog: subject.backlog,
        lag_ms: report.map_or(0, |report| report.lag_ms),
        dead_letters: report.map_or(0, |report| report.dead_letters),
        reported_seconds_ago: age,
        namespace: subject.namespace,
        pod: subject.pod,
    }
}

#[cfg(test)]
mod tests;
