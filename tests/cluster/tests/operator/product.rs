//! A cluster with the product installed as a platform team does it: by the charts.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use boboyka_cluster::{Breakable, Cluster, Slot, Tier, test_images, wait_for};
use boboyka_crds::BoboykaIntegration;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;

use crate::agents::{LIMIT, is_ready};

/// Where the operator is installed.
pub(crate) const NAMESPACE: &str = "boboyka-system";

/// Clients live in the runtime that made them, so all tests run in one.
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME
        .get_or_init(|| Runtime::new().unwrap())
        .block_on(test)
}

/// The cluster for all tests that leave it whole.
pub(crate) async fn cluster() -> &'static Cluster {
    static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
    CLUSTER.get_or_init(|| start(&[])).await
}

/// The cluster for tests that break it and leave it whole.
pub(crate) async fn breakable() -> Breakable {
    static SLOT: Slot = Slot::const_new(None);
    Breakable::take(&SLOT, async { Ok(start(&[]).await) })
        .await
        .unwrap()
}

/// A cluster with the product in it, installed with some values.
async fn start(values: &[&str]) -> Cluster {
    let cluster = Cluster::start(Tier::Nodes(2), &test_images().unwrap())
        .await
        .unwrap();
    deploy(&cluster, values);
    cluster
}

/// Installs, or upgrades with other values, as `make deploy` does.
pub(crate) fn deploy(cluster: &Cluster, values: &[&str]) {
    deploy_charts(cluster, &root().join("charts"), values);
}

/// The same with the charts of another folder.
pub(crate) fn deploy_charts(cluster: &Cluster, charts: &Path, values: &[&str]) {
    let mut command = Command::new(root().join("tools/deploy.sh"));
    command
        .env("KUBECONFIG", cluster.kubeconfig())
        .env("BOBOYKA_CHARTS", charts);
    for value in values {
        command.args(["--set", value]);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}\n{}", pods_of(cluster));
}

/// The checkout.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn pods_of(cluster: &Cluster) -> String {
    let all = ["describe", "pods", "--namespace", NAMESPACE];
    let described = kubectl_output(cluster, &all);
    let logs = [
        "logs",
        "--namespace",
        NAMESPACE,
        "deployment/boboyka-operator",
        "--tail=40",
    ];
    format!("{described}\n{}", kubectl_output(cluster, &logs))
}

fn kubectl_output(cluster: &Cluster, arguments: &[&str]) -> String {
    let mut command = Command::new(cluster.bin().join("kubectl"));
    command
        .arg("--kubeconfig")
        .arg(cluster.kubeconfig())
        .args(arguments);
    let output = command.output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Runs kubectl, which must succeed; what it printed.
pub(crate) fn kubectl(cluster: &Cluster, arguments: &[&str]) -> String {
    let mut command = Command::new(cluster.bin().join("kubectl"));
    command
        .arg("--kubeconfig")
        .arg(cluster.kubeconfig())
        .args(arguments);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Kills every replica of the operator at once.
pub(crate) async fn kill_operator(cluster: &Cluster) {
    let pods: Api<Pod> = Api::namespaced(cluster.client(), NAMESPACE);
    let selector = ListParams::default().labels("app.kubernetes.io/name=boboyka-operator");
    for pod in pods.list(&selector).await.unwrap() {
        let now = kube::api::DeleteParams::default().grace_period(0);
        let killed = pods.delete(&pod.name_any(), &now).await;
        // A pod that was about to end is gone by itself.
        let is_gone = |error: &kube::Error| matches!(error, kube::Error::Api(it) if it.code == 404);
        assert!(killed.as_ref().err().is_none_or(is_gone), "{killed:?}");
    }
}

/// Waits until the operator's Deployment has all of its replicas ready. Its pods are counted: its status may still count
/// those that were killed.
pub(crate) async fn operator_ready(cluster: &Cluster) {
    let api: Api<Deployment> = Api::namespaced(cluster.client(), NAMESPACE);
    let pods: Api<Pod> = Api::namespaced(cluster.client(), NAMESPACE);
    let selector = ListParams::default().labels("app.kubernetes.io/name=boboyka-operator");
    wait_for("the operator to be ready", LIMIT, || async {
        let spec = api.get("boboyka-operator").await?.spec;
        let ready = pods.list(&selector).await?;
        let ready = i32::try_from(ready.iter().filter(|pod| is_ready(pod)).count())?;
        Ok(Some(ready) == spec.and_then(|spec| spec.replicas))
    })
    .await
    .unwrap();
}

/// A condition of an integration, as `STATUS/REASON`.
pub(crate) fn condition(integration: &BoboykaIntegration, kind: &str) -> String {
    let conditions = integration
        .status
        .iter()
        .flat_map(|status| &status.conditions);
    let mut found = conditions.filter(|one| one.type_ == kind);
    found
        .next()
        .map_or_else(String::new, |one| format!("{}/{}", one.status, one.reason))
}

/// Tells the person who watches the run a figure.
#[expect(
    clippy::print_stderr,
    reason = "figures are for the person who watches the run"
)]
pub(crate) fn tell(text: &str) {
    eprintln!("{text}");
}
