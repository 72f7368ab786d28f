//! What the containers of a pod wait for. Pure.

use boboyka_crds::names;
use k8s_openapi::api::core::v1::{
    ContainerStateTerminated, ContainerStateWaiting, ContainerStatus, Pod,
};
use kube::ResourceExt as _;

use super::case::Case;
use crate::finding::Finding;

/// What is to be said of the sidecar, and of the first other container that waits.
pub(super) fn of_containers(case: &Case, pod: &Pod) -> Vec<Finding> {
    let status = pod.status.as_ref();
    let lists = status.into_iter().flat_map(|status| {
        let lists = [&status.init_container_statuses, &status.container_statuses];
        lists.into_iter().flatten().flatten()
    });
    let (ours, others): (Vec<_>, Vec<_>) = lists.partition(|one| one.name == names::CONTAINER);
    let sidecar = ours.first().map(|sidecar| of_sidecar(case, pod, sidecar));
    let is_up = ours.first().is_some_and(|sidecar| sidecar.ready);
    let other = others
        .into_iter()
        .filter(|_| is_up)
        .find_map(|one| of_other(case, pod, one));
    sidecar.into_iter().chain(other).collect()
}

fn of_sidecar(case: &Case, pod: &Pod, sidecar: &ContainerStatus) -> Finding {
    if sidecar.ready {
        return restarted(case, pod, sidecar)
            .unwrap_or_else(|| Finding::good("its sidecar runs and is ready"));
    }
    if let Some(waiting) = waiting(sidecar) {
        return waits(case, pod, sidecar, waiting);
    }
    Finding::bad(
        "its sidecar runs but is not ready: it opens the strand, or the strand can't be opened",
        logs(case, pod, ""),
    )
}

fn waits(
    case: &Case,
    pod: &Pod,
    sidecar: &ContainerStatus,
    waiting: &ContainerStateWaiting,
) -> Finding {
    let reason = waiting.reason.as_deref().unwrap_or("waiting");
    let message = waiting
        .message
        .as_deref()
        .map(|text| format!(": {text}"))
        .unwrap_or_default();
    let what = format!("its sidecar waits, {reason}{message}");
    match reason {
        "ContainerCreating" | "PodInitializing" => {
            Finding::odd(what, "it starts; the kubelet mounts its volumes first")
        }
        "ErrImagePull" | "ImagePullBackOff" | "ErrImageNeverPull" | "InvalidImageName" => {
            Finding::bad(
                what,
                format!(
                    "the node can't get the image {}: correct spec.sidecar.image, or sidecar.image and imagePullSecrets of the chart",
                    sidecar.image
                ),
            )
        }
        _ => Finding::bad(
            format!("{what}{}", last(sidecar)),
            logs(case, pod, " --previous"),
        ),
    }
}

/// How the sidecar ended last.
fn last(sidecar: &ContainerStatus) -> String {
    let Some(ended) = ended(sidecar) else {
        return String::new();
    };
    let reason = ended.reason.as_deref().unwrap_or("ended");
    format!(
        "; it ended {} times, the last time with code {} ({reason})",
        sidecar.restart_count, ended.exit_code
    )
}

/// A sidecar that was killed for its memory does so again.
fn restarted(case: &Case, pod: &Pod, sidecar: &ContainerStatus) -> Option<Finding> {
    let ended = ended(sidecar)?;
    let next = match ended.reason.as_deref() {
        Some("OOMKilled") => "raise the memory limit in spec.sidecar.resources".to_owned(),
        _ => logs(case, pod, " --previous"),
    };
    Some(Finding::odd(
        format!("its sidecar runs and is ready{}", last(sidecar)),
        next,
    ))
}

fn of_other(case: &Case, pod: &Pod, container: &ContainerStatus) -> Option<Finding> {
    let waiting = waiting(container)?;
    let reason = waiting.reason.as_deref().unwrap_or("waiting");
    Some(Finding::bad(
        format!(
            "the container {} waits, {reason}; the sidecar is ready, so this is the agent's own",
            container.name
        ),
        format!(
            "kubectl logs {} -n {} -c {} --previous",
            pod.name_any(),
            case.namespace,
            container.name
        ),
    ))
}

fn waiting(container: &ContainerStatus) -> Option<&ContainerStateWaiting> {
    container.state.as_ref()?.waiting.as_ref()
}

fn ended(container: &ContainerStatus) -> Option<&ContainerStateTerminated> {
    container.last_state.as_ref()?.terminated.as_ref()
}

fn logs(case: &Case, pod: &Pod, more: &str) -> String {
    format!(
        "kubectl logs {} -n {} -c {} --tail=20{more}",
        pod.name_any(),
        case.namespace,
        names::CONTAINER
    )
}
