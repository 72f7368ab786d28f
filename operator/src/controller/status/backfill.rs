//! How the backfill stands: what the history has, by its last report, and what stands in the way. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use boboyka_crds::{BackfillReport, BackfillStatus, BoboykaStrand};
use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt as _;

use super::facts::Facts;
use super::storage::waits_long;
use crate::controller::plan::jobs::condition;
use crate::objects::job::Work;

/// What the definition allows.
const PROBLEM_MAX: usize = 1024;

/// The status; `None` while there is neither a backfill nor a history. `before` is the one before.
pub(super) fn backfill(
    facts: &Facts<'_>,
    before: Option<&BackfillStatus>,
) -> Option<BackfillStatus> {
    let (asked, history) = (facts.validated.backfill(), facts.seen.history.as_deref());
    if asked.is_none() && history.is_none() {
        return None;
    }
    let report = history.and_then(|history| history.report()?.backfill.as_ref());
    let was = imported(before.cloned().unwrap_or_default(), report);
    let done = asked.map_or(was.done, |asked| {
        report.is_some_and(|report| report.has_done(asked, facts.validated.tables.as_ref()))
    });
    let lacks = asked.is_some() && !done;
    // What was imported can be lost later, and no condition is about the history.
    let damage = history.and_then(|history| damage(facts, history));
    let problem = match damage {
        None if lacks => problem(facts, history, report, was.problem.clone()),
        damage => damage,
    };
    Some(BackfillStatus {
        done,
        problem: problem.map(|why| why.chars().take(PROBLEM_MAX).collect()),
        ..was
    })
}

/// What is imported: as it was while a run has not got any further.
fn imported(was: BackfillStatus, report: Option<&BackfillReport>) -> BackfillStatus {
    let Some(report) = report.filter(|report| !report.tables.is_empty()) else {
        return was;
    };
    let tables = report.tables.iter();
    let rows: BTreeMap<_, _> = tables.map(|(name, it)| (name.clone(), it.rows)).collect();
    BackfillStatus {
        rows,
        refused: report.tables.values().map(|table| table.refused).sum(),
        until: report.until.clone().or(was.until),
        ..was
    }
}

/// What is wrong with what the history has.
fn damage(facts: &Facts<'_>, history: &BoboykaStrand) -> Option<String> {
    let problem = facts.seen.problem(history)?;
    Some(format!("strand {}: {problem}", history.name_any()))
}

fn problem(
    facts: &Facts<'_>,
    history: Option<&BoboykaStrand>,
    report: Option<&BackfillReport>,
    was: Option<String>,
) -> Option<String> {
    if facts.validated.secret.is_none() {
        return Some(no_supabase(facts));
    }
    let history = history?;
    let name = history.name_any();
    let fenced = || Some(format!("strand {name}: {}", history.fence()?));
    let reported = || match report {
        // A run that has not got any further says nothing of the one before.
        None => was.filter(|_| history.report().is_some()),
        Some(report) => report.problem.clone(),
    };
    let waiting = || {
        let claim = facts.seen.claim(history)?;
        let waits = waits_long(facts, history, claim);
        waits.then(|| format!("its pod waits for the volume of the claim of strand {name}"))
    };
    fenced()
        .or_else(reported)
        .or_else(|| job_failed(facts))
        .or_else(waiting)
}

fn no_supabase(facts: &Facts<'_>) -> String {
    let why = if facts.standing.finalized.is_some() {
        "the migration is finalized, and its Secret is no longer mounted"
    } else {
        "spec.supabase names none"
    };
    format!("there is no Supabase to import from: {why}")
}

/// Why the Job failed that no report explains.
fn job_failed(facts: &Facts<'_>) -> Option<String> {
    let fills = |job: &&Arc<Job>| Work::of(job, &facts.validated.name) == Some(Work::Backfill);
    let job = facts.seen.jobs.iter().find(fills)?;
    let why = condition(job, "Failed")?.message.as_deref();
    Some(format!(
        "Job {} failed, and is made anew after a pause: {}; the logs of its pods tell more",
        job.name_any(),
        why.unwrap_or("it says no reason")
    ))
}
