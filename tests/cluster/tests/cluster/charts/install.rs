//! The product as it comes into a cluster and goes again: on a cluster of its own, for there is one product in a cluster.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use boboyka_cluster::{Cluster, TestNamespace, wait_for};
use boboyka_crds::{BoboykaIntegration, BoboykaStrand, names};
use boboyka_tests::process::GUARD;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingAdmissionPolicy,
};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

use super::{NAMESPACE, chart, helm, root};
use crate::shared::{ONE_AT_A_TIME, pod_of_probe, run, start};

const LIMIT: Duration = GUARD;

/// The authorities by which the API server knows the operator.
async fn authorities(cluster: &Cluster) -> Option<Vec<u8>> {
    let api = Api::<MutatingWebhookConfiguration>::all(cluster.client());
    let found = api.get_opt(names::WEBHOOK).await.unwrap()?;
    let webhook = found.webhooks?.into_iter().next()?;
    Some(webhook.client_config.ca_bundle?.0)
}

async fn replicas(cluster: &Cluster) -> (i32, i32) {
    let api = Api::<Deployment>::namespaced(cluster.client(), NAMESPACE);
    let status = api.get("boboyka-operator").await.unwrap().status.unwrap();
    (
        status.ready_replicas.unwrap_or(0),
        status.updated_replicas.unwrap_or(0),
    )
}

/// What `make deploy` runs.
fn deploy(cluster: &Cluster) -> String {
    let mut script = Command::new(root().join("tools/deploy.sh"));
    let output = script
        .env("KUBECONFIG", cluster.kubeconfig())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{output:?}\n{}",
        why_not_ready(cluster)
    );
    String::from_utf8(output.stdout).unwrap()
}

pub(super) fn kubectl(cluster: &Cluster, arguments: &[&str]) -> Result<String, String> {
    let mut command = Command::new(cluster.bin().join("kubectl"));
    command.arg("--kubeconfig").arg(cluster.kubeconfig());
    let output = command.args(arguments).output().unwrap();
    if output.status.success() {
        Ok(String::from_utf8(output.stdout).unwrap())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

fn why_not_ready(cluster: &Cluster) -> String {
    let asked: [&[&str]; 3] = [
        &["get", "pods,events", "-n", NAMESPACE, "-o", "wide"],
        &[
            "logs",
            "-n",
            NAMESPACE,
            "deployment/boboyka-operator",
            "--tail=40",
        ],
        &["get", "--raw", "/readyz?verbose"],
    ];
    let told = asked.map(|arguments| kubectl(cluster, arguments).unwrap_or_else(|error| error));
    told.join("\n")
}

async fn namespace_gone(cluster: &Cluster, name: &str) {
    let api = Api::<Namespace>::all(cluster.client());
    api.delete(name, &DeleteParams::default()).await.unwrap();
    wait_for("the namespace to be gone", LIMIT, || async {
        Ok(api.get_opt(name).await?.is_none())
    })
    .await
    .unwrap();
}

/// An integration without Supabase, and an agent of it.
async fn agent(namespace: &TestNamespace) {
    let integration = json!({"apiVersion": "boboyka.sapixdb.com/v1alpha1", "kind": "BoboykaIntegration",
        "metadata": {"name": "boboyka"}, "spec": {"storage": {"size": "100Mi"}}});
    namespace
        .create::<BoboykaIntegration>(integration)
        .await
        .unwrap();
    let mut labels = json!({"app": "agent"});
    labels[names::INTEGRATION_LABEL] = json!("boboyka");
    let deployment = json!({"metadata": {"name": "agent"}, "spec": {
        "replicas": 1, "selector": {"matchLabels": {"app": "agent"}},
        "template": {"metadata": {"labels": labels}, "spec": pod_of_probe()},
    }});
    namespace.create::<Deployment>(deployment).await.unwrap();
}

#[test]
fn the_product_is_installed_upgraded_rolled_back_and_taken_away() {
    run(async {
        let _one = ONE_AT_A_TIME.lock().await;
        let cluster = Box::pin(start()).await;
        installed(&cluster).await;
        let namespace = TestNamespace::new(cluster.client()).await.unwrap();
        agent(&namespace).await;
        let pod = namespace.ready_pod("agent").await.unwrap();
        assert_eq!(
            pod.spec.unwrap().init_containers.unwrap()[0].name,
            names::CONTAINER
        );
        let strands = namespace.api::<BoboykaStrand>();
        let strand = strands
            .list(&ListParams::default())
            .await
            .unwrap()
            .items
            .remove(0);

        upgraded_and_rolled_back(&cluster).await;
        refused_a_second_time(&cluster);
        taken_away(&cluster).await;
        let left = strands.get(&strand.name_any()).await.unwrap();
        assert_eq!(left.uid(), strand.uid());
        // Without the product a label is a label.
        let mut bare = json!({"metadata": {"name": "bare", "labels": {}}, "spec": pod_of_probe()});
        bare["metadata"]["labels"][names::INTEGRATION_LABEL] = json!("boboyka");
        wait_for("the policies to be gone", LIMIT, || async {
            Ok(namespace.create::<Pod>(bare.clone()).await.is_ok())
        })
        .await
        .unwrap();

        from_one_manifest(&cluster).await;
        namespace
            .delete_pod(&agent_pod(&namespace).await, true)
            .await
            .unwrap();
        namespace.ready_pod("agent").await.unwrap();
        let again = strands.get(&strand.name_any()).await.unwrap();
        assert_eq!(again.uid(), strand.uid());
        namespace_gone(&cluster, namespace.name()).await;
    });
}

async fn agent_pod(namespace: &TestNamespace) -> String {
    let wanted = ListParams::default().labels("app=agent");
    let pods = namespace.api::<Pod>().list(&wanted).await.unwrap();
    pods.items.first().unwrap().name_any()
}

/// Into a namespace that takes restricted pods only.
async fn installed(cluster: &Cluster) {
    let namespace = json!({"metadata": {"name": NAMESPACE, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}});
    Api::<Namespace>::all(cluster.client())
        .create(
            &PostParams::default(),
            &serde_json::from_value(namespace).unwrap(),
        )
        .await
        .unwrap();
    let told = deploy(cluster);
    for next in [
        "create secret generic",
        "kind: BoboykaIntegration",
        "boboyka.sapixdb.com/integration: boboyka",
        "get bbi",
    ] {
        assert!(told.contains(next), "{next}: {told}");
    }
    assert_eq!(replicas(cluster).await, (2, 2));
    assert!(
        authorities(cluster)
            .await
            .is_some_and(|bundle| !bundle.is_empty())
    );
    let pods = Api::<Pod>::namespaced(cluster.client(), NAMESPACE);
    let replicas = ListParams::default().labels("app.kubernetes.io/name=boboyka-operator");
    let pods = pods.list(&replicas).await.unwrap();
    let nodes: Vec<_> = pods
        .iter()
        .map(|pod| pod.spec.as_ref().unwrap().node_name.clone())
        .collect();
    assert!(nodes.len() == 2 && nodes[0] != nodes[1], "{nodes:?}");
}

async fn upgraded_and_rolled_back(cluster: &Cluster) {
    let place = chart("boboyka-operator");
    let place = place.to_str().unwrap();
    let run = |arguments: &[&str]| {
        let wait = ["-n", NAMESPACE, "--wait", "--timeout", "2m"];
        let all = [arguments, &wait].concat();
        helm(cluster.kubeconfig(), &all)
            .unwrap_or_else(|error| panic!("{error}\n{}", why_not_ready(cluster)))
    };
    let before = authorities(cluster).await;
    run(&[
        "upgrade",
        "boboyka-operator",
        place,
        "--set",
        "replicas=3,log=debug",
    ]);
    assert_eq!(replicas(cluster).await, (3, 3));
    let during = authorities(cluster).await;
    assert!(during.is_some_and(|bundle| !bundle.is_empty()) && before.is_some());
    // The chart without a change takes nothing away that the operator filled in.
    run(&["upgrade", "boboyka-operator", place, "--reuse-values"]);
    assert!(
        authorities(cluster)
            .await
            .is_some_and(|bundle| !bundle.is_empty())
    );
    run(&["rollback", "boboyka-operator", "1"]);
    assert_eq!(replicas(cluster).await.0, 2);
    assert!(
        authorities(cluster)
            .await
            .is_some_and(|bundle| !bundle.is_empty())
    );
    let definitions = chart("boboyka-crds");
    run(&["upgrade", "boboyka-crds", definitions.to_str().unwrap()]);
}

fn refused_a_second_time(cluster: &Cluster) {
    let place = chart("boboyka-operator");
    let again = [
        "install",
        "second",
        place.to_str().unwrap(),
        "-n",
        "elsewhere",
        "--create-namespace",
    ];
    let complained = helm(cluster.kubeconfig(), &again).unwrap_err().to_string();
    for text in [
        "exists and cannot be imported into the current release",
        "meta.helm.sh/release-namespace",
        NAMESPACE,
    ] {
        assert!(complained.contains(text), "{text}: {complained}");
    }
}

async fn taken_away(cluster: &Cluster) {
    for name in ["boboyka-operator", "boboyka-crds"] {
        helm(
            cluster.kubeconfig(),
            &["uninstall", name, "-n", NAMESPACE, "--wait"],
        )
        .unwrap();
    }
    assert!(authorities(cluster).await.is_none());
    let webhooks = Api::<MutatingWebhookConfiguration>::all(cluster.client());
    assert!(webhooks.get_opt(names::WEBHOOK).await.unwrap().is_none());
    let policies = Api::<ValidatingAdmissionPolicy>::all(cluster.client());
    let policies = policies.list(&ListParams::default()).await.unwrap();
    assert!(
        policies
            .iter()
            .all(|one| !one.name_any().starts_with("boboyka-"))
    );
    namespace_gone(cluster, NAMESPACE).await;
    kubectl(cluster, &["get", "bbi,bbs", "--all-namespaces"]).unwrap();
}

async fn from_one_manifest(cluster: &Cluster) {
    let manifest = root().join("charts/install.yaml");
    let manifest = manifest.to_str().unwrap();
    kubectl(cluster, &["apply", "-f", manifest]).unwrap();
    let waiting = [
        "rollout",
        "status",
        "deployment/boboyka-operator",
        "-n",
        NAMESPACE,
        "--timeout=120s",
    ];
    kubectl(cluster, &waiting)
        .unwrap_or_else(|error| panic!("{error}\n{}", why_not_ready(cluster)));
    // Again, as somebody does who is not sure.
    kubectl(cluster, &["apply", "-f", manifest]).unwrap();
    assert!(
        authorities(cluster)
            .await
            .is_some_and(|bundle| !bundle.is_empty())
    );
}

/// The samples, on a control plane that knows the product.
#[test]
fn the_samples_are_taken_by_a_real_api_server_and_say_what_they_show() {
    run(async {
        let cluster = crate::authorization::cluster().await;
        let mut samples = 0;
        for file in std::fs::read_dir(root().join("charts/samples")).unwrap() {
            let file = file.unwrap().path();
            let text = std::fs::read_to_string(&file).unwrap();
            assert!(
                text.starts_with("# "),
                "{} begins with what it shows",
                file.display()
            );
            apply_dry(cluster, &file);
            samples += 1;
        }
        assert!(samples >= 10);
    });
}

fn apply_dry(cluster: &Cluster, file: &Path) {
    let place = file.to_str().unwrap();
    kubectl(cluster, &["apply", "--dry-run=server", "-f", place])
        .unwrap_or_else(|error| panic!("{place}: {error}"));
}

#[test]
fn the_sample_with_everything_has_every_field() {
    let text = std::fs::read_to_string(root().join("charts/samples/everything.yaml")).unwrap();
    let [definition, _] = boboyka_crds::definitions().unwrap();
    let schema = serde_json::to_value(&definition).unwrap();
    let spec = &schema["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    let mut waiting: Vec<(String, &Value)> = vec![(String::new(), spec)];
    while let Some((name, schema)) = waiting.pop() {
        // What stands beside `ephemeral` can't; Kubernetes' own types are Kubernetes' to show.
        if ["ephemeral", "resources", "workloadSelector"].contains(&name.as_str()) {
            continue;
        }
        for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
            let there = text.contains(&format!("{name}:"));
            assert!(
                there || name == "ephemeral",
                "{name} is not in charts/samples/everything.yaml"
            );
            waiting.push((name.clone(), schema));
        }
    }
}
