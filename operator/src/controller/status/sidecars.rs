//! The checks of the sidecars in pods. Pure.

use std::collections::BTreeSet;

use boboyka_crds::BoboykaStrand;
use kube::ResourceExt as _;

use super::facts::Facts;
use super::finding::{Finding, some_of};
use crate::controller::rollout::Rollout;
use crate::objects;
use crate::objects::job::Work;
use crate::reason::Reason;

/// Whether every sidecar is as the integration asks.
pub(super) fn sidecars_up_to_date(facts: &Facts<'_>) -> Finding {
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

/// Whether a sidecar with its new image keeps the others from theirs.
pub(super) fn rollout_stopped(facts: &Facts<'_>) -> Option<Finding> {
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

/// Labelled pods without a sidecar.
pub(super) fn sidecar_missing(facts: &Facts<'_>) -> Option<Finding> {
    let pods = facts.seen.pods.iter();
    let bare = pods.filter(|pod| pod.strand.is_none()).count();
    (bare > 0).then(|| {
        Finding::no(
            Reason::SidecarMissing,
            format!("{bare} labelled pods run without a sidecar: delete them, and their controllers create them anew"),
        )
    })
}

/// Sidecars that have not reported that they are ready.
pub(super) fn sidecars_not_ready(facts: &Facts<'_>) -> Option<Finding> {
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
    let job = objects::job::name(Work::Drain, &name);
    let mut jobs = facts.seen.jobs.iter();
    let pod = strand
        .spec
        .holder
        .as_ref()
        .and_then(|holder| holder.pod_name.as_ref());
    if jobs.any(|one| one.name_any() == job) {
        format!("{name} (Job {job})")
    } else {
        pod.map_or_else(
            || format!("{name} (its pod has not come yet)"),
            |pod| format!("{name} (pod {pod})"),
        )
    }
}
