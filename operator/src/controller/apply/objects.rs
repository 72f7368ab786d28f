//! Creates what is neither a strand nor a claim: role bindings, and the Jobs that work on strands, which it also ends. Writer of
//! both, and of the annotation that wakes a StatefulSet.

use boboyka_crds::{Slot, names};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;

use crate::clock;
use crate::controller::plan::jobs::Ending;
use crate::integration::Validated;
use crate::objects;
use crate::objects::job::Work;
use crate::strands::held::Held;
use crate::writes::{Outcome, is_outdated, merge_parameters};

/// Applies the role binding of an integration's sidecars.
pub(super) async fn bind_role(client: &Client, validated: &Validated) -> Outcome {
    let Some(binding) = objects::role_binding::new(validated) else {
        return Ok(());
    };
    let bindings: Api<RoleBinding> = Api::namespaced(client.clone(), &validated.namespace);
    let name = objects::role_binding::name(&validated.name);
    let parameters = PatchParams::apply(names::OPERATOR_MANAGER).force();
    bindings
        .patch(&name, &parameters, &Patch::Apply(&binding))
        .await
        .map(drop)
}

/// Creates the Job that works on a strand, which is reserved for it.
pub(super) async fn start(client: &Client, validated: &Validated, held: &Held) -> Outcome {
    let Some(job) = objects::job::new(validated, held) else {
        return Ok(());
    };
    let (strand, name) = (&held.strand, job.name_any());
    let namespace = &validated.namespace;
    tracing::info!(
        namespace,
        strand,
        job = name,
        "creating Job {name}: {}",
        match Work::on(strand, &validated.name) {
            Work::Drain => format!("strand {strand} has a backlog and no pod"),
            Work::Backfill =>
                format!("strand {strand} lacks what spec.migration.backfill asks for"),
        }
    );
    let jobs: Api<Job> = Api::namespaced(client.clone(), namespace);
    jobs.create(&PostParams::default(), &job).await.map(drop)
}

/// Has the controller of a StatefulSet try again at once to create the pod of a slot: after refusals it waits for up to a
/// quarter of an hour.
pub(super) async fn wake(client: &Client, namespace: &str, slot: &Slot) -> Outcome {
    if slot.kind != "StatefulSet" {
        return Ok(());
    }
    let now = clock::now().0.to_string();
    let change = json!({"metadata": {"annotations": {names::UNFENCED_ANNOTATION: now}}});
    let sets: Api<StatefulSet> = Api::namespaced(client.clone(), namespace);
    let (how, change) = (merge_parameters(), Patch::Merge(&change));
    match sets.patch_metadata(&slot.name, &how, &change).await {
        Err(error) if !is_outdated(&error) => Err(error),
        _ => Ok(()),
    }
}

/// Deletes a Job and its pods.
pub(super) async fn end(
    client: &Client,
    validated: &Validated,
    job: &Job,
    strand: &str,
    why: Ending,
) -> Outcome {
    let (namespace, name) = (&validated.namespace, job.name_any());
    tracing::info!(
        namespace,
        strand,
        job = name,
        "deleting Job {name}: {}",
        match why {
            Ending::Wanted => "a pod needs the strand",
            Ending::Fenced => "the strand was fenced",
            Ending::Changed => "the integration changed what it works with",
            Ending::Unasked => "spec.migration.backfill was removed",
            Ending::Done => "it is done",
            Ending::Failed => "it failed, and the next attempt is due",
        }
    );
    let how = DeleteParams {
        preconditions: Some(Preconditions {
            uid: job.uid(),
            resource_version: None,
        }),
        ..DeleteParams::background()
    };
    let jobs: Api<Job> = Api::namespaced(client.clone(), namespace);
    jobs.delete(&name, &how).await.map(drop)
}
