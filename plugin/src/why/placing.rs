//! Where a pod and its volume lie. Pure.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;

use super::case::Case;
use crate::finding::Finding;

/// What is wrong with the claim of the strand.
pub(super) fn of_claim(case: &Case) -> Option<Finding> {
    let strand = case.strand.as_ref()?;
    let name = strand.spec.claim_name.as_ref()?;
    let Some(claim) = &case.claim else {
        let is_unread = case
            .unread
            .iter()
            .any(|sentence| sentence.contains("persistentvolumeclaims"));
        return (!is_unread).then(|| {
            Finding::bad(
                format!("the claim {name} of its strand does not exist"),
                "restore the claim from a backup, or delete the strand if its records are not needed: both need the verb administer",
            )
        });
    };
    if strand.spec.claim_uid.is_some() && strand.spec.claim_uid != claim.metadata.uid {
        return Some(Finding::bad(
            format!("the claim {name} is another one than the strand was written on"),
            "restore the first claim; the operator does not take another for it",
        ));
    }
    if claim.metadata.deletion_timestamp.is_some() {
        return Some(Finding::bad(
            format!("the claim {name} of its strand is being deleted"),
            "copy its volume before the pod ends; the volume goes with the claim unless its reclaim policy is Retain",
        ));
    }
    match claim
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref())
    {
        Some("Bound") => Some(Finding::good(format!("its volume is bound (claim {name})"))),
        Some("Lost") => Some(Finding::bad(
            format!("the volume of claim {name} is gone"),
            "restore the volume from a backup",
        )),
        _ => Some(pending(case, name)),
    }
}

fn pending(case: &Case, claim: &str) -> Finding {
    let mut events = case.events.iter().rev().filter(|event| {
        let regarding = event.regarding.as_ref().and_then(|one| one.name.as_deref());
        regarding == Some(claim) && event.reason.as_deref() != Some("WaitForFirstConsumer")
    });
    let why = events.find_map(|event| event.note.as_deref());
    let why = why.map(|note| format!(": {note}")).unwrap_or_default();
    let next = format!(
        "kubectl describe pvc {claim} -n {}; kubectl get storageclass: a default class, or spec.storage.storageClassName",
        case.namespace
    );
    Finding::bad(
        format!("the claim {claim} of its strand has no volume yet{why}"),
        next,
    )
}

/// What keeps the pod from a node.
pub(super) fn of_schedule(case: &Case, pod: &Pod) -> Finding {
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
    if let Some(node) = node {
        return Finding::good(format!("it is on node {node}"));
    }
    let status = pod.status.as_ref();
    let mut conditions = status
        .into_iter()
        .flat_map(|status| status.conditions.iter().flatten());
    let unscheduled = conditions.find(|one| one.type_ == "PodScheduled" && one.status == "False");
    let message = unscheduled.and_then(|one| one.message.as_deref());
    let Some(message) = message else {
        return Finding::odd("no node is chosen for it yet", "");
    };
    let next = if message.contains("volume node affinity") {
        "its strand lies on a node-local volume: that node must be back, or the pod must be allowed to run there".to_owned()
    } else {
        format!(
            "kubectl describe pod {} -n {}",
            pod.name_any(),
            case.namespace
        )
    };
    Finding::bad(format!("no node takes it: {message}"), next)
}
