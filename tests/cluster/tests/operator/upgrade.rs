//! Another sidecar image, in place: one pod after the other, the app's container left alone; a bad one stops at the first.

use boboyka_cluster::wait_for;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::json;

use crate::agents::{Agents, LIMIT};
use crate::product::{cluster, run};

const NEXT: &str = "localhost/boboyka-sidecar:next";

#[test]
fn a_new_image_rolls_out_in_place_and_a_bad_one_stops_at_the_first_pod() {
    run(async {
        let cluster = cluster().await;
        let this = format!("localhost/boboyka-sidecar:{}", env!("CARGO_PKG_VERSION"));
        cluster.tag_image(&this, NEXT).unwrap();
        let agents = Agents::new(cluster, json!({})).await;
        agents.deploy("moves", 2, json!({})).await;
        let before = agents.pods("moves", 2).await;
        agents.wait_for_condition("Ready", "True/AsExpected").await;
        agents.post(&before[0].name_any(), "bld_before").await;

        agents.edit(json!({"sidecar": {"image": NEXT}})).await;
        wait_for("both sidecars to run the new image", LIMIT, || async {
            let pods = agents.pods("moves", 2).await;
            Ok(pods.iter().all(|pod| runs(pod) == Some(NEXT.to_owned())))
        })
        .await
        .unwrap();
        agents
            .wait_for_condition("SidecarsUpToDate", "True/AsExpected")
            .await;
        let after = agents.pods("moves", 2).await;
        let uids = |pods: &[Pod]| {
            let mut all: Vec<_> = pods.iter().map(ResourceExt::uid).collect();
            all.sort();
            all
        };
        assert_eq!(uids(&before), uids(&after), "the pods are the same");
        for pod in &after {
            let app = pod
                .status
                .as_ref()
                .unwrap()
                .container_statuses
                .as_ref()
                .unwrap();
            assert_eq!(app[0].restart_count, 0, "the app was left alone");
        }
        assert!(
            agents
                .events(&before[0].name_any())
                .await
                .contains("bld_before")
        );

        agents
            .edit(json!({"sidecar": {"image": "localhost/boboyka-sidecar:missing"}}))
            .await;
        agents
            .wait_longer("the rollout to stop", 2 * LIMIT, |integration| {
                crate::product::condition(integration, "SidecarsUpToDate") == "False/RolloutStopped"
            })
            .await;
        let pods = agents
            .namespace
            .api::<Pod>()
            .list(&kube::api::ListParams::default().labels("app=moves"))
            .await
            .unwrap();
        let moved = pods
            .iter()
            .filter(|pod| runs(pod) != Some(NEXT.to_owned()))
            .count();
        assert_eq!(moved, 1, "one failure stops it");
        agents.edit(json!({"sidecar": {"image": NEXT}})).await;
        agents.wait_for_condition("Ready", "True/AsExpected").await;
    });
}

fn runs(pod: &Pod) -> Option<String> {
    pod.spec
        .as_ref()?
        .init_containers
        .as_ref()?
        .first()?
        .image
        .clone()
}
