//! Writing strands, their claims, and the Jobs that drain them.

use boboyka_crds::{BoboykaStrand, Holder, names};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams, Patch, PostParams, Preconditions};
use serde_json::{Value, json};

use super::{Doer, Outcome, merge_parameters};
use crate::admission::choose::is_alive;
use crate::admission::inject::Held;
use crate::build;
use crate::controller::plan::StrandChange;
use crate::integration::Storage;

impl Doer<'_> {
    /// Makes a strand that is not there.
    pub(super) async fn make(&self, strand: &BoboykaStrand) -> Outcome {
        self.api()
            .create(&PostParams::default(), strand)
            .await
            .map(drop)
    }

    /// Changes a strand, if it still is as it was read.
    pub(super) async fn change(&self, strand: &BoboykaStrand, change: &StrandChange) -> Outcome {
        match change {
            StrandChange::Bind { pod_name, pod_uid } => {
                let spec = json!({
                    "holder": {"podName": pod_name, "podUid": pod_uid},
                    "witnessed": build::strand::witnessed(strand),
                });
                self.write(strand, spec).await
            }
            StrandChange::Adopt(holder) => self.write(strand, json!({"holder": holder})).await,
            StrandChange::Release { pod_name, pod_uid } => {
                if self.is_alive(pod_name, pod_uid).await? {
                    return Ok(());
                }
                self.write(
                    strand,
                    json!({"holder": null, "witnessed": build::strand::witnessed(strand)}),
                )
                .await
            }
            StrandChange::TakeBack { token } => {
                if self.is_carried(token).await? {
                    return Ok(());
                }
                tracing::info!(
                    strand = strand.name_any(),
                    "the pod that a strand was chosen for never came: it is taken back"
                );
                self.write(strand, json!({"holder": null})).await
            }
            StrandChange::Witness(head) => self.write(strand, json!({"witnessed": head})).await,
            StrandChange::Own(owner) => {
                self.own::<BoboykaStrand>(&strand.name_any(), owner.as_ref())
                    .await
            }
            StrandChange::Delete => {
                let parameters = DeleteParams {
                    preconditions: Some(Preconditions {
                        resource_version: strand.resource_version(),
                        uid: strand.uid(),
                    }),
                    ..DeleteParams::default()
                };
                self.api::<BoboykaStrand>()
                    .delete(&strand.name_any(), &parameters)
                    .await
                    .map(drop)
            }
            StrandChange::Drain => self.drain(strand).await,
        }
    }

    async fn write(&self, strand: &BoboykaStrand, spec: Value) -> Outcome {
        let change = json!({
            "metadata": {"resourceVersion": strand.metadata.resource_version}, "spec": spec,
        });
        let api = self.api::<BoboykaStrand>();
        api.patch(
            &strand.name_any(),
            &merge_parameters(),
            &Patch::Merge(&change),
        )
        .await
        .map(drop)
    }

    /// Whether the pod is there and has not come to its end, as the API server knows it.
    async fn is_alive(&self, name: &str, uid: &str) -> Result<bool, kube::Error> {
        let pod = self.api::<Pod>().get_opt(name).await?;
        Ok(pod.is_some_and(|pod| is_alive(&pod, uid)))
    }

    /// Whether a pod carries this admission's token, as the API server knows it.
    async fn is_carried(&self, token: &str) -> Result<bool, kube::Error> {
        let labelled = format!("{}={}", names::INTEGRATION_LABEL, self.validated.name);
        let pods = self
            .api::<Pod>()
            .list_metadata(&ListParams::default().labels(&labelled))
            .await?;
        let carries = |annotations: &std::collections::BTreeMap<String, String>| {
            annotations
                .get(names::TOKEN_ANNOTATION)
                .is_some_and(|one| one == token)
        };
        Ok(pods
            .items
            .iter()
            .any(|pod| pod.metadata.annotations.as_ref().is_some_and(carries)))
    }

    /// Takes the strand for a Job first, so that no pod is given it, then makes the Job.
    async fn drain(&self, strand: &BoboykaStrand) -> Outcome {
        let held = Held {
            strand: strand.name_any(),
            token: uuid::Uuid::new_v4().to_string(),
        };
        let holder = Holder {
            token: held.token.clone(),
            since: Some(Time(Timestamp::now())),
            ..Holder::default()
        };
        self.write(strand, json!({"holder": holder})).await?;
        let Some(job) = build::drain::new(self.validated, &held) else {
            return Ok(());
        };
        tracing::info!(
            strand = held.strand,
            job = job.name_any(),
            "a strand that nobody holds has a backlog: a job drains it"
        );
        self.api::<Job>()
            .create(&PostParams::default(), &job)
            .await
            .map(drop)
    }

    /// Makes a strand's claim that is not there.
    pub(super) async fn claim(&self, strand: &BoboykaStrand) -> Outcome {
        match build::claim::new(self.validated, strand) {
            Some(claim) => self
                .api()
                .create(&PostParams::default(), &claim)
                .await
                .map(drop),
            None => Ok(()),
        }
    }

    /// Asks for the size of today on every claim that asks for less.
    pub(super) async fn resize(&self) -> Outcome {
        let Storage::Claim { size, .. } = &self.validated.storage else {
            return Ok(());
        };
        let Some(wanted) = boboyka_crds::quantity::bytes(size) else {
            return Ok(());
        };
        let labelled = format!("{}={}", names::INTEGRATION_LABEL, self.validated.name);
        let api = self.api::<PersistentVolumeClaim>();
        for claim in api.list(&ListParams::default().labels(&labelled)).await? {
            let asked = claim
                .spec
                .as_ref()
                .and_then(|spec| spec.resources.as_ref()?.requests.as_ref()?.get("storage"));
            let asked = asked.and_then(|asked| boboyka_crds::quantity::bytes(&asked.0));
            if asked.is_some_and(|asked| asked < wanted) {
                let change = json!({"spec": {"resources": {"requests": {"storage": size}}}});
                api.patch(
                    &claim.name_any(),
                    &merge_parameters(),
                    &Patch::Merge(&change),
                )
                .await?;
            }
        }
        Ok(())
    }
}
