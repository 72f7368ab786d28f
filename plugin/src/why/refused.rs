//! A pod that is not there: what its owner says of creating it. Pure.

use super::case::{Case, failure};
use crate::finding::Finding;

/// Why there is no such pod.
pub(super) fn no_pod(case: &Case) -> Finding {
    let Some((kind, name, note)) = failure(&case.events, &case.name) else {
        return Finding::bad(
            format!(
                "there is no pod {} in namespace {}, and no Event tells of one that could not be created",
                case.name, case.namespace
            ),
            format!(
                "kubectl get pods -n {}; for pods that are missing, give the name of their workload",
                case.namespace
            ),
        );
    };
    Finding::bad(
        format!("{kind} {name} can't create its pods: {note}"),
        next(note),
    )
}

fn next(note: &str) -> &'static str {
    if note.contains("failed calling webhook") {
        return "kubectl boboyka check: the webhook of the operator does not answer";
    }
    if note.contains("kubectl boboyka unfence") {
        return "find out whether the reason still holds; once the fence is lifted, the pod comes by itself";
    }
    if note.contains("exceeded quota") {
        return "raise the quota of the namespace, or lower spec.sidecar.resources: the sidecar counts too";
    }
    "do what the message says; the workload tries again by itself"
}
