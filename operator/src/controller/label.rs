//! Sets the integration's label on the pods of a workload, and removes it. Writer, by server-side apply.

use boboyka_crds::names;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::CronJob;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::workload::{Workload, WorkloadKind};

/// Sets the label of an integration on a workload's pods; with `None`, removes what the operator set before. Returns the
/// workload's generation afterwards.
///
/// A label of that name that another field manager set stays, and is a conflict.
pub(super) async fn label(
    client: &Client,
    namespace: &str,
    workload: &Workload,
    integration: Option<&str>,
) -> Result<i64, kube::Error> {
    match workload.kind {
        WorkloadKind::Deployment => {
            apply::<Deployment>(client, namespace, workload, integration).await
        }
        WorkloadKind::StatefulSet => {
            apply::<StatefulSet>(client, namespace, workload, integration).await
        }
        WorkloadKind::DaemonSet => {
            apply::<DaemonSet>(client, namespace, workload, integration).await
        }
        WorkloadKind::CronJob => apply::<CronJob>(client, namespace, workload, integration).await,
    }
}

async fn apply<K>(
    client: &Client,
    namespace: &str,
    workload: &Workload,
    integration: Option<&str>,
) -> Result<i64, kube::Error>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + DeserializeOwned
        + std::fmt::Debug,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    let wanted = wanted::<K>(workload, integration);
    let parameters = PatchParams::apply(names::SELECTOR_MANAGER);
    let applied = api
        .patch(&workload.name, &parameters, &Patch::Apply(&wanted))
        .await?;
    Ok(applied.meta().generation.unwrap_or_default())
}

/// The fields that the operator manages. With the UID, a workload that was deleted meanwhile is not created again.
fn wanted<K: Resource<DynamicType = ()>>(workload: &Workload, integration: Option<&str>) -> Value {
    let (version, kind) = (K::api_version(&()), K::kind(&()));
    let (name, uid) = (&workload.name, &workload.uid);
    let Some(integration) = integration else {
        return json!({"apiVersion": version, "kind": kind, "metadata": {"name": name, "uid": uid}});
    };
    let labels = json!({"metadata": {"labels": {names::INTEGRATION_LABEL: integration}}});
    let spec = match workload.kind {
        WorkloadKind::CronJob => json!({"jobTemplate": {"spec": {"template": labels}}}),
        WorkloadKind::Deployment | WorkloadKind::StatefulSet | WorkloadKind::DaemonSet => {
            json!({"template": labels})
        }
    };
    json!({
        "apiVersion": version, "kind": kind, "spec": spec,
        "metadata": {"name": name, "uid": uid, "annotations": {names::SELECTED_ANNOTATION: integration}},
    })
}
