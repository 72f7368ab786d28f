//! The sidecar in a pod, volumes, admission: on one cluster that stays whole.

use std::time::Duration;

use boboyka_cluster::{TestNamespace, wait_for};
use boboyka_tests::process::GUARD;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::shared::{
    claim, cluster, deploy, deploy_with, events, namespace, pod_of_probe, post, run,
};

const LIMIT: Duration = GUARD;

#[test]
fn a_record_survives_the_sidecars_crash_and_the_pods_deletion() {
    run(async {
        let cluster = cluster().await;
        let namespace = TestNamespace::new(cluster.client()).await.unwrap();
        deploy(&namespace, "agent").await;
        let pod = namespace.ready_pod("agent").await.unwrap();
        assert_eq!(post(&namespace, &pod.name_any(), "bld_1").await["seq"], 1);

        let node = pod.spec.as_ref().unwrap().node_name.clone().unwrap();
        let pid = sidecar_pid(&pod.uid().unwrap());
        assert!(
            std::process::Command::new("kill")
                .args(["-KILL", &pid])
                .status()
                .unwrap()
                .success()
        );
        wait_for("the sidecar to be restarted", LIMIT, || async {
            let now = namespace.api::<Pod>().get(&pod.name_any()).await?;
            let containers = now
                .status
                .and_then(|status| status.init_container_statuses)
                .unwrap_or_default();
            Ok(containers
                .iter()
                .any(|one| one.restart_count == 1 && one.ready))
        })
        .await
        .unwrap();
        assert!(events(&namespace, &pod.name_any()).await.contains("bld_1"));

        namespace.delete_pod(&pod.name_any(), true).await.unwrap();
        let next = namespace.ready_pod("agent").await.unwrap();
        assert_ne!(next.name_any(), pod.name_any());
        assert_eq!(next.spec.as_ref().unwrap().node_name.as_ref(), Some(&node));
        assert!(events(&namespace, &next.name_any()).await.contains("bld_1"));
        assert!(
            namespace
                .logs(&next.name_any(), "sidecar")
                .await
                .unwrap()
                .contains("7475")
        );
    });
}

#[test]
fn a_port_of_a_pods_loopback_is_reached_by_port_forward() {
    run(async {
        let namespace = namespace().await;
        deploy(&namespace, "forwarded").await;
        let pod = namespace.ready_pod("forwarded").await.unwrap();
        let mut stream = namespace.port_forward(&pod.name_any(), 7475).await.unwrap();
        let request =
            b"GET /v1/boboyka/verify HTTP/1.1\r\nhost: localhost:7475\r\nconnection: close\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    });
}

#[test]
fn a_volume_for_one_pod_refuses_a_second() {
    run(async {
        let namespace = namespace().await;
        claim(&namespace, "only").await;
        for name in ["first", "second"] {
            let mut spec = pod_of_probe();
            spec["volumes"] =
                json!([{"name": "v", "persistentVolumeClaim": {"claimName": "only"}}]);
            spec["containers"][0]["volumeMounts"] = json!([{"name": "v", "mountPath": "/v"}]);
            let pod = json!({"metadata": {"name": name, "labels": {"app": name}}, "spec": spec});
            namespace.create::<Pod>(pod).await.unwrap();
            if name == "first" {
                namespace.ready_pod("first").await.unwrap();
            }
        }
        wait_for("the scheduler to refuse the second pod", LIMIT, || async {
            let pod = namespace.api::<Pod>().get("second").await?;
            let conditions = pod
                .status
                .and_then(|status| status.conditions)
                .unwrap_or_default();
            Ok(conditions.iter().any(|one| {
                one.message
                    .as_deref()
                    .unwrap_or_default()
                    .contains("ReadWriteOncePod")
            }))
        })
        .await
        .unwrap();
        namespace.delete_pod("first", false).await.unwrap();
        namespace.ready_pod("second").await.unwrap();
    });
}

#[test]
fn a_sidecar_in_a_pod_mirrors_to_a_real_supabase() {
    run(async {
        let cluster = cluster().await;
        let supabase = boboyka_tests::supabase::Supabase::start().await;
        let edge = supabase
            .url()
            .trim_start_matches("http://")
            .parse()
            .unwrap();
        let (address, _task) = boboyka_cluster::forward((cluster.host(), 0).into(), edge)
            .await
            .unwrap();
        let namespace = TestNamespace::new(cluster.client()).await.unwrap();
        let environment = json!([
            {"name": "BOBOYKA_SUPABASE_URL", "value": format!("http://{address}")},
            {"name": "BOBOYKA_SUPABASE_KEY", "value": supabase.jwt_key()},
        ]);
        deploy_with(&namespace, "mirrors", environment).await;
        let pod = namespace.ready_pod("mirrors").await.unwrap();
        post(&namespace, &pod.name_any(), "bld_1").await;
        let sql = "select count(*) from project_builds where build_id = 'bld_1'";
        wait_for("the row to be there", LIMIT, || async {
            Ok(supabase.sql(sql) == "1")
        })
        .await
        .unwrap();
    });
}

/// The sidecar's process in a pod, as this machine sees it: its cgroup names the pod.
fn sidecar_pid(pod: &str) -> String {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let found = processes.map(|entry| entry.path()).find(|path| {
        let program = std::fs::read_to_string(path.join("comm")).unwrap_or_default();
        let groups = std::fs::read_to_string(path.join("cgroup")).unwrap_or_default();
        program.trim() == "boboyka-sidecar"
            && (groups.contains(pod) || groups.contains(&pod.replace('-', "_")))
    });
    found
        .expect("the sidecar runs")
        .file_name()
        .unwrap()
        .to_string_lossy()
        .into_owned()
}
