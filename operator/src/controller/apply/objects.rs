//! Creates what is neither a strand nor a claim: role bindings, and the Jobs that drain strands, which it also ends. Writer of
//! both.

use boboyka_crds::names;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, Client, ResourceExt as _};

use crate::controller::plan::drains::Ending;
use crate::integration::Validated;
use crate::objects;
use crate::strands::held::Held;
use crate::writes::Outcome;

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

/// Creates the Job that drains a strand, which is reserved for it.
pub(super) async fn drain(client: &Client, validated: &Validated, held: &Held) -> Outcome {
    let Some(job) = objects::drain::new(validated, held) else {
        return Ok(());
    };
    let (strand, name) = (&held.strand, job.name_any());
    let namespace = &validated.namespace;
    tracing::info!(
        namespace,
        strand,
        job = name,
        "creating Job {name}: strand {strand} has a backlog and no pod"
    );
    let jobs: Api<Job> = Api::namespaced(client.clone(), namespace);
    jobs.create(&PostParams::default(), &job).await.map(drop)
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
            Ending::Changed => "the integration changed what it works with",
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
