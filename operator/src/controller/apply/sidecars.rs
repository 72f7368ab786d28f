//! Moving one pod's sidecar to another image, in place.

use boboyka_crds::names;
use k8s_openapi::api::core::v1::Pod;
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
        let change = json!({
            "metadata": {"uid": uid, "annotations": {
                names::IMAGE_ANNOTATION: image,
                names::UPDATING_ANNOTATION: Time(Timestamp::now()),
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
        let change =
            json!({"metadata": {"uid": uid, "annotations": {names::UPDATING_ANNOTATION: null}}});
        self.api::<Pod>()
            .patch(pod, &merge_parameters(), &Patch::Merge(&change))
            .await
            .map(drop)
    }
}

/// Whether the sidecar's container was started since it was moved, and is ready.
fn is_up(pod: &Pod) -> bool {
    let statuses = pod
        .status
        .iter()
        .flat_map(|status| status.init_container_statuses.iter().flatten());
    let mut ours = statuses.filter(|status| status.name == names::CONTAINER);
    ours.next().is_some_and(|status| {
        let running = status
            .state
            .as_ref()
            .and_then(|state| state.running.as_ref());
        let since_move = running
            .and_then(|running| running.started_at.as_ref())
            .is_some_and(|started| {
                let moved = pod.annotations().get(names::UPDATING_ANNOTATION);
                let moved = moved.and_then(|text| text.parse::<Timestamp>().ok());
                // Kubernetes tells whole seconds.
                moved.is_none_or(|moved| started.0.as_second() >= moved.as_second())
            });
        status.ready && since_move
    })
}
