//! What breaks on purpose. The tests share a cluster; each leaves it whole.

use std::time::Duration;

use boboyka_cluster::{ControlPlane, NodePart, TestNamespace, wait_for};
use boboyka_tests::process::GUARD;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::ResourceExt as _;

use crate::shared::{
    breakable, cluster, deploy, deploy_waiting, events, post, run, try_events, try_post,
};

const LIMIT: Duration = GUARD;

#[test]
fn a_partitioned_nodes_pod_is_evicted_and_the_heal_is_clean() {
    run(async {
        let cluster = breakable().await;
        let namespace = TestNamespace::new(cluster.client()).await.unwrap();
        deploy_waiting(&namespace, "moves").await;
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
        cluster.give_back();
    });
}

#[test]
fn the_sidecar_keeps_ingesting_while_the_api_server_is_stopped() {
    run(async {
        let mut cluster = breakable().await;
        let namespace = TestNamespace::new(cluster.client()).await.unwrap();
        deploy(&namespace, "steady").await;
        let pod = namespace.ready_pod("steady").await.unwrap();
        post(&namespace, &pod.name_any(), "before").await;
        let address = pod.status.as_ref().unwrap().pod_ip.clone().unwrap();
        cluster.kill_control_plane(ControlPlane::ApiServer).unwrap();
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
            .restart_control_plane(ControlPlane::ApiServer)
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
        cluster.give_back();
    });
}

#[test]
fn a_full_volume_refuses_records_until_there_is_room() {
    run(async {
        let (cluster, namespace) = (cluster().await, namespace_here().await);
        deploy(&namespace, "full").await;
        let pod = namespace.ready_pod("full").await.unwrap();
        post(&namespace, &pod.name_any(), "before").await;
        let (node, volume) = place_of_strand(&namespace, &pod).await;
        cluster.fill_volume(&node, &volume).unwrap();
        let refused = try_post(&namespace, &pod.name_any(), "too_much").await;
        assert!(refused.unwrap_err().to_string().contains("507"));
        cluster.empty_volume(&node, &volume).unwrap();
        wait_for("records to be taken again", LIMIT, || async {
            Ok(try_post(&namespace, &pod.name_any(), "after").await.is_ok())
        })
        .await
        .unwrap();
        let seen = events(&namespace, &pod.name_any()).await;
        assert!(
            seen.contains("before") && !seen.contains("too_much"),
            "{seen}"
        );
    });
}

#[test]
fn a_volume_whose_disk_was_taken_away_is_empty_for_the_next_pod() {
    run(async {
        let (cluster, namespace) = (cluster().await, namespace_here().await);
        deploy(&namespace, "gone").await;
        let pod = namespace.ready_pod("gone").await.unwrap();
        post(&namespace, &pod.name_any(), "before").await;
        let (node, volume) = place_of_strand(&namespace, &pod).await;
        cluster.unmount_volume(&node, &volume).unwrap();
        namespace.delete_pod(&pod.name_any(), true).await.unwrap();
        let next = namespace.ready_pod("gone").await.unwrap();
        assert!(
            !events(&namespace, &next.name_any())
                .await
                .contains("before")
        );
        assert_eq!(post(&namespace, &next.name_any(), "after").await["seq"], 1);
    });
}

#[test]
fn every_component_can_be_killed_and_started_again() {
    run(async {
        let mut cluster = breakable().await;
        let namespace = TestNamespace::new(cluster.client()).await.unwrap();
        deploy(&namespace, "steady").await;
        let pod = namespace.ready_pod("steady").await.unwrap();
        post(&namespace, &pod.name_any(), "before").await;
        let node = pod.spec.as_ref().unwrap().node_name.clone().unwrap();
        for part in [NodePart::Containerd, NodePart::Kubelet, NodePart::KubeProxy] {
            cluster.kill_node_part(&node, part).unwrap();
            cluster.restart_node_part(&node, part).unwrap();
        }
        for part in [
            ControlPlane::Etcd,
            ControlPlane::ApiServer,
            ControlPlane::ControllerManager,
            ControlPlane::Scheduler,
        ] {
            cluster.kill_control_plane(part).unwrap();
            cluster.restart_control_plane(part).await.unwrap();
        }
        // It took none of them to keep the sidecar's process alive, and all of them to start another pod.
        wait_for("the same pod to be reached again", LIMIT, || async {
            let seen = try_events(&namespace, &pod.name_any()).await?;
            Ok(seen.contains("before"))
        })
        .await
        .unwrap();
        let restarts = namespace.ready_pod("steady").await.unwrap();
        let containers = restarts.status.unwrap().init_container_statuses.unwrap();
        assert_eq!(containers[0].restart_count, 0);
        deploy_waiting(&namespace, "later").await;
        namespace.ready_pod("later").await.unwrap();
        cluster.give_back();
    });
}

async fn namespace_here() -> TestNamespace {
    TestNamespace::new(cluster().await.client()).await.unwrap()
}

/// The node and the name of the volume that a pod's strand is on.
async fn place_of_strand(namespace: &TestNamespace, pod: &Pod) -> (String, String) {
    let claim = namespace.api::<PersistentVolumeClaim>().get("strand").await;
    let volume = claim.unwrap().spec.unwrap().volume_name.unwrap();
    (
        pod.spec.as_ref().unwrap().node_name.clone().unwrap(),
        volume,
    )
}
