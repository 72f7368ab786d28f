//! Every kind of workload: its pods get strands, run to their end where they should, and find their records again.

use boboyka_cluster::wait_for;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use kube::ResourceExt as _;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::agents::{Agents, LABEL, LIMIT, NAME, pod_spec, record, template};
use crate::product::{cluster, kubectl, run};

/// The arguments of an app that posts one build and ends.
fn posts_once(build: &str) -> Value {
    json!([
        "post",
        "http://127.0.0.1:7475/v1/boboyka/ingest",
        record(build).to_string()
    ])
}

#[test]
fn a_stateful_sets_pods_find_their_records_again() {
    run(async {
        let agents = Agents::new(cluster().await, json!({})).await;
        let set = json!({"metadata": {"name": "web"}, "spec": {
            "replicas": 2, "serviceName": "web", "podManagementPolicy": "Parallel",
            "selector": {"matchLabels": {"app": "web"}}, "template": template("web"),
        }});
        agents.namespace.create::<StatefulSet>(set).await.unwrap();
        agents.pods("web", 2).await;
        agents.post("web-0", "bld_zero").await;
        agents.post("web-1", "bld_one").await;
        for pod in ["web-0", "web-1"] {
            agents.namespace.delete_pod(pod, true).await.unwrap();
        }
        wait_for("new pods", LIMIT, || async {
            Ok(agents.pods("web", 2).await.len() == 2)
        })
        .await
        .unwrap();
        let (zero, one) = (agents.events("web-0").await, agents.events("web-1").await);
        assert!(
            zero.contains("bld_zero") && !zero.contains("bld_one"),
            "{zero}"
        );
        assert!(
            one.contains("bld_one") && !one.contains("bld_zero"),
            "{one}"
        );
        assert_eq!(agents.strands().await.len(), 2);
    });
}

#[test]
fn a_daemon_sets_pods_find_their_nodes_records_again() {
    run(async {
        let agents = Agents::new(cluster().await, json!({})).await;
        let set = json!({"metadata": {"name": "daemon"}, "spec": {
            "selector": {"matchLabels": {"app": "daemon"}}, "template": template("daemon"),
        }});
        agents.namespace.create::<DaemonSet>(set).await.unwrap();
        let first = agents.pods("daemon", 2).await;
        let node = |pod: &k8s_openapi::api::core::v1::Pod| {
            pod.spec.as_ref().unwrap().node_name.clone().unwrap()
        };
        for pod in &first {
            agents
                .post(&pod.name_any(), &format!("bld_{}", node(pod)))
                .await;
            agents
                .namespace
                .delete_pod(&pod.name_any(), true)
                .await
                .unwrap();
        }
        for pod in agents.pods("daemon", 2).await {
            let events = agents.events(&pod.name_any()).await;
            assert!(events.contains(&format!("bld_{}", node(&pod))), "{events}");
        }
        assert_eq!(agents.strands().await.len(), 2);
    });
}

#[test]
fn a_deployment_that_surges_loses_nothing_and_one_that_recreates_finds_its_records_again() {
    run(async {
        let cluster = cluster().await;
        let agents = Agents::new(cluster, json!({})).await;
        let surge =
            json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}});
        agents.deploy("surges", 1, surge).await;
        let before = agents.pod("surges").await;
        agents.post(&before, "bld_before").await;
        let namespace = agents.namespace.name();
        kubectl(
            cluster,
            &[
                "rollout",
                "restart",
                "deployment/surges",
                "--namespace",
                namespace,
            ],
        );
        kubectl(
            cluster,
            &[
                "rollout",
                "status",
                "deployment/surges",
                "--namespace",
                namespace,
                "--timeout=120s",
            ],
        );
        let after = agents.pod("surges").await;
        assert_ne!(after, before);
        agents.post(&after, "bld_after").await;
        agents.wait_for_row("bld_before").await;
        assert_eq!(agents.strands().await.len(), 2);

        // Other strands are free when its next pod comes, but it has its own again.
        agents
            .deploy("recreates", 1, json!({"type": "Recreate"}))
            .await;
        let before = agents.pod("recreates").await;
        agents.post(&before, "bld_again").await;
        kubectl(
            cluster,
            &[
                "rollout",
                "restart",
                "deployment/recreates",
                "--namespace",
                namespace,
            ],
        );
        kubectl(
            cluster,
            &[
                "rollout",
                "status",
                "deployment/recreates",
                "--namespace",
                namespace,
                "--timeout=120s",
            ],
        );
        let after = agents.pod("recreates").await;
        assert_ne!(after, before);
        assert!(agents.events(&after).await.contains("bld_again"));
    });
}

#[test]
fn jobs_and_cron_jobs_run_to_their_end_and_leave_their_strand_to_the_next() {
    run(async {
        let cluster = cluster().await;
        let selector = json!({"matchLabels": {"app.kubernetes.io/part-of": "boboyka"}});
        let agents = Agents::new(cluster, json!({"workloadSelector": selector})).await;
        let mut spec = pod_spec(&posts_once("bld_job"));
        spec["restartPolicy"] = json!("Never");
        let job = json!({"metadata": {"name": "once"}, "spec": {
            "backoffLimit": 0, "template": {"metadata": {"labels": {LABEL: NAME}}, "spec": spec},
        }});
        agents.namespace.create::<Job>(job).await.unwrap();
        finished(&agents, "once").await;
        agents.wait_for_row("bld_job").await;
        left_free(&agents).await;

        // The selector puts the label on the CronJob's pods; a Job of it is made by hand, as the clock would.
        let mut spec = pod_spec(&posts_once("bld_cron"));
        spec["restartPolicy"] = json!("Never");
        let cron = json!({
            "metadata": {"name": "nightly", "labels": {"app.kubernetes.io/part-of": "boboyka"}},
            "spec": {"schedule": "0 3 * * *", "jobTemplate": {"spec": {"backoffLimit": 0, "template": {"spec": spec}}}},
        });
        agents.namespace.create::<CronJob>(cron).await.unwrap();
        wait_for("the label on the CronJob", LIMIT, || async {
            let found = agents.namespace.api::<CronJob>().get("nightly").await?;
            Ok(serde_json::to_string(&found)?.contains(&format!("\"{LABEL}\":\"{NAME}\"")))
        })
        .await
        .unwrap();
        kubectl(
            cluster,
            &[
                "create",
                "job",
                "--from=cronjob/nightly",
                "by-hand",
                "--namespace",
                agents.namespace.name(),
            ],
        );
        finished(&agents, "by-hand").await;
        agents.wait_for_row("bld_cron").await;
        left_free(&agents).await;
    });
}

/// Waits until the one strand is free.
async fn left_free(agents: &Agents) {
    wait_for("the strand to be free", LIMIT, || async {
        let strands = agents.strands().await;
        Ok(strands.len() == 1 && strands[0].spec.holder.is_none())
    })
    .await
    .unwrap();
}

async fn finished(agents: &Agents, job: &str) {
    wait_for("the job to be done", LIMIT, || async {
        let found = agents.namespace.api::<Job>().get(job).await?;
        Ok(found
            .status
            .is_some_and(|status| status.succeeded == Some(1)))
    })
    .await
    .unwrap();
}

#[test]
fn a_selector_gives_workloads_their_sidecars_and_takes_them_away_again() {
    run(async {
        let cluster = cluster().await;
        let agents = Agents::new(cluster, json!({})).await;
        let deployment = json!({
            "metadata": {"name": "chosen", "labels": {"team": "builders"}},
            "spec": {
                "replicas": 1, "selector": {"matchLabels": {"app": "chosen"}},
                "template": {"metadata": {"labels": {"app": "chosen"}}, "spec": pod_spec(&json!(["pause"]))},
            },
        });
        agents
            .namespace
            .create::<Deployment>(deployment)
            .await
            .unwrap();
        let bare = agents.pod("chosen").await;
        agents
            .edit(json!({"workloadSelector": {"matchLabels": {"team": "builders"}}}))
            .await;
        wait_for("a pod with a sidecar", LIMIT, || async {
            let pod = agents.pods("chosen", 1).await.remove(0);
            Ok(pod.name_any() != bare
                && pod
                    .spec
                    .unwrap()
                    .init_containers
                    .is_some_and(|all| all[0].name == "boboyka-sidecar"))
        })
        .await
        .unwrap();
        let pod = agents.pod("chosen").await;
        agents.post(&pod, "bld_chosen").await;
        agents
            .wait_for_condition("WorkloadsSelected", "True/AsExpected")
            .await;

        let none = Patch::Merge(json!({"spec": {"workloadSelector": null}}));
        let api = agents.namespace.api::<boboyka_crds::BoboykaIntegration>();
        api.patch(NAME, &PatchParams::default(), &none)
            .await
            .unwrap();
        wait_for("a pod without a sidecar", LIMIT, || async {
            let pod = agents.pods("chosen", 1).await.remove(0);
            Ok(pod
                .spec
                .unwrap()
                .init_containers
                .is_none_or(|all| all.is_empty()))
        })
        .await
        .unwrap();
        let after = agents
            .namespace
            .api::<Deployment>()
            .get("chosen")
            .await
            .unwrap();
        assert!(!serde_json::to_string(&after.spec).unwrap().contains(LABEL));
        assert!(
            after
                .annotations()
                .keys()
                .all(|name| !name.contains("boboyka")),
            "{:?}",
            after.annotations()
        );
    });
}

#[test]
fn a_backlog_that_nobody_holds_is_drained_and_a_deleted_integration_leaves_its_strands() {
    run(async {
        let cluster = cluster().await;
        let mut agents = Agents::new(cluster, json!({})).await;
        agents.deploy("leaves", 1, json!({})).await;
        let pod = agents.pod("leaves").await;
        agents.supabase.stop_postgres();
        agents.post(&pod, "bld_left").await;
        agents
            .wait_for_condition("MirrorCaughtUp", "False/Backlog")
            .await;
        let scale = Patch::Merge(json!({"spec": {"replicas": 0}}));
        let api = agents.namespace.api::<Deployment>();
        api.patch("leaves", &PatchParams::default(), &scale)
            .await
            .unwrap();
        agents
            .wait_until("nobody to hold the strand", |integration| {
                integration
                    .status
                    .as_ref()
                    .is_some_and(|status| status.strands.held == 0)
            })
            .await;
        agents.supabase.start_postgres();
        agents.wait_for_row("bld_left").await;
        agents
            .wait_for_condition("MirrorCaughtUp", "True/AsExpected")
            .await;
        agents.wait_for_condition("Ready", "True/NoPods").await;

        let api = agents.namespace.api::<boboyka_crds::BoboykaIntegration>();
        api.delete(NAME, &kube::api::DeleteParams::default())
            .await
            .unwrap();
        tokio::time::sleep(std::time::Duration::from_secs(5)).await;
        assert_eq!(agents.strands().await.len(), 1);
        let claims = agents
            .namespace
            .api::<k8s_openapi::api::core::v1::PersistentVolumeClaim>();
        assert_eq!(
            claims
                .list(&kube::api::ListParams::default())
                .await
                .unwrap()
                .items
                .len(),
            1
        );
    });
}
