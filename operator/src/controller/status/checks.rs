//! The checks behind the conditions, in two lists. Pure.
//!
//! A check looks at the facts and finds something or nothing. [`CONDITIONS`] has the check of every condition, and
//! [`OBSTACLES`] has what keeps an integration from being ready: a new check is a function and a line in a list.

use std::collections::BTreeSet;
use std::sync::Arc;

use boboyka_crds::{BoboykaStrand, Phase};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt as _;

use super::facts::Facts;
use super::finding::{Finding, some_of};
use super::storage::{storage_durable, volume_pending};
use crate::controller::plan::drains::condition;
use crate::controller::rollout::Rollout;
use crate::objects;
use crate::reason::{ConditionType, Reason};
use crate::strands::witness::ChainProblem;

/// Finds what one condition says.
pub(super) enum Check {
    /// The condition is always there.
    Always(fn(&Facts<'_>) -> Finding),
    /// The condition is there when something is found.
    Sometimes(fn(&Facts<'_>) -> Option<Finding>),
}

impl Check {
    /// What it finds; `None` leaves the condition out.
    pub(super) fn find(&self, facts: &Facts<'_>) -> Option<Finding> {
        match self {
            Self::Always(check) => Some(check(facts)),
            Self::Sometimes(check) => check(facts),
        }
    }
}

/// The check of every condition.
pub(super) const CONDITIONS: &[(ConditionType, Check)] = &[
    (ConditionType::ChainIntact, Check::Always(chain_intact)),
    (
        ConditionType::CredentialsAccepted,
        Check::Sometimes(credentials_accepted),
    ),
    (
        ConditionType::SupabaseReachable,
        Check::Sometimes(supabase_reachable),
    ),
    (
        ConditionType::RetentionEnforced,
        Check::Sometimes(retention_enforced),
    ),
    (
        ConditionType::ClockInStep,
        Check::Sometimes(|facts| reported(facts, ConditionType::ClockInStep)),
    ),
    (
        ConditionType::MirrorCaughtUp,
        Check::Sometimes(mirror_caught_up),
    ),
    (
        ConditionType::StorageDurable,
        Check::Always(storage_durable),
    ),
    (
        ConditionType::WorkloadsSelected,
        Check::Sometimes(workloads_selected),
    ),
    (
        ConditionType::SidecarsUpToDate,
        Check::Always(sidecars_up_to_date),
    ),
    (ConditionType::Stalled, Check::Sometimes(stalled)),
    (ConditionType::Reconciling, Check::Sometimes(reconciling)),
    (ConditionType::Ready, Check::Always(ready)),
];

/// What keeps an integration from being ready; the first that is found is the reason.
const OBSTACLES: &[fn(&Facts<'_>) -> Option<Finding>] = &[
    rollout_stopped,
    not_applied,
    |facts| chain_intact(facts).objection(),
    |facts| credentials_accepted(facts)?.objection(),
    |facts| workloads_selected(facts)?.objection(),
    phase_gate_closed,
    phase_advancing,
    sidecar_missing,
    volume_pending,
    sidecars_not_ready,
];

fn ready(facts: &Facts<'_>) -> Finding {
    obstacle(facts).unwrap_or_else(|| match facts.tally.strands.held {
        0 => Finding::yes(Reason::NoPods, "no pod of this integration runs"),
        held => Finding::yes(
            Reason::AsExpected,
            match held {
                1 => "a pod holds 1 strand, and its sidecar is ready".to_owned(),
                _ => format!("pods hold {held} strands, and all their sidecars are ready"),
            },
        ),
    })
}

fn obstacle(facts: &Facts<'_>) -> Option<Finding> {
    OBSTACLES.iter().find_map(|check| check(facts))
}

/// The integration is not ready, and gets ready without anybody's help.
fn reconciling(facts: &Facts<'_>) -> Option<Finding> {
    let strands = &facts.tally.strands;
    let is_under_way = facts.standing.transition.is_some()
        || strands.ready < strands.held
        || !facts.is_in_phase()
        || !facts.applied.failures().is_empty();
    let obstacle = obstacle(facts).filter(|_| is_under_way && stalled(facts).is_none());
    obstacle.map(Finding::into_true)
}

fn stalled(facts: &Facts<'_>) -> Option<Finding> {
    // Nothing mends a broken chain by itself.
    let finding = rollout_stopped(facts).or_else(|| chain_intact(facts).objection());
    finding.map(Finding::into_true)
}

fn rollout_stopped(facts: &Facts<'_>) -> Option<Finding> {
    let Rollout::Stopped { pod, left, .. } = facts.applied.rollout() else {
        return None;
    };
    let image = &facts.validated.image;
    Some(Finding::no(
        Reason::RolloutStopped,
        format!(
            "the sidecar of pod {pod} did not become ready with image {image}: {left} other sidecars keep their image \
             until spec.sidecar.image changes"
        ),
    ))
}

fn not_applied(facts: &Facts<'_>) -> Option<Finding> {
    let failure = facts.applied.failures().first()?;
    Some(Finding::no(Reason::NotApplied, failure))
}

fn phase_gate_closed(facts: &Facts<'_>) -> Option<Finding> {
    let transition = facts.standing.transition.as_ref()?;
    let closed = transition.gates.iter().filter(|gate| !gate.passed);
    let closed = closed.map(|gate| format!("{}: {}", gate.name, gate.message));
    let closed: Vec<String> = closed.collect();
    Some(Finding::no(
        Reason::PhaseGateClosed,
        format!("{} waits: {}", transition.to, closed.join("; ")),
    ))
}

fn phase_advancing(facts: &Facts<'_>) -> Option<Finding> {
    let (from, to) = (facts.standing.phase, facts.validated.phase);
    (!facts.is_in_phase() && !facts.validated.suspended).then(|| {
        Finding::no(
            Reason::PhaseAdvancing,
            format!("{from} is in force, on the way to {to}"),
        )
    })
}

fn sidecar_missing(facts: &Facts<'_>) -> Option<Finding> {
    let pods = facts.seen.pods.iter();
    let bare = pods.filter(|pod| pod.strand.is_none()).count();
    (bare > 0).then(|| {
        Finding::no(
            Reason::SidecarMissing,
            format!("{bare} labelled pods run without a sidecar: delete them, and their controllers create them anew"),
        )
    })
}

fn sidecars_not_ready(facts: &Facts<'_>) -> Option<Finding> {
    let waiting: Vec<String> = facts.waiting().map(|one| named(facts, one)).collect();
    (!waiting.is_empty()).then(|| {
        Finding::no(
            Reason::SidecarsNotReady,
            format!(
                "the sidecars that hold these strands are not ready: {}",
                some_of(&waiting)
            ),
        )
    })
}

/// A strand, and the Job or pod to look at.
fn named(facts: &Facts<'_>, strand: &BoboykaStrand) -> String {
    let name = strand.name_any();
    let job = objects::drain::name(&name);
    let drains = &facts.seen.drains;
    let pod = strand
        .spec
        .holder
        .as_ref()
        .and_then(|holder| holder.pod_name.as_ref());
    if drains.iter().any(|one| one.name_any() == job) {
        format!("{name} (Job {job})")
    } else {
        pod.map_or_else(
            || format!("{name} (its pod has not come yet)"),
            |pod| format!("{name} (pod {pod})"),
        )
    }
}

fn chain_intact(facts: &Facts<'_>) -> Finding {
    let Some((_, first)) = facts.problems().next() else {
        return Finding::yes(
            Reason::AsExpected,
            "every chain is intact and continues what was seen before",
        );
    };
    let reason = match first {
        ChainProblem::WentBack { .. } => Reason::HeadWentBack,
        ChainProblem::Forked { .. } => Reason::HeadForked,
        ChainProblem::ClaimLost { .. } => Reason::ClaimLost,
        ChainProblem::ClaimReplaced { .. } => Reason::ClaimReplaced,
        ChainProblem::VolumeLost { .. } => Reason::VolumeLost,
        ChainProblem::Broken(_) => Reason::ChainBroken,
    };
    let broken = facts.problems();
    let broken: Vec<String> = broken.map(|(name, why)| format!("{name}: {why}")).collect();
    Finding::no(reason, some_of(&broken))
}

fn credentials_accepted(facts: &Facts<'_>) -> Option<Finding> {
    reported(facts, ConditionType::CredentialsAccepted)
}

fn supabase_reachable(facts: &Facts<'_>) -> Option<Finding> {
    reported(facts, ConditionType::SupabaseReachable)
}

fn retention_enforced(facts: &Facts<'_>) -> Option<Finding> {
    reported(facts, ConditionType::RetentionEnforced)
}

/// A condition that the sidecars report: false if one of them says so.
fn reported(facts: &Facts<'_>, kind: ConditionType) -> Option<Finding> {
    let strands = facts.seen.strands.iter();
    let held = strands.filter(|strand| strand.spec.holder.is_some());
    let said = held.filter_map(|strand| {
        let mut conditions = strand.status.as_ref()?.conditions.iter();
        let condition = conditions.find(|one| one.type_ == kind.as_str())?;
        Some((strand, condition))
    });
    let said: Vec<(&Arc<BoboykaStrand>, &Condition)> = said.collect();
    let no: Vec<_> = said
        .iter()
        .filter(|(_, one)| one.status == "False")
        .collect();
    let Some((_, first)) = no.first() else {
        let yes = said.iter().find(|(_, one)| one.status == "True");
        let (_, any) = yes.or(said.first())?;
        let all = "every sidecar reports this".to_owned();
        return Some(Finding {
            holds: yes.map(|_| true),
            reason: any.reason.clone(),
            message: Some(any.message.clone())
                .filter(|one| !one.is_empty())
                .unwrap_or(all),
        });
    };
    let told = no
        .iter()
        .map(|(strand, one)| format!("{}: {}", strand.name_any(), one.message));
    let told: Vec<String> = told.collect();
    Some(Finding {
        holds: Some(false),
        reason: first.reason.clone(),
        message: some_of(&told),
    })
}

fn mirror_caught_up(facts: &Facts<'_>) -> Option<Finding> {
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

/// The first Job that failed, and why.
fn drain_failed(facts: &Facts<'_>) -> Option<Finding> {
    let mut jobs = facts.seen.drains.iter();
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

fn workloads_selected(facts: &Facts<'_>) -> Option<Finding> {
    if let Some(why) = &facts.validated.unreadable_selector {
        return Some(Finding::no(
            Reason::InvalidSelector,
            format!(
                "spec.workloadSelector can't be read, so it selects nothing, and workloads keep the label that they have: {why}"
            ),
        ));
    }
    facts.validated.selector.as_ref()?;
    let overlaps = facts.applied.overlaps();
    if !overlaps.is_empty() {
        return Some(Finding::no(
            Reason::Overlap,
            format!(
                "an older integration selects these workloads too and keeps them: {}; change one of the selectors",
                some_of(overlaps)
            ),
        ));
    }
    let contested = facts.applied.contested();
    Some(if contested.is_empty() {
        Finding::yes(Reason::AsExpected, "every selected workload has the label")
    } else {
        Finding::no(
            Reason::Conflict,
            format!(
                "another field manager sets the label of {}: remove the label there, or don't select the workload",
                some_of(contested)
            ),
        )
    })
}

fn sidecars_up_to_date(facts: &Facts<'_>) -> Finding {
    let behind =
        |reason, left: &usize| Finding::no(reason, format!("{left} sidecars run another image"));
    match facts.applied.rollout() {
        Rollout::Done => old_settings(facts).unwrap_or_else(|| {
            Finding::yes(
                Reason::AsExpected,
                "every sidecar runs the image, and has the Secret and the resources, that the integration asks for",
            )
        }),
        Rollout::Next { left, .. } | Rollout::Moving { left, .. } => {
            behind(Reason::RollingOut, left)
        }
        Rollout::Stopped { left, .. } => behind(Reason::RolloutStopped, left),
        Rollout::Suspended { left } => behind(Reason::Suspended, left),
    }
}

/// Pods that were created before the Secret or the resources changed, and what makes them anew.
fn old_settings(facts: &Facts<'_>) -> Option<Finding> {
    let settings = facts.validated.settings();
    let pods = facts.seen.pods.iter().filter(|pod| !pod.terminating);
    let old = pods.filter(|pod| pod.settings.as_deref().is_some_and(|one| one != settings));
    let old: Vec<_> = old.collect();
    let workloads = old.iter().filter_map(|pod| pod.workload.as_deref());
    let restartable = ["Deployment/", "StatefulSet/", "DaemonSet/"];
    let workloads = workloads.filter(|one| restartable.iter().any(|kind| one.starts_with(kind)));
    let workloads: BTreeSet<String> = workloads.map(str::to_ascii_lowercase).collect();
    let workloads: Vec<String> = workloads.into_iter().collect();
    let command = match workloads.len() {
        0 => "delete them, or let them end".to_owned(),
        _ => format!(
            "kubectl rollout restart -n {} {}",
            facts.validated.namespace,
            some_of(&workloads).replace(',', "")
        ),
    };
    (!old.is_empty()).then(|| {
        let pods = match old.len() {
            1 => "1 pod runs".to_owned(),
            many => format!("{many} pods run"),
        };
        Finding::no(
            Reason::OldSettings,
            format!(
                "{pods} with the Secret or the resources that the integration had before: {command}"
            ),
        )
    })
}
