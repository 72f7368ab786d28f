//! One API server for all tests, taken in turn because some break it; in it an integration, a strand, and a sidecar.

use std::future::Future;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use boboyka_cluster::{Cluster, TestNamespace, Tier, wait_for};
use boboyka_crds::{BoboykaIntegration, BoboykaStrand, Phase, definitions};
use boboyka_tests::Sidecar;
use boboyka_tests::process::GUARD;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use kube::{Api, Resource, ResourceExt as _};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::{Mutex, MutexGuard, OnceCell};

pub(crate) const LIMIT: Duration = GUARD;
/// How long a test waits for what must not come: longer than a report usually takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);
pub(crate) const POD_UID: &str = "6f0e9d7c-8a0b-4a7e-9a53-0e3c5f1a2b3c";

/// Clients live in the runtime that made them, so all tests run in one.
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| Runtime::new().unwrap());
    runtime.block_on(Box::pin(test))
}

/// A namespace with an integration and its one strand.
pub(crate) struct Stage {
    pub(crate) cluster: MutexGuard<'static, Cluster>,
    pub(crate) namespace: TestNamespace,
}

impl Stage {
    /// Makes it. `spec` is the integration's.
    pub(crate) async fn new(spec: Value) -> Self {
        static CLUSTER: OnceCell<Mutex<Cluster>> = OnceCell::const_new();
        let start = || async { Mutex::new(Cluster::start(Tier::Api, &[]).await.unwrap()) };
        let cluster = CLUSTER.get_or_init(start).await.lock().await;
        install(&cluster).await;
        let namespace = TestNamespace::new(cluster.client()).await.unwrap();
        let stage = Self { cluster, namespace };
        stage.create_integration(spec).await;
        stage.create_strand().await;
        stage
    }

    pub(crate) async fn create_integration(&self, spec: Value) {
        let api = self.untyped::<BoboykaIntegration>();
        let made = json!({"apiVersion": "boboyka.sapixdb.com/v1alpha1", "kind": "BoboykaIntegration",
            "metadata": {"name": "boboyka"}, "spec": spec});
        let made = serde_json::from_value(made).unwrap();
        api.create(&PostParams::default(), &made).await.unwrap();
    }

    pub(crate) async fn create_strand(&self) {
        let api = self.untyped::<BoboykaStrand>();
        let made = json!({"apiVersion": "boboyka.sapixdb.com/v1alpha1", "kind": "BoboykaStrand",
            "metadata": {"name": "boboyka-0"}, "spec": {"integration": "boboyka"}});
        let made = serde_json::from_value(made).unwrap();
        api.create(&PostParams::default(), &made).await.unwrap();
    }

    pub(crate) fn untyped<K: Resource<DynamicType = ()>>(&self) -> Api<DynamicObject> {
        let resource = ApiResource::erase::<K>(&());
        let client = self.cluster.client();
        Api::namespaced_with(client, self.namespace.name(), &resource)
    }

    /// A sidecar of this strand, as the operator would have put it into the pod.
    pub(crate) async fn sidecar(&self, arguments: &[&str]) -> Sidecar {
        let environment = self.environment();
        let environment: Vec<_> = environment
            .iter()
            .map(|(name, value)| (*name, &**value))
            .collect();
        Sidecar::start_with(arguments, &environment).await
    }

    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        use boboyka_crds::names::{
            INTEGRATION_VARIABLE, NAMESPACE_VARIABLE, POD_UID_VARIABLE, STRAND_VARIABLE,
        };
        vec![
            (NAMESPACE_VARIABLE, self.namespace.name().to_owned()),
            (INTEGRATION_VARIABLE, "boboyka".to_owned()),
            (STRAND_VARIABLE, "boboyka-0".to_owned()),
            (POD_UID_VARIABLE, POD_UID.to_owned()),
            (
                "KUBECONFIG",
                self.cluster.kubeconfig().display().to_string(),
            ),
        ]
    }

    /// Says which pod holds the strand.
    pub(crate) async fn hold(&self, pod_uid: &str) {
        self.edit_strand(json!({"holder": {"token": "t", "podName": "p", "podUid": pod_uid}}))
            .await;
    }

    pub(crate) async fn edit_strand(&self, spec: Value) {
        let patch = Patch::Merge(json!({"spec": spec}));
        let api = self.untyped::<BoboykaStrand>();
        api.patch("boboyka-0", &PatchParams::default(), &patch)
            .await
            .unwrap();
    }

    /// What the operator puts in force.
    pub(crate) async fn put_in_force(&self, phase: Phase, generation: i64) {
        self.edit_status(json!({"phase": phase, "phaseGeneration": generation}))
            .await;
    }

    pub(crate) async fn edit_status(&self, status: Value) {
        let patch = Patch::Merge(json!({"status": status}));
        let api = self.untyped::<BoboykaIntegration>();
        api.patch_status("boboyka", &PatchParams::default(), &patch)
            .await
            .unwrap();
    }

    /// What the sidecar reported.
    pub(crate) async fn report(&self) -> Value {
        let strand = self.untyped::<BoboykaStrand>().get("boboyka-0").await;
        strand.map_or(Value::Null, |strand| strand.data["status"].clone())
    }

    /// Waits for a report of which this is true; the report, and how long it took.
    pub(crate) async fn reported(
        &self,
        sidecar: &Sidecar,
        what: impl Fn(&Value) -> bool,
    ) -> (Value, Duration) {
        let begun = Instant::now();
        loop {
            let report = self.report().await;
            if what(&report) {
                return (report, begun.elapsed());
            }
            let log = sidecar.log();
            assert!(
                begun.elapsed() < LIMIT,
                "it was not reported: {report:#}\n{log}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Waits until the sidecar's own status says this; how long it took.
pub(crate) async fn shown(sidecar: &Sidecar, what: impl Fn(&Value) -> bool) -> Duration {
    let begun = Instant::now();
    loop {
        let status = sidecar.get("/v1/boboyka/status").await;
        if what(&status) {
            return begun.elapsed();
        }
        assert!(
            begun.elapsed() < LIMIT,
            "it is not shown: {status:#}\n{}",
            sidecar.log()
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A report says so when the sidecar obeys this phase.
pub(crate) fn obeys(phase: Phase, generation: i64) -> impl Fn(&Value) -> bool {
    move |report| report["phase"] == json!(phase) && report["phaseGeneration"] == generation
}

pub(crate) fn health(n: u64) -> Value {
    json!({"agent_id": format!("a{n}"), "status": "healthy"})
}

pub(crate) fn mirrored() -> Value {
    json!({"supabase": {"secretRef": {"name": "supabase"}}})
}

/// Installs both definitions; to do so again does no harm.
pub(crate) async fn install(cluster: &Cluster) {
    let api = Api::<CustomResourceDefinition>::all(cluster.client());
    for definition in definitions().unwrap() {
        let name = definition.name_any();
        let parameters = PatchParams::apply("test").force();
        api.patch(&name, &parameters, &Patch::Apply(&definition))
            .await
            .unwrap();
        wait_for("the definition to be established", LIMIT, || async {
            let status = api.get(&name).await?.status.unwrap_or_default();
            let mut conditions = status.conditions.unwrap_or_default().into_iter();
            Ok(conditions.any(|one| one.type_ == "Established" && one.status == "True"))
        })
        .await
        .unwrap();
    }
}

#[expect(
    clippy::print_stderr,
    reason = "times are for the person who watches the run"
)]
pub(crate) fn say(text: &str) {
    eprintln!("sidecar side: {text}");
}
