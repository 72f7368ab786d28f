//! Moving one pod's sidecar to another image, in place.

use boboyka_crds::names;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;
use kube::api::Patch;
use serde_json::json;

use super::{Doer, Outcome, merge_parameters};
use crate::controller::rollout::Rollout;

impl Doer<'_> {
    /// Takes the next step of a rollout.
    pub(super) async fn roll(&self, rollout: &Rollout) -> Outcome {
        match rollout {
            Rollout::Next { pod, uid, .. } => self.set_image(pod, uid).await,
            Rollout::Moving { pod, uid, .. } | Rollout::Stopped { pod, uid, .. } => {
                self.confirm(pod, uid).await
            }
            Rollout::Done | Rollout::Suspended { .. } => Ok(()),
        }
    }

    /// Asks the kubelet to run another image in the sidecar's container, and nothing else of the pod.
    async fn set_image(&self, pod: &str, uid: &str) -> Outcome {
        let image = &self.validated.image;
        let found = self.api::<Pod>().get(pod).await?;
        let container = sidecar_of(&found).and_then(|status| status.container_id.clone());
        let change = json!({
            "metadata": {"uid": uid, "annotations": {
                names::IMAGE_ANNOTATION: image,
                names::UPDATING_ANNOTATION: Time(Timestamp::now()),
                names::UPDATING_FROM_ANNOTATION: container.unwrap_or_default(),
            }},
            "spec": {"initContainers": [{"name": names::CONTAINER, "image": image}]},
        });
        tracing::info!(pod, image, "the sidecar of {pod} is moved to another image");
        self.api::<Pod>()
            .patch(pod, &merge_parameters(), &Patch::Strategic(&change))
            .await
            .map(drop)
    }

    /// Ends the step once the container runs the new image and is ready.
    async fn confirm(&self, pod: &str, uid: &str) -> Outcome {
        let found = self.api::<Pod>().get(pod).await?;
        if found.uid().as_deref() != Some(uid) || !is_up(&found) {
            return Ok(());
        }
        let change = json!({"metadata": {"uid": uid, "annotations": {
            names::UPDATING_ANNOTATION: null, names::UPDATING_FROM_ANNOTATION: null,
        }}});
        self.api::<Pod>()
            .patch(pod, &merge_parameters(), &Patch::Merge(&change))
            .await
            .map(drop)
    }
}

/// Whether another container runs the sidecar than when it was moved, and is ready. Times would not do: Kubernetes tells
/// whole seconds.
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

/// How the sidecar's container is doing.
fn sidecar_of(pod: &Pod) -> Option<&ContainerStatus> {
    let statuses = pod.status.as_ref()?.init_container_statuses.as_ref()?;
    statuses
        .iter()
        .find(|status| status.name == names::CONTAINER)
}
