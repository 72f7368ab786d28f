//! The Job that drains a strand: it follows the integration, and gives way to a pod.

use boboyka_cluster::wait_for;
use boboyka_crds::{BoboykaIntegration, BoboykaStrand};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use super::installed::{Installed, LIMIT, holder_of};
use crate::shared::run;

async fn scale(installed: &Installed, replicas: u32) {
    let api = installed.namespace.api::<StatefulSet>();
    let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
    api.patch("db", &PatchParams::default(), &patch)
        .await
        .unwrap();
}

/// The Job that drains, if one does and is not being deleted.
async fn job(installed: &Installed) -> Option<Job> {
    let api = installed.namespace.api::<Job>();
    let mut jobs = api
        .list(&ListParams::default())
        .await
        .unwrap()
        .items
        .into_iter();
    jobs.find(|job| job.metadata.deletion_timestamp.is_none())
}

fn secret(name: &str) -> Value {
    json!({"supabase": {"secretRef": {"name": name}}})
}

/// Waits until the pod `db-0` holds the strand.
async fn held_by_the_pod(installed: &Installed) {
    let pods = installed.namespace.api::<Pod>();
    wait_for("db-0 to hold its strand", LIMIT, || async {
        let pod = pods.get_opt("db-0").await?.and_then(|pod| pod.uid());
        let strands = installed.strands().await;
        let holder = strands.first().and_then(holder_of);
        Ok(pod.is_some() && pod.as_deref() == holder)
    })
    .await
    .unwrap();
}

#[test]
fn a_drain_follows_the_integration_and_gives_way_to_a_pod() {
    run(async {
        let installed = Installed::new().await;
        let integration = json!({"metadata": {"name": "boboyka"}, "spec": secret("first")});
        let created = installed
            .namespace
            .create::<BoboykaIntegration>(integration);
        created.await.unwrap();
        let _replica = installed.operator(&[]).await;
        installed.stateful_set().await;
        held_by_the_pod(&installed).await;

        // Its sidecar reports a backlog, and its pod goes.
        let name = installed.strand().await.name_any();
        let status = json!({"status": {"ready": true, "records": 3, "backlog": 3, "lagMs": 1, "deadLetters": 0,
            "diskBytes": 0, "reportedAt": "2020-01-01T00:00:00Z"}});
        let strands = installed.namespace.api::<BoboykaStrand>();
        let how = PatchParams::default();
        strands
            .patch_status(&name, &how, &Patch::Merge(status))
            .await
            .unwrap();
        scale(&installed, 0).await;
        wait_for("a Job", LIMIT, || async {
            Ok(job(&installed).await.is_some())
        })
        .await
        .unwrap();

        // Another Secret makes another Job.
        let first = job(&installed).await.unwrap();
        let edit = Patch::Merge(json!({"spec": secret("second")}));
        let integrations = installed.namespace.api::<BoboykaIntegration>();
        integrations.patch("boboyka", &how, &edit).await.unwrap();
        wait_for("a Job with the other Secret", LIMIT, || async {
            let Some(job) = job(&installed).await else {
                return Ok(false);
            };
            Ok(job.uid() != first.uid() && serde_json::to_string(&job)?.contains("\"second\""))
        })
        .await
        .unwrap();

        // A pod takes over.
        scale(&installed, 1).await;
        held_by_the_pod(&installed).await;
        assert!(job(&installed).await.is_none());
    });
}
