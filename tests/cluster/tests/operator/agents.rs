//! A namespace of agents: an integration, its Supabase, workloads, and what is asked of their sidecars.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use boboyka_cluster::{Cluster, TestNamespace, wait_for};
use boboyka_crds::{BoboykaIntegration, BoboykaStrand};
use boboyka_tests::process::GUARD;
use boboyka_tests::supabase::Supabase;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Secret};
use k8s_openapi::api::events::v1::Event;
use kube::ResourceExt as _;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::product::condition;

/// How long the cluster may take for anything, on a busy machine.
pub(crate) const LIMIT: Duration = GUARD;

/// The label of pods that belong to the integration of these tests.
pub(crate) const LABEL: &str = "boboyka.sapixdb.com/integration";
/// Its name.
pub(crate) const NAME: &str = "boboyka";

/// A namespace with an integration that mirrors to a real Supabase.
pub(crate) struct Agents {
    pub(crate) namespace: Arc<TestNamespace>,
    pub(crate) supabase: Supabase,
    pub(crate) url: String,
    _forward: JoinHandle<()>,
}

impl Agents {
    /// Makes all of it; what is in `spec` is added to the integration's.
    pub(crate) async fn new(cluster: &Cluster, spec: Value) -> Self {
        let agents = Self::without_integration(cluster).await;
        agents.write_secret(&agents.supabase.jwt_key()).await;
        let mut all = json!({
            "supabase": {"secretRef": {"name": "boboyka-supabase"}}, "storage": {"size": "100Mi"},
        });
        all.as_object_mut()
            .unwrap()
            .extend(spec.as_object().unwrap().clone());
        agents.integrate(all).await;
        agents
    }

    /// Makes one whose receipts wait long for Supabase: on a slow machine too they tell that the row is there.
    pub(crate) async fn patient(cluster: &Cluster) -> Self {
        let mirror = json!({"ackTimeout": "30s"});
        let supabase = json!({"secretRef": {"name": "boboyka-supabase"}, "mirror": mirror});
        Self::new(cluster, json!({ "supabase": supabase })).await
    }

    /// Makes the namespace and the Supabase.
    pub(crate) async fn without_integration(cluster: &Cluster) -> Self {
        let supabase = Supabase::start().await;
        let edge = supabase
            .url()
            .trim_start_matches("http://")
            .parse()
            .unwrap();
        let (address, forward) = boboyka_cluster::forward((cluster.host(), 0).into(), edge)
            .await
            .unwrap();
        Self {
            namespace: Arc::new(TestNamespace::new(cluster.client()).await.unwrap()),
            supabase,
            url: format!("http://{address}"),
            _forward: forward,
        }
    }

    /// Creates the integration.
    pub(crate) async fn integrate(&self, spec: Value) {
        let integration = json!({
            "apiVersion": "boboyka.sapixdb.com/v1alpha1", "kind": "BoboykaIntegration",
            "metadata": {"name": NAME}, "spec": spec,
        });
        self.namespace
            .create::<BoboykaIntegration>(integration)
            .await
            .unwrap();
    }

    /// Writes the Secret, or writes it anew with another key.
    pub(crate) async fn write_secret(&self, key: &str) {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "boboyka-supabase"},
            "stringData": {"url": self.url, "key": key},
        });
        let parameters = PatchParams::apply("test").force();
        self.namespace
            .api::<Secret>()
            .patch("boboyka-supabase", &parameters, &Patch::Apply(&secret))
            .await
            .unwrap();
    }

    /// The integration as it is.
    pub(crate) async fn integration(&self) -> BoboykaIntegration {
        self.namespace.api().get(NAME).await.unwrap()
    }

    /// The strands as they are.
    pub(crate) async fn strands(&self) -> Vec<BoboykaStrand> {
        self.namespace
            .api()
            .list(&ListParams::default())
            .await
            .unwrap()
            .items
    }

    /// Edits the integration's specification.
    pub(crate) async fn edit(&self, spec: Value) {
        let change = Patch::Merge(json!({"spec": spec}));
        self.namespace
            .api::<BoboykaIntegration>()
            .patch(NAME, &PatchParams::default(), &change)
            .await
            .unwrap();
    }

    /// Waits until the integration is as a test wants it; tells how it is when it never is.
    pub(crate) async fn wait_until(
        &self,
        what: &str,
        wanted: impl FnMut(&BoboykaIntegration) -> bool,
    ) {
        self.wait_longer(what, LIMIT, wanted).await;
    }

    /// The same, for what takes its time on purpose.
    pub(crate) async fn wait_longer(
        &self,
        what: &str,
        limit: Duration,
        mut wanted: impl FnMut(&BoboykaIntegration) -> bool,
    ) {
        let begun = Instant::now();
        // The API server may be away on purpose.
        while !self
            .namespace
            .api()
            .get(NAME)
            .await
            .is_ok_and(|found| wanted(&found))
        {
            if begun.elapsed() > limit {
                let (integration, strands) = (self.integration().await, self.strands().await);
                panic!(
                    "{what}: not within {limit:?}\n{:#?}\n{strands:#?}",
                    integration.status
                );
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits for a condition, as `STATUS/REASON`, of the specification as it is now.
    pub(crate) async fn wait_for_condition(&self, kind: &str, wanted: &str) {
        let what = format!("{kind} to be {wanted}");
        self.wait_until(&what, |integration| {
            let status = integration.status.as_ref();
            let observed = status.and_then(|status| status.observed_generation);
            observed == integration.metadata.generation && condition(integration, kind) == wanted
        })
        .await;
    }

    /// Creates a Deployment of agents with the label on its pods.
    pub(crate) async fn deploy(&self, app: &str, replicas: u32, strategy: Value) {
        let deployment = json!({
            "replicas": replicas, "strategy": strategy, "template": template(app),
        });
        self.deploy_as(app, deployment).await;
    }

    /// The same with a Deployment's specification, which needs no selector.
    pub(crate) async fn deploy_as(&self, app: &str, mut spec: Value) {
        spec["selector"] = json!({"matchLabels": {"app": app}});
        let deployment = json!({"metadata": {"name": app}, "spec": spec});
        self.namespace
            .create::<Deployment>(deployment)
            .await
            .unwrap();
    }

    /// Waits for this number of ready pods of an app; pods that are being deleted do not count.
    pub(crate) async fn pods(&self, app: &str, count: usize) -> Vec<Pod> {
        let begun = Instant::now();
        let wanted = ListParams::default().labels(&format!("app={app}"));
        loop {
            // The API server may be away on purpose.
            let found = self.namespace.api::<Pod>().list(&wanted).await;
            let found = found.map(|list| list.items).unwrap_or_default();
            let ready: Vec<Pod> = found.iter().filter(|pod| is_ready(pod)).cloned().collect();
            if ready.len() == count {
                return ready;
            }
            if begun.elapsed() > LIMIT {
                let seen: Vec<Value> = found.iter().map(|pod| json!(pod.status)).collect();
                panic!(
                    "{} of {count} pods of {app} are ready: {seen:#?}",
                    ready.len()
                );
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// The one ready pod of an app, by name.
    pub(crate) async fn pod(&self, app: &str) -> String {
        self.pods(app, 1).await[0].name_any()
    }

    /// Posts a build from the app's container to localhost; the receipt.
    pub(crate) async fn post(&self, pod: &str, build: &str) -> Value {
        let record = record(build).to_string();
        let url = "http://127.0.0.1:7475/v1/boboyka/ingest";
        let command = ["/boboyka-probe", "post", url, &record];
        let printed = self.namespace.exec(pod, "app", &command).await.unwrap();
        serde_json::from_str(&printed).unwrap()
    }

    /// What the sidecar of a pod answers on a path.
    pub(crate) async fn get(&self, pod: &str, path: &str) -> String {
        let url = format!("http://127.0.0.1:7475{path}");
        self.namespace
            .exec(pod, "app", &["/boboyka-probe", "get", &url])
            .await
            .unwrap()
    }

    /// The events that the sidecar of a pod has, with their data.
    pub(crate) async fn events(&self, pod: &str) -> String {
        self.get(pod, "/v1/boboyka/events?limit=1000&include=data")
            .await
    }

    /// Waits until Supabase has a build.
    pub(crate) async fn wait_for_row(&self, build: &str) {
        let sql = format!("select count(*) from project_builds where build_id = '{build}'");
        wait_for("the row to be there", LIMIT, || async {
            Ok(self.supabase.sql(&sql) == "1")
        })
        .await
        .unwrap();
    }

    /// Every record hash that Supabase has.
    pub(crate) fn mirrored(&self) -> HashSet<String> {
        let tables = [
            "project_builds",
            "build_queue",
            "agent_health",
            "agent_audit_log",
        ];
        let all = tables.iter().map(|table| {
            self.supabase
                .sql(&format!("select record_hash from {table}"))
        });
        all.flat_map(|rows| rows.lines().map(str::to_owned).collect::<Vec<_>>())
            .filter(|hash| !hash.is_empty())
            .collect()
    }

    /// The Events of the integration, as `REASON: NOTE` lines.
    pub(crate) async fn told(&self) -> String {
        let events = self
            .namespace
            .api::<Event>()
            .list(&ListParams::default())
            .await
            .unwrap();
        let lines = events.items.iter().map(|event| {
            format!(
                "{}: {}",
                event.reason.as_deref().unwrap_or_default(),
                event.note.as_deref().unwrap_or_default()
            )
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// A build as an agent posts it.
pub(crate) fn record(build: &str) -> Value {
    json!({"record_type": "project_build", "data":
        {"project_id": "p", "build_id": build, "status": "running", "agent_id": "a"}})
}

/// Whether a pod is ready and stays.
pub(crate) fn is_ready(pod: &Pod) -> bool {
    let conditions = pod
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    let ready = conditions
        .into_iter()
        .any(|one| one.type_ == "Ready" && one.status == "True");
    ready && pod.metadata.deletion_timestamp.is_none()
}

/// A pod's template: an app that waits, and our label.
pub(crate) fn template(app: &str) -> Value {
    json!({
        "metadata": {"labels": {"app": app, LABEL: NAME}},
        "spec": pod_spec(&json!(["pause"])),
    })
}

/// A pod's spec with one container of the tests' program.
pub(crate) fn pod_spec(arguments: &Value) -> Value {
    json!({
        "terminationGracePeriodSeconds": 2,
        "containers": [{
            "name": "app", "image": "localhost/boboyka-probe:test", "imagePullPolicy": "Never", "args": arguments,
        }],
    })
}
