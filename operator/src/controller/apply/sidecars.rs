//! Moves one pod's sidecar to another image, in place. Writer of pods.

use boboyka_crds::names;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::api::Patch;
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;

use crate::clock;
use crate::controller::rollout::Rollout;
use crate::integration::Validated;
use crate::writes::{Outcome, merge_parameters};

/// Takes the next step of a rollout.
pub(super) async fn roll(client: &Client, validated: &Validated, rollout: &Rollout) -> Outcome {
    let pods = Api::namespaced(client.clone(), &validated.namespace);
    match rollout {
        Rollout::Next { pod, uid, .. } => set_image(&pods, pod, uid, &validated.image).await,
        Rollout::Moving { pod, uid, .. } | Rollout::Stopped { pod, uid, .. } => {
            confirm(&pods, pod, uid).await
        }
        Rollout::Done | Rollout::Suspended { .. } => Ok(()),
    }
}

/// Sets the image of the sidecar's container, and nothing else of the pod. A pod without a node is done with that: there is
/// nothing to wait for, and it must not stop the rollout.
async fn set_image(pods: &Api<Pod>, pod: &str, uid: &str, image: &str) -> Outcome {
    let found = pods.get(pod).await?;
    let has_node = has_node(&found);
    let container = sidecar_of(&found).and_then(|status| status.container_id.clone());
    let change = json!({
        "metadata": {"uid": uid, "annotations": {
            names::IMAGE_ANNOTATION: image,
            names::UPDATING_ANNOTATION: has_node.then(clock::now),
            names::UPDATING_FROM_ANNOTATION: has_node.then(|| container.unwrap_or_default()),
        }},
        "spec": {"initContainers": [{"name": names::CONTAINER, "image": image}]},
    });
    let namespace = found.namespace().unwrap_or_default();
    tracing::info!(
        namespace,
        pod,
        image,
        "moving the sidecar of pod {pod} to image {image}"
    );
    pods.patch(pod, &merge_parameters(), &Patch::Strategic(&change))
        .await
        .map(drop)
}

/// Ends the step once the container runs the new image and is ready.
async fn confirm(pods: &Api<Pod>, pod: &str, uid: &str) -> Outcome {
    let found = pods.get(pod).await?;
    let is_done = is_up(&found) || !has_node(&found);
    if found.uid().as_deref() != Some(uid) || !is_done {
        return Ok(());
    }
    let change = json!({"metadata": {"uid": uid, "annotations": {
        names::UPDATING_ANNOTATION: null, names::UPDATING_FROM_ANNOTATION: null,
    }}});
    pods.patch(pod, &merge_parameters(), &Patch::Merge(&change))
        .await
        .map(drop)
}

/// Whether the pod was scheduled.
fn has_node(pod: &Pod) -> bool {
    let spec = pod.spec.as_ref();
    spec.is_some_and(|spec| spec.node_name.is_some())
}

/// Whether another container runs the sidecar than before the move, and is ready. Start times can't tell: Kubernetes
/// rounds them to seconds.
fn is_up(pod: &Pod) -> bool {
    let before = pod.annotations().get(names::UPDATING_FROM_ANNOTATION);
    sidecar_of(pod).is_some_and(|status| {
        let running = status
            .state
            .as_ref()
            .is_some_and(|state| state.running.is_some());
        status.ready && running && status.container_id.as_ref() != before
    })
}

/// The status of the sidecar's container.
fn sidecar_of(pod: &Pod) -> Option<&ContainerStatus> {
    let statuses = pod.status.as_ref()?.init_container_statuses.as_ref()?;
    statuses
        .iter()
        .find(|status| status.name == names::CONTAINER)
}
