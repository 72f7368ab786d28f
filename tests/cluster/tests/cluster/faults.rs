//! What breaks on purpose, each test on a cluster of its own.

use std::time::Duration;

use boboyka_cluster::{TestNamespace, wait_for};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use serde_json::json;

use crate::shared::{ONE_AT_A_TIME, deploy, events, pod_of_probe, post, run, start};

const LIMIT: Duration = Duration::from_mins(1);

#[test]
fn a_partitioned_nodes_pod_is_evicted_and_the_heal_is_clean() {
    run(async {
        let _one = ONE_AT_A_TIME.lock().await;
        let cluster = start().await;
        let namespace = TestNamespace::new(cluster.client()).await.unwrap();
        let labels = json!({"app": "moves"});
        let deployment = json!({"metadata": {"name": "moves"}, "spec": {
            "replicas": 1, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod_of_probe()},
        }});
        namespace
            .create::<k8s_openapi::api::apps::v1::Deployment>(deployment)
            .await
            .unwrap();
        let first = namespace.ready_pod("moves").await.unwrap();
        let node = first.spec.as_ref().unwrap().node_name.clone().unwrap();
        cluster.partition(&node).unwrap();
        wait_for("the pod to be evicted", LIMIT, || async {
            let pod = namespace.api::<Pod>().get(&first.name_any()).await?;
            Ok(pod.metadata.deletion_timestamp.is_some())
        })
        .await
        .unwrap();
        let second = namespace.ready_pod("moves").await.unwrap();
        assert_ne!(second.spec.as_ref().unwrap().node_name, Some(node.clone()));
        cluster.heal(&node).unwrap();
        cluster.node_ready(&node).await.unwrap();
        wait_for("the old pod to go", LIMIT, || async {
            Ok(namespace
                .api::<Pod>()
                .get_opt(&first.name_any())
                .await?
                .is_none())
        })
        .await
        .unwrap();
    });
}

#[test]
fn the_sidecar_keeps_ingesting_while_the_api_server_is_stopped() {
    run(async {
        let _one = ONE_AT_A_TIME.lock().await;
        let mut cluster = start().await;
        let namespace = TestNamespace::new(cluster.client()).await.unwrap();
        deploy(&namespace, "steady").await;
        let pod = namespace.ready_pod("steady").await.unwrap();
        post(&namespace, &pod.name_any(), "before").await;
        let address = pod.status.as_ref().unwrap().pod_ip.clone().unwrap();
        cluster
            .kill_control_plane(boboyka_cluster::ControlPlane::ApiServer)
            .unwrap();
        let begun = std::time::Instant::now();
        let mut posted = 0;
        while begun.elapsed() < Duration::from_secs(20) {
            // Nothing of Kubernetes' is in between: the request is made inside the pod's own network.
            cluster
                .ingest_inside(&address, &format!("during_{posted}"))
                .unwrap();
            posted += 1;
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        cluster
            .restart_control_plane(boboyka_cluster::ControlPlane::ApiServer)
            .await
            .unwrap();
        let pod = namespace.ready_pod("steady").await.unwrap();
        let seen = events(&namespace, &pod.name_any()).await;
        assert!(
            seen.contains("before") && seen.contains(&format!("during_{}", posted - 1)),
            "{seen}"
        );
        assert_eq!(
            post(&namespace, &pod.name_any(), "after").await["seq"],
            posted + 2
        );
    });
}
