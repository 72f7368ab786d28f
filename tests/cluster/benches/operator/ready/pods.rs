//! One pod from its creation until it is ready, and its end.

use std::time::Instant;

use boboyka_cluster::TestNamespace;
use boboyka_crds::names;
use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::{ContainerStatus, PersistentVolumeClaim, Pod};
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams, WatchEvent, WatchParams};
use serde_json::{Value, json};

/// The claim of a pod without us.
const CLAIM: &str = "plain";

/// When each step was seen, in seconds since the call that created the pod.
#[derive(Clone, Copy, Default)]
pub(super) struct Steps {
    /// The call was answered.
    pub(super) created: f64,
    pub(super) scheduled: f64,
    pub(super) sidecar: f64,
    pub(super) app: f64,
    pub(super) ready: f64,
}

/// Creates a pod, follows it until it is ready, and deletes it.
pub(super) async fn run(
    namespace: &TestNamespace,
    integration: Option<&str>,
    with_claim: bool,
) -> Steps {
    let pods = namespace.api::<Pod>();
    let listed = pods.list(&ListParams::default()).await.unwrap();
    let version = listed.metadata.resource_version.unwrap();
    let events = pods.watch(&WatchParams::default(), &version).await.unwrap();
    let mut events = std::pin::pin!(events);
    let pod = pod(integration, with_claim);
    let begun = Instant::now();
    if with_claim {
        let claim = json!({"metadata": {"name": CLAIM}, "spec": {
            "accessModes": ["ReadWriteOncePod"], "resources": {"requests": {"storage": "100Mi"}},
        }});
        namespace
            .create::<PersistentVolumeClaim>(claim)
            .await
            .unwrap();
    }
    let made: Pod = namespace.create(pod).await.unwrap();
    let name = made.name_any();
    let mut steps = Steps {
        created: begun.elapsed().as_secs_f64(),
        ..Steps::default()
    };
    while steps.ready == 0.0 {
        let event = events.next().await.unwrap().unwrap();
        if let WatchEvent::Added(seen) | WatchEvent::Modified(seen) = event
            && seen.name_any() == name
        {
            steps.see(&seen, begun.elapsed().as_secs_f64());
        }
    }
    pods.delete(&name, &DeleteParams::default().grace_period(1))
        .await
        .unwrap();
    while let Some(event) = events.next().await {
        if let WatchEvent::Deleted(seen) = event.unwrap()
            && seen.name_any() == name
        {
            break;
        }
    }
    if with_claim {
        let claims = namespace.api::<PersistentVolumeClaim>();
        claims
            .delete(CLAIM, &DeleteParams::default())
            .await
            .unwrap();
        while claims.get_opt(CLAIM).await.unwrap().is_some() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }
    steps
}

impl Steps {
    fn see(&mut self, pod: &Pod, at: f64) {
        let first = |step: &mut f64, there: bool| {
            if there && *step == 0.0 {
                *step = at;
            }
        };
        let status = pod.status.clone().unwrap_or_default();
        let runs = |list: &Option<Vec<ContainerStatus>>| {
            list.iter().flatten().any(|one| {
                one.state
                    .as_ref()
                    .is_some_and(|state| state.running.is_some())
            })
        };
        let scheduled = pod
            .spec
            .as_ref()
            .is_some_and(|spec| spec.node_name.is_some());
        first(&mut self.scheduled, scheduled);
        first(&mut self.sidecar, runs(&status.init_container_statuses));
        first(&mut self.app, runs(&status.container_statuses));
        let ready = status
            .conditions
            .iter()
            .flatten()
            .any(|one| one.type_ == "Ready" && one.status == "True");
        first(&mut self.ready, ready);
    }
}

fn pod(integration: Option<&str>, with_claim: bool) -> Value {
    let mut pod = json!({
        "metadata": {"generateName": "agent-", "labels": {"app": "agent"}},
        "spec": {
            "containers": [{
                "name": "app", "image": "localhost/boboyka-probe:test", "imagePullPolicy": "Never", "args": ["pause"],
            }],
        },
    });
    if let Some(integration) = integration {
        pod["metadata"]["labels"][names::INTEGRATION_LABEL] = integration.into();
    }
    if with_claim {
        pod["spec"]["volumes"] =
            json!([{"name": "data", "persistentVolumeClaim": {"claimName": CLAIM}}]);
        pod["spec"]["containers"][0]["volumeMounts"] =
            json!([{"name": "data", "mountPath": "/data"}]);
    }
    pod
}
