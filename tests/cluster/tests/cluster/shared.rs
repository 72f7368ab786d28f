//! One cluster for all tests that leave it whole. It ends with the process.

use std::sync::OnceLock;

use boboyka_cluster::{Breakable, Cluster, Slot, TestNamespace, Tier, test_images};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::{Mutex, OnceCell};

/// The tests that start a cluster for themselves do so one at a time, for the machine's sake.
pub(crate) static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// Clients live in the runtime that made them, so all tests run in one.
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME
        .get_or_init(|| Runtime::new().unwrap())
        .block_on(test)
}

pub(crate) async fn start() -> Cluster {
    Cluster::start(Tier::Nodes(2), &test_images().unwrap())
        .await
        .unwrap()
}

/// The cluster for tests that break it and leave it whole.
pub(crate) async fn breakable() -> Breakable {
    static SLOT: Slot = Slot::const_new(None);
    Breakable::take(&SLOT, async { Ok(start().await) })
        .await
        .unwrap()
}

/// The cluster for tests that leave it whole all the time.
pub(crate) async fn cluster() -> &'static Cluster {
    static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
    CLUSTER.get_or_init(start).await
}

/// Names the kubeconfig of a foreign cluster, which has the images, for the tests that break nothing.
const FOREIGN: &str = "BOBOYKA_TEST_KUBECONFIG";

/// A namespace in the foreign cluster, or else in the one for all tests.
pub(crate) async fn namespace() -> TestNamespace {
    let made = match std::env::var_os(FOREIGN) {
        Some(kubeconfig) => TestNamespace::in_foreign_cluster(kubeconfig.as_ref()).await,
        None => TestNamespace::new(cluster().await.client()).await,
    };
    made.unwrap()
}

/// A Deployment of an app with the sidecar as native sidecar, its strand on a volume of its own.
pub(crate) async fn deploy(namespace: &TestNamespace, app: &str) {
    deploy_with(namespace, app, json!([])).await;
}

/// A Deployment without volumes, of an app that waits.
pub(crate) async fn deploy_waiting(namespace: &TestNamespace, app: &str) {
    let labels = json!({"app": app});
    let deployment = json!({"metadata": {"name": app}, "spec": {
        "replicas": 1, "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod_of_probe()},
    }});
    namespace
        .create::<k8s_openapi::api::apps::v1::Deployment>(deployment)
        .await
        .unwrap();
}

/// The same with an environment for the sidecar.
pub(crate) async fn deploy_with(namespace: &TestNamespace, app: &str, environment: Value) {
    use k8s_openapi::api::apps::v1::Deployment;
    claim(namespace, "strand").await;
    let labels = json!({"app": app});
    let mut pod = pod_of_probe();
    pod["initContainers"] = json!([{
        "name": "sidecar", "image": format!("localhost/boboyka-sidecar:{}", env!("CARGO_PKG_VERSION")),
        "imagePullPolicy": "Never", "restartPolicy": "Always", "env": environment,
        "args": ["--data-dir", "/data/strand", "--observe", "0.0.0.0:7476"],
        "startupProbe": {"httpGet": {"path": "/ready", "port": 7476}, "periodSeconds": 1, "failureThreshold": 60},
        "securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": "strand", "mountPath": "/data"}],
    }]);
    pod["securityContext"] = json!({"runAsNonRoot": true, "fsGroup": 65532, "seccompProfile": {"type": "RuntimeDefault"}});
    pod["volumes"] = json!([{"name": "strand", "persistentVolumeClaim": {"claimName": "strand"}}]);
    let deployment = json!({
        "metadata": {"name": app},
        "spec": {
            "replicas": 1, "strategy": {"type": "Recreate"}, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    });
    namespace.create::<Deployment>(deployment).await.unwrap();
}

/// A claim to a local volume for one pod at a time.
pub(crate) async fn claim(namespace: &TestNamespace, name: &str) {
    let claim = json!({
        "metadata": {"name": name},
        "spec": {
            "accessModes": ["ReadWriteOncePod"],
            "resources": {"requests": {"storage": "100Mi"}},
        },
    });
    namespace
        .create::<k8s_openapi::api::core::v1::PersistentVolumeClaim>(claim)
        .await
        .unwrap();
}

/// A pod's spec whose only container waits.
pub(crate) fn pod_of_probe() -> Value {
    json!({
        "terminationGracePeriodSeconds": 2,
        "containers": [{
            "name": "app", "image": "localhost/boboyka-probe:test", "imagePullPolicy": "Never", "args": ["pause"],
        }],
    })
}

/// Posts a record from the app's container over localhost; its receipt.
pub(crate) async fn post(namespace: &TestNamespace, pod: &str, build: &str) -> Value {
    try_post(namespace, pod, build).await.unwrap()
}

/// The same, when it may be refused.
pub(crate) async fn try_post(
    namespace: &TestNamespace,
    pod: &str,
    build: &str,
) -> anyhow::Result<Value> {
    let record = json!({"record_type": "project_build", "data":
        {"project_id": "p", "build_id": build, "status": "running", "agent_id": "a"}});
    let url = "http://127.0.0.1:7475/v1/boboyka/ingest";
    let command = ["/boboyka-probe", "post", url, &record.to_string()];
    let printed = namespace.exec(pod, "app", &command).await?;
    Ok(serde_json::from_str(&printed)?)
}

/// The events that the sidecar of a pod has, with their data.
pub(crate) async fn events(namespace: &TestNamespace, pod: &str) -> String {
    try_events(namespace, pod).await.unwrap()
}

/// The same, when the pod may not be reached.
pub(crate) async fn try_events(namespace: &TestNamespace, pod: &str) -> anyhow::Result<String> {
    let url = "http://127.0.0.1:7475/v1/boboyka/events?limit=100&include=data";
    namespace
        .exec(pod, "app", &["/boboyka-probe", "get", url])
        .await
}
