//! The upgrade of the product from an earlier commit, with agents that post all the time. `make upgrade` builds that
//! commit into `target/upgrade` and runs this.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use boboyka_cluster::{Cluster, Tier, test_images, wait_for};
use boboyka_crds::names;
use boboyka_images::{OPERATOR, Program, SIDECAR, product_image};
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::ResourceExt;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::agents::{Agents, LABEL, LIMIT, template};
use crate::caller::all_events;
use crate::load::Load;
use crate::product::{deploy_charts, kubectl, root, run, tell};

/// The tag of the images of the commit before.
const BEFORE: &str = "before";
/// Records that are acknowledged before and after each step.
const RECORDS: usize = 100;
const WEB: u32 = 3;
const DB: u32 = 2;

/// Where `make upgrade` puts the charts and the programs of the commit before.
fn before() -> PathBuf {
    root().join("target/upgrade")
}

fn image(program: &Program) -> PathBuf {
    let file = before().join("bin").join(program.name);
    let mut image = product_image(program, &file).unwrap();
    image.name = format!("localhost/{}:{BEFORE}", program.name);
    let archive = before().join(format!("{}.tar", program.name));
    image.write(&archive).unwrap()
}

/// A cluster with the product as it was.
async fn cluster() -> Cluster {
    let mut images = test_images().unwrap();
    images.extend([image(&SIDECAR), image(&OPERATOR)]);
    let cluster = Cluster::start(Tier::Nodes(2), &images).await.unwrap();
    deploy_tagged(&cluster, &before().join("tree/charts"), BEFORE);
    cluster
}

/// Installs charts, or upgrades to them. Without values, helm would take those of the time before.
fn deploy_tagged(cluster: &Cluster, charts: &Path, tag: &str) {
    let tags = ["image", "sidecar.image"].map(|image| format!("{image}.tag={tag}"));
    deploy_charts(cluster, charts, &[&tags[0], &tags[1]]);
}

/// A Deployment, a StatefulSet, and a Deployment that is scaled to nothing while the product is upgraded.
async fn deploy_agents(agents: &Agents) {
    agents.deploy("web", WEB, json!({})).await;
    agents.deploy("rests", 1, json!({})).await;
    let set = json!({"metadata": {"name": "db"}, "spec": {
        "replicas": DB, "serviceName": "db", "podManagementPolicy": "Parallel",
        "selector": {"matchLabels": {"app": "db"}}, "template": template("db"),
    }});
    agents.namespace.create::<StatefulSet>(set).await.unwrap();
}

async fn all_pods(agents: &Agents) -> Vec<Pod> {
    let mut pods = agents.pods("web", WEB as usize).await;
    pods.extend(agents.pods("db", DB as usize).await);
    pods
}

async fn scale(agents: &Agents, replicas: usize) {
    let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
    let api = agents.namespace.api::<Deployment>();
    let how = PatchParams::default();
    api.patch("rests", &how, &patch).await.unwrap();
    agents.pods("rests", replicas).await;
}

/// Has a pod for every strand, also for those that a rolling restart left over.
async fn hold_all(agents: &Agents) {
    let others = (WEB + DB) as usize;
    wait_for(
        "the strands of pods that are gone to be free",
        LIMIT,
        || async {
            let strands = agents.strands().await;
            let held = strands.iter().filter(|one| one.spec.holder.is_some());
            Ok(held.count() == others)
        },
    )
    .await
    .unwrap();
    let count = agents.strands().await.len();
    scale(agents, count - others).await;
    assert_eq!(agents.strands().await.len(), count);
}

/// Every strand: its name and UID, its claim and the claim's UID.
async fn strands(agents: &Agents) -> Vec<[String; 4]> {
    let claims = agents.namespace.api::<PersistentVolumeClaim>();
    let claims = claims.list(&ListParams::default()).await.unwrap();
    let uid_of = |name: &str| claims.iter().find(|one| one.name_any() == name)?.uid();
    let strands = agents.strands().await.into_iter().map(|strand| {
        let claim = strand.spec.claim_name.clone().unwrap();
        let uid = uid_of(&claim).unwrap_or_else(|| panic!("claim {claim} is gone"));
        [strand.name_any(), strand.uid().unwrap(), claim, uid]
    });
    let mut strands: Vec<_> = strands.collect();
    strands.sort();
    strands
}

/// The sidecar's container in a pod.
fn sidecar(pod: &Pod) -> Value {
    let all = json!(pod.spec.as_ref().unwrap().init_containers);
    let mut all = all.as_array().unwrap().iter();
    all.find(|one| one["name"] == names::CONTAINER)
        .unwrap()
        .clone()
}

/// Waits until every sidecar runs an image.
async fn run_image(agents: &Agents, tag: &str) {
    let image = format!("localhost/{}:{tag}", SIDECAR.name);
    wait_for("every sidecar to run its image", LIMIT, || async {
        let pods = all_pods(agents).await;
        Ok(pods.iter().all(|pod| sidecar(pod)["image"] == image))
    })
    .await
    .unwrap();
}

/// Makes every pod anew, as `kubectl rollout restart` does; the app and its pods.
fn restart(cluster: &Cluster, agents: &Agents) {
    let namespace = agents.namespace.name();
    for workload in ["deployment/web", "statefulset/db"] {
        kubectl(cluster, &["rollout", "restart", workload, "-n", namespace]);
        let wait = [
            "rollout",
            "status",
            workload,
            "-n",
            namespace,
            "--timeout=5m",
        ];
        kubectl(cluster, &wait);
    }
}

/// Holds the strands to what was acknowledged, by hash and seq, and to their own chains.
async fn lost_nothing(agents: &Agents, acknowledged: &HashMap<String, u64>) {
    let labelled = ListParams::default().labels(LABEL);
    let pods = agents.namespace.api::<Pod>().list(&labelled).await.unwrap();
    let mut held = HashMap::new();
    for pod in pods.iter().map(ResourceExt::name_any) {
        for event in all_events(&agents.namespace, &pod).await {
            let hash = event["record_hash"].as_str().unwrap().to_owned();
            held.insert(hash, event["seq"].as_u64().unwrap());
        }
        let verdict = agents.get(&pod, "/v1/boboyka/verify").await;
        let last: Value = serde_json::from_str(verdict.lines().last().unwrap()).unwrap();
        assert_eq!(last["ok"], true, "{verdict}");
    }
    for (hash, seq) in acknowledged {
        assert_eq!(held.get(hash), Some(seq), "{hash}");
    }
    wait_for("Supabase to have all of it", LIMIT, || async {
        let mirrored = agents.mirrored();
        Ok(acknowledged.keys().all(|hash| mirrored.contains(hash)))
    })
    .await
    .unwrap();
    let twice = "select count(*) from (select strand, seq from project_builds group by strand, seq having count(*) > 1) t";
    assert_eq!(agents.supabase.sql(twice), "0");
}

#[test]
#[ignore = "`make upgrade` builds the commit before and runs it"]
fn an_upgrade_under_load_loses_no_acknowledged_record_and_no_claim() {
    run(async {
        let cluster = cluster().await;
        let agents = Agents::new(&cluster, json!({})).await;
        deploy_agents(&agents).await;
        run_image(&agents, BEFORE).await;
        agents.pods("rests", 1).await;
        agents.wait_for_condition("Ready", "True/AsExpected").await;
        let mut load = Load::start(Arc::clone(&agents.namespace));
        load.acknowledges(RECORDS).await;
        scale(&agents, 0).await;
        let (strands_before, pods_before) = (strands(&agents).await, all_pods(&agents).await);

        let today = env!("CARGO_PKG_VERSION");
        deploy_tagged(&cluster, &root().join("charts"), today);
        load.acknowledges(RECORDS).await;
        run_image(&agents, today).await;
        agents
            .wait_for_condition("SidecarsUpToDate", "True/AsExpected")
            .await;
        agents.wait_for_condition("Ready", "True/AsExpected").await;
        load.acknowledges(RECORDS).await;
        let uids = |pods: &[Pod]| {
            let mut all: Vec<_> = pods.iter().map(ResourceExt::uid).collect();
            all.sort();
            all
        };
        let pods = all_pods(&agents).await;
        assert_eq!(uids(&pods_before), uids(&pods), "the pods went on");
        assert_eq!(strands(&agents).await, strands_before);

        // A pod that comes now is as the new version makes it, and finds what was there.
        restart(&cluster, &agents);
        hold_all(&agents).await;
        load.acknowledges(RECORDS).await;
        for pod in all_pods(&agents).await {
            assert_ne!(
                sidecar(&pod)["securityContext"],
                sidecar(&pods_before[0])["securityContext"],
                "it was injected anew"
            );
        }
        let strands = strands(&agents).await;
        assert!(
            strands_before.iter().all(|one| strands.contains(one)),
            "{strands:?} {strands_before:?}"
        );
        let acknowledged = load.end().await;
        lost_nothing(&agents, &acknowledged).await;
        agents
            .wait_for_condition("ChainIntact", "True/AsExpected")
            .await;
        agents.wait_for_condition("Ready", "True/AsExpected").await;
        tell(&format!("{} records acknowledged", acknowledged.len()));
    });
}
