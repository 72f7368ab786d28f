//! A stranger's path: from nothing to a record in the strand, in Postgres and in the columns.

use boboyka_cluster::wait_for;
use k8s_openapi::api::core::v1::Service;
use kube::Api;
use serde_json::json;

use crate::agents::{Agents, LIMIT, NAME, template};
use crate::product::{NAMESPACE, cluster, kubectl, run};

#[test]
fn one_integration_and_a_label_give_every_pod_a_durable_mirrored_reporting_strand() {
    run(async {
        let cluster = cluster().await;
        let agents = Agents::patient(cluster).await;
        agents.wait_for_condition("Ready", "True/NoPods").await;
        agents.deploy("builder", 1, json!({})).await;
        let pod = agents.pod("builder").await;
        agents.wait_for_condition("Ready", "True/AsExpected").await;

        let receipt = agents.post(&pod, "bld_1").await;
        assert_eq!(receipt["dual_write"]["ok"], true, "{receipt}");
        agents.wait_for_row("bld_1").await;
        agents
            .wait_until("the columns to have it", |integration| {
                let status = integration.status.clone().unwrap_or_default();
                status.records == 1
                    && status.records_by_type["project_build"] == 1
                    && status.backlog == 0
            })
            .await;
        let namespace = agents.namespace.name();
        let shown = kubectl(cluster, &["get", "bbi", NAME, "--namespace", namespace]);
        for cell in ["DualWrite", "True", "1/1"] {
            assert!(shown.contains(cell), "{cell}: {shown}");
        }
        let wide = kubectl(
            cluster,
            &["get", "bbi", NAME, "--namespace", namespace, "-o", "wide"],
        );
        assert!(wide.contains(&agents.url), "{wide}");
        let strands = kubectl(cluster, &["get", "bbs", "--namespace", namespace]);
        assert!(
            strands.contains(&pod) && strands.contains("boboyka-"),
            "{strands}"
        );
        // The key is in none of it.
        let all = kubectl(
            cluster,
            &[
                "get",
                "bbi,bbs,events",
                "--namespace",
                namespace,
                "-o",
                "yaml",
            ],
        );
        assert!(!all.contains(&agents.supabase.jwt_key()));

        let waited = kubectl(
            cluster,
            &[
                "wait",
                "--for=condition=Ready",
                "bbi/boboyka",
                "--namespace",
                namespace,
                "--timeout=10s",
            ],
        );
        assert!(waited.contains("condition met"), "{waited}");
    });
}

#[test]
fn the_operator_cosigns_the_log_of_a_strand_by_the_name_of_its_service() {
    run(async {
        let cluster = cluster().await;
        let agents = Agents::new(cluster, json!({})).await;
        let service = Api::<Service>::namespaced(cluster.client(), NAMESPACE);
        let service = service.get("boboyka-operator").await.unwrap();
        let ip = service.spec.and_then(|it| it.cluster_ip).unwrap();
        // The cluster has no DNS, so the pod brings the Service's address.
        let host = format!("boboyka-operator.{NAMESPACE}.svc");
        let mut template = template("cosigned");
        template["spec"]["hostAliases"] = json!([{"ip": ip, "hostnames": [host]}]);
        let spec = json!({"replicas": 1, "template": template});
        agents.deploy_as("cosigned", spec).await;
        let pod = agents.pod("cosigned").await;
        agents.post(&pod, "bld_1").await;
        agents
            .wait_for_condition("CheckpointsCosigned", "True/Cosigned")
            .await;
        let status = agents.get(&pod, "/v1/boboyka/status").await;
        assert!(status.contains(&format!("{host}/witness")), "{status}");
    });
}

#[test]
fn settings_are_obeyed_without_a_restart() {
    run(async {
        let cluster = cluster().await;
        let agents = Agents::new(cluster, json!({})).await;
        agents.deploy("obeys", 1, json!({})).await;
        let pod = agents.pod("obeys").await;
        agents
            .edit(json!({"retention": {"maxAge": "1h", "maxSize": "64Mi"}}))
            .await;
        wait_for("the retention to be obeyed", LIMIT, || async {
            let status = agents.get(&pod, "/v1/boboyka/status").await;
            Ok(status.contains("3600000") && status.contains("67108864"))
        })
        .await
        .unwrap();
        assert_eq!(agents.pod("obeys").await, pod);
    });
}

#[test]
fn a_pod_without_its_integration_waits_and_is_told_why_and_others_are_left_alone() {
    run(async {
        let cluster = cluster().await;
        let agents = Agents::without_integration(cluster).await;
        agents.deploy("early", 1, json!({})).await;
        wait_for("the ReplicaSet to be told why", LIMIT, || async {
            Ok(agents
                .told()
                .await
                .contains("there is no BoboykaIntegration boboyka"))
        })
        .await
        .unwrap();
        let other = json!({"metadata": {"name": "other"}, "spec": crate::agents::pod_spec(&json!(["pause"]))});
        agents
            .namespace
            .create::<k8s_openapi::api::core::v1::Pod>(other)
            .await
            .unwrap();
        agents
            .integrate(json!({"storage": {"size": "100Mi"}}))
            .await;
        agents.pod("early").await;
        agents.wait_for_condition("Ready", "True/AsExpected").await;
    });
}

#[test]
fn strands_that_go_with_their_pods_are_mirrored_before_they_go_and_say_what_they_are() {
    run(async {
        let cluster = cluster().await;
        let agents = Agents::without_integration(cluster).await;
        agents.write_secret(&agents.supabase.jwt_key()).await;
        agents
            .integrate(json!({
                "supabase": {"secretRef": {"name": "boboyka-supabase"}}, "storage": {"ephemeral": {"sizeLimit": "100Mi"}},
            }))
            .await;
        agents.deploy("brief", 1, json!({})).await;
        let pod = agents.pod("brief").await;
        agents.post(&pod, "bld_brief").await;
        agents
            .wait_for_condition("StorageDurable", "False/EphemeralStorage")
            .await;
        agents.namespace.delete_pod(&pod, true).await.unwrap();
        agents.wait_for_row("bld_brief").await;
        wait_for("the strand to go with its pod", LIMIT, || async {
            let strands = agents.strands().await;
            let next = agents.pod("brief").await;
            Ok(strands.len() == 1 && next != pod)
        })
        .await
        .unwrap();
    });
}
