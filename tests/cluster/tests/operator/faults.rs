//! What goes wrong, on purpose, each time until it has mended itself, and what is said meanwhile.

use std::time::{Duration, Instant};

use boboyka_cluster::{ControlPlane, wait_for};
use boboyka_crds::BoboykaIntegration;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use serde_json::json;

use crate::agents::{Agents, LIMIT, NAME, pod_spec};
use crate::product::{
    NAMESPACE, breakable, cluster, deploy, kill_operator, kubectl, operator_ready, run,
};

#[test]
fn the_operator_can_be_killed_and_its_webhook_be_down_or_distrusted() {
    run(async {
        let cluster = breakable().await;
        let agents = Agents::patient(&cluster).await;
        agents.deploy("first", 1, json!({})).await;
        let first = agents.pod("first").await;

        kill_operator(&cluster).await;
        assert_eq!(
            agents.post(&first, "bld_orphan").await["dual_write"]["ok"],
            true
        );
        agents.deploy("second", 1, json!({})).await;
        agents.pod("second").await;
        operator_ready(&cluster).await;
        agents.wait_for_condition("Ready", "True/AsExpected").await;

        // Down: labelled pods wait and say why, others don't care.
        scale(&cluster, 0).await;
        agents.deploy("third", 1, json!({})).await;
        wait_for("the pod to wait for the webhook", LIMIT, || async {
            Ok(agents.told().await.contains("failed calling webhook"))
        })
        .await
        .unwrap();
        let other = json!({"metadata": {"name": "other", "labels": {"app": "other"}}, "spec": pod_spec(&json!(["pause"]))});
        agents.namespace.create::<Pod>(other).await.unwrap();
        agents.pods("other", 1).await;
        scale(&cluster, 2).await;
        agents.pod("third").await;

        // Its CA bundle is replaced by one that signed nothing.
        operator_ready(&cluster).await;
        let garbage = json!([{"op": "replace", "path": "/webhooks/0/clientConfig/caBundle", "value": wrong_authority()}]);
        kubectl(
            &cluster,
            &[
                "patch",
                "mutatingwebhookconfiguration",
                "boboyka-operator",
                "--type=json",
                "--patch",
                &garbage.to_string(),
            ],
        );
        agents.deploy("fourth", 1, json!({})).await;
        agents.pod("fourth").await;
        agents.wait_for_condition("Ready", "True/AsExpected").await;
        drop(agents);
        cluster.give_back();
    });
}

/// A certificate that is nobody's authority, in base64 as a resource has it.
fn wrong_authority() -> String {
    use base64::Engine as _;
    let wrong = rcgen::generate_simple_self_signed(vec!["nobody".to_owned()]).unwrap();
    base64::engine::general_purpose::STANDARD.encode(wrong.cert.pem())
}

async fn scale(cluster: &boboyka_cluster::Cluster, replicas: u32) {
    let api: Api<Deployment> = Api::namespaced(cluster.client(), NAMESPACE);
    let change = Patch::Merge(json!({"spec": {"replicas": replicas}}));
    api.patch("boboyka-operator", &PatchParams::default(), &change)
        .await
        .unwrap();
    if replicas == 0 {
        let pods: Api<Pod> = Api::namespaced(cluster.client(), NAMESPACE);
        let replicas = ListParams::default().labels("app.kubernetes.io/name=boboyka-operator");
        wait_for("the operator to be gone", LIMIT, || async {
            Ok(pods.list(&replicas).await?.items.is_empty())
        })
        .await
        .unwrap();
    }
}

#[test]
fn a_secret_that_is_missing_wrong_or_rotated_needs_no_restart() {
    run(async {
        let agents = Agents::without_integration(cluster().await).await;
        agents
            .integrate(json!({
                "supabase": {"secretRef": {"name": "boboyka-supabase"}}, "storage": {"size": "100Mi"},
            }))
            .await;
        agents.deploy("keyed", 1, json!({})).await;
        let pod = agents.pod("keyed").await;
        agents.post(&pod, "bld_without").await;
        agents
            .wait_until("the missing Secret to be told", |integration| {
                crate::product::condition(integration, "CredentialsAccepted").starts_with("False/")
            })
            .await;
        let missing = crate::product::condition(&agents.integration().await, "CredentialsAccepted");

        agents.write_secret("wrong").await;
        agents
            .wait_until("the wrong key to be told", |integration| {
                let now = crate::product::condition(integration, "CredentialsAccepted");
                now.starts_with("False/") && now != missing
            })
            .await;
        agents.write_secret(&agents.supabase.jwt_key()).await;
        agents.wait_for_row("bld_without").await;
        agents
            .wait_until("the key to be accepted", |integration| {
                crate::product::condition(integration, "CredentialsAccepted").starts_with("True/")
            })
            .await;

        // To the new style of keys, and from one of them to the next.
        let secret = agents.supabase.secret_key();
        agents.write_secret(&secret).await;
        wait_for("the new style of key to be used", LIMIT, || async {
            agents.post(&pod, "bld_new_style").await;
            Ok(agents.supabase.was_shown(&secret))
        })
        .await
        .unwrap();
        agents
            .supabase
            .rotate_secret_key("sb_secret_of_the_second_day");
        agents.write_secret("sb_secret_of_the_second_day").await;
        agents.post(&pod, "bld_rotated").await;
        agents.wait_for_row("bld_rotated").await;
        assert_eq!(agents.pod("keyed").await, pod);
        wait_for("an Event about the credentials", LIMIT, || async {
            Ok(agents.told().await.contains("Credentials"))
        })
        .await
        .unwrap();
        let told = agents.told().await;
        assert!(
            !told.contains("sb_secret") && !told.contains(&agents.supabase.jwt_key()),
            "{told}"
        );

        agents
            .namespace
            .api::<Secret>()
            .delete("boboyka-supabase", &DeleteParams::default())
            .await
            .unwrap();
        assert_eq!(
            agents.post(&pod, "bld_kept").await["record_type"],
            "project_build"
        );
    });
}

#[test]
fn an_integration_made_again_and_definitions_made_again_find_their_strands() {
    run(async {
        let cluster = breakable().await;
        let agents = Agents::new(&cluster, json!({})).await;
        agents.deploy("stays", 2, json!({})).await;
        let pods = agents.pods("stays", 2).await;
        agents.wait_for_condition("Ready", "True/AsExpected").await;
        let before = holders(&agents).await;

        let api = agents.namespace.api::<BoboykaIntegration>();
        let spec = agents.integration().await.spec;
        api.delete(NAME, &DeleteParams::default()).await.unwrap();
        let receipt = agents.post(&pods[0].name_any(), "bld_between").await;
        assert_eq!(
            receipt["record_type"], "project_build",
            "it goes on with what it knows"
        );
        tokio::time::sleep(Duration::from_secs(3)).await;
        agents.integrate(serde_json::to_value(&spec).unwrap()).await;
        agents.wait_for_condition("Ready", "True/AsExpected").await;
        assert_eq!(holders(&agents).await, before);

        kubectl(
            &cluster,
            &[
                "delete",
                "crd",
                "boboykaintegrations.boboyka.sapixdb.com",
                "boboykastrands.boboyka.sapixdb.com",
                "--timeout=300s",
            ],
        );
        agents.post(&pods[1].name_any(), "bld_undefined").await;
        deploy(&cluster, &[]);
        kubectl(
            &cluster,
            &[
                "apply",
                "-f",
                concat!(env!("CARGO_MANIFEST_DIR"), "/../../crds/yaml"),
            ],
        );
        wait_for("the integration to be taken", LIMIT, || async {
            let integration = json!({
                "apiVersion": "boboyka.sapixdb.com/v1alpha1", "kind": "BoboykaIntegration",
                "metadata": {"name": NAME}, "spec": spec,
            });
            Ok(agents
                .namespace
                .create::<BoboykaIntegration>(integration)
                .await
                .is_ok())
        })
        .await
        .unwrap();
        agents.wait_for_condition("Ready", "True/AsExpected").await;
        assert_eq!(
            holders(&agents).await,
            before,
            "the strands are made again from their claims and pods"
        );
        agents.post(&pods[1].name_any(), "bld_after").await;
        agents.wait_for_row("bld_after").await;
        agents.wait_for_row("bld_undefined").await;
        drop(agents);
        cluster.give_back();
    });
}

async fn holders(agents: &Agents) -> Vec<(String, Option<String>)> {
    let strands = agents.strands().await;
    let mut all: Vec<_> = strands
        .iter()
        .map(|strand| {
            (
                strand.name_any(),
                strand
                    .spec
                    .holder
                    .as_ref()
                    .and_then(|holder| holder.pod_uid.clone()),
            )
        })
        .collect();
    all.sort();
    all
}

#[test]
fn the_api_server_away_for_a_minute_costs_no_record_and_mends_itself() {
    run(async {
        let mut cluster = breakable().await;
        let agents = Agents::new(&cluster, json!({})).await;
        agents.deploy("steady", 1, json!({})).await;
        let pod = agents.pods("steady", 1).await.remove(0);
        let address = pod.status.as_ref().unwrap().pod_ip.clone().unwrap();
        cluster.kill_control_plane(ControlPlane::ApiServer).unwrap();
        let (begun, mut posted) = (Instant::now(), 0);
        while begun.elapsed() < Duration::from_mins(1) {
            cluster
                .ingest_inside(&address, &format!("during_{posted}"))
                .unwrap();
            posted += 1;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        agents.wait_for_row(&format!("during_{}", posted - 1)).await;
        cluster
            .restart_control_plane(ControlPlane::ApiServer)
            .await
            .unwrap();
        agents
            .wait_until("the report of all of them", |integration| {
                integration
                    .status
                    .as_ref()
                    .is_some_and(|status| status.records >= posted)
            })
            .await;
        agents.wait_for_condition("Ready", "True/AsExpected").await;
        assert_eq!(agents.pod("steady").await, pod.name_any());
        drop(agents);
        cluster.give_back();
    });
}

#[test]
fn a_partitioned_nodes_pods_are_replaced_and_the_heal_is_clean() {
    run(async {
        let cluster = breakable().await;
        let agents = Agents::new(&cluster, json!({})).await;
        agents.deploy("spread", 2, json!({})).await;
        let pods = agents.pods("spread", 2).await;
        let node_of = |pod: &Pod| pod.spec.as_ref().unwrap().node_name.clone().unwrap();
        for pod in &pods {
            agents
                .post(&pod.name_any(), &format!("bld_{}", pod.name_any()))
                .await;
        }
        agents.wait_for_condition("Ready", "True/AsExpected").await;
        let node = node_of(&pods[0]);
        cluster.partition(&node).unwrap();
        agents
            .wait_until("the silence to be told", |integration| {
                crate::product::condition(integration, "Ready") != "True/AsExpected"
            })
            .await;
        cluster.heal(&node).unwrap();
        cluster.node_ready(&node).await.unwrap();
        agents.pods("spread", 2).await;
        agents.wait_for_condition("Ready", "True/AsExpected").await;
        for pod in &pods {
            agents
                .wait_for_row(&format!("bld_{}", pod.name_any()))
                .await;
        }
        let twice = "select count(*) from (select strand, seq from project_builds group by strand, seq having count(*) > 1) t";
        assert_eq!(agents.supabase.sql(twice), "0");
        drop(agents);
        cluster.give_back();
    });
}
