//! Which of the operator's Jobs are to end. Pure.

use std::cell::LazyCell;
use std::sync::Arc;
use std::time::Duration;

use boboyka_crds::names;
use k8s_openapi::api::batch::v1::{Job, JobCondition};
use kube::ResourceExt as _;

use super::situation::Situation;
use crate::objects::job::{Work, settings};

/// A Job that is done stays this long to be looked at; one that failed stays twice as long after each failure in a row.
const KEPT: Duration = Duration::from_mins(1);
/// The longest wait after failures.
const PAUSE_MAX: Duration = Duration::from_hours(1);
/// Doubling more often exceeds the longest wait anyway.
const DOUBLINGS_MAX: u32 = 10;

/// Why a Job is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::controller) enum Ending {
    /// A pod needs the strand, and mirrors its backlog itself.
    Wanted,
    /// The strand was fenced.
    Fenced,
    /// It works with a Secret, an image or resources that the integration had before.
    Changed,
    /// Nobody asks for the backfill any more.
    Unasked,
    /// It is done, and was there to be looked at.
    Done,
    /// It failed, and the pause before the next attempt is over.
    Failed,
}

/// The Jobs that are to end, each with its strand.
pub(super) fn ending(situation: &Situation<'_>) -> Vec<(Arc<Job>, String, Ending)> {
    let jobs = situation.seen.jobs.iter();
    let live = jobs.filter(|job| job.metadata.deletion_timestamp.is_none());
    let wanted = |work| LazyCell::new(move || settings(situation.validated, work));
    let (drain, fill) = (wanted(Work::Drain), wanted(Work::Backfill));
    let ending = live.filter_map(|job| {
        let strand = job.labels().get(names::JOB_LABEL)?;
        let why = match Work::on(strand, &situation.validated.name) {
            Work::Backfill if situation.validated.backfill().is_none() => Some(Ending::Unasked),
            Work::Backfill => why(situation, job, strand, &fill),
            Work::Drain => why(situation, job, strand, &drain),
        }?;
        Some((Arc::clone(job), strand.clone(), why))
    });
    ending.collect()
}

fn why(situation: &Situation<'_>, job: &Job, strand: &str, settings: &str) -> Option<Ending> {
    let is_older =
        |one: &JobCondition, age| situation.is_older(one.last_transition_time.as_ref(), age);
    if let Some(complete) = condition(job, "Complete") {
        return is_older(complete, KEPT).then_some(Ending::Done);
    }
    let carrier = situation.carrier(strand);
    if carrier.is_some_and(|pod| !pod.of_job && !pod.terminating) {
        return Some(Ending::Wanted);
    }
    if situation.is_fenced(strand) {
        return Some(Ending::Fenced);
    }
    let made_with = job.annotations().get(names::JOB_SETTINGS_ANNOTATION);
    if made_with.is_none_or(|one| one != settings) {
        return Some(Ending::Changed);
    }
    let failed = condition(job, "Failed")?;
    let before = situation.memory.job_failures.get(strand);
    let doublings = before.copied().unwrap_or_default().min(DOUBLINGS_MAX);
    let pause = KEPT.saturating_mul(1 << doublings).min(PAUSE_MAX);
    is_older(failed, pause).then_some(Ending::Failed)
}

/// A condition of a Job that is true.
pub(in crate::controller) fn condition<'a>(job: &'a Job, kind: &str) -> Option<&'a JobCondition> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    let mut conditions = conditions.iter();
    conditions.find(|one| one.type_ == kind && one.status == "True")
}
