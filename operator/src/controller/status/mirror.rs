//! The check of what Supabase has. Pure.

use std::sync::Arc;

use boboyka_crds::Phase;
use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt as _;

use super::facts::Facts;
use super::finding::Finding;
use crate::controller::plan::jobs::condition;
use crate::objects::job::Work;
use crate::reason::Reason;

/// Whether Supabase has every record that the phase mirrors.
pub(super) fn mirror_caught_up(facts: &Facts<'_>) -> Option<Finding> {
    facts.validated.secret.as_ref()?;
    let (refused, phase) = (facts.tally.dead_letters, facts.standing.phase);
    Some(if refused > 0 {
        Finding::no(
            Reason::DeadLetters,
            format!(
                "Supabase refuses {refused} records: GET /v1/boboyka/mirror on their sidecars says why"
            ),
        )
    } else if let Some(failure) = drain_failed(facts) {
        failure
    } else if facts.tally.backlog > 0 {
        Finding::no(
            Reason::Backlog,
            "records wait for Supabase: status.backlog counts them",
        )
    } else if phase == Phase::DualWrite {
        Finding::yes(Reason::AsExpected, "Supabase has every record")
    } else {
        Finding::yes(
            Reason::PhaseMirrorsNothing,
            format!("Supabase has every record from before {phase}"),
        )
    })
}

/// The first drain that failed, and why.
fn drain_failed(facts: &Facts<'_>) -> Option<Finding> {
    let drains = |job: &&Arc<Job>| Work::of(job, &facts.validated.name) != Some(Work::Backfill);
    let mut jobs = facts.seen.jobs.iter().filter(drains);
    let (job, failed) = jobs.find_map(|job| Some((job, condition(job, "Failed")?)))?;
    let why = failed.message.as_deref().unwrap_or("it says no reason");
    Some(Finding::no(
        Reason::DrainFailed,
        format!(
            "Job {} failed to mirror the backlog of a strand without a pod, and is made anew after a pause: {why}; the logs of its pods tell more",
            job.name_any()
        ),
    ))
}
