//! Pods that are restarted at random under load: nothing that was acknowledged is lost, and no strand is open twice.

use std::sync::Arc;
use std::time::{Duration, Instant};

use boboyka_cluster::wait_for;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::ListParams;
use serde_json::{Value, json};

use crate::agents::{Agents, LABEL, LIMIT};
use crate::load::Load;
use crate::product::{cluster, run, tell};

/// The number of agents.
const PODS: usize = 20;
/// The least number of restarts; `BOBOYKA_SOAK_SECONDS` makes it go on for longer.
const RESTARTS: usize = 50;
/// Records that are acknowledged between two restarts: a slow machine gets its restarts more slowly.
const RECORDS_BETWEEN: usize = 20;

#[test]
fn pods_restarted_at_random_under_load_lose_no_acknowledged_record() {
    run(async {
        let seconds = std::env::var("BOBOYKA_SOAK_SECONDS")
            .ok()
            .and_then(|text| text.parse().ok());
        let soak = Duration::from_secs(seconds.unwrap_or(0));
        let agents = Agents::new(cluster().await, json!({})).await;
        let replicas = u32::try_from(PODS).unwrap();
        agents.deploy("many", replicas, json!({})).await;
        agents.pods("many", PODS).await;
        let namespace = Arc::clone(&agents.namespace);
        let mut load = Load::start(Arc::clone(&namespace));
        let (begun, mut restarts) = (Instant::now(), 0);
        while restarts < RESTARTS || begun.elapsed() < soak {
            let labelled = ListParams::default().labels(LABEL);
            let pods = namespace.api::<Pod>().list(&labelled).await.unwrap().items;
            let there: Vec<&Pod> = pods
                .iter()
                .filter(|pod| pod.metadata.deletion_timestamp.is_none())
                .collect();
            if let Some(pod) = fastrand::choice(there) {
                // Sometimes killed, sometimes told.
                namespace
                    .delete_pod(&pod.name_any(), fastrand::bool())
                    .await
                    .unwrap();
                restarts += 1;
            }
            load.acknowledges(RECORDS_BETWEEN).await;
        }
        let acknowledged = load.end().await;
        tell(&format!(
            "{restarts} restarts, {} records acknowledged in {:?}",
            acknowledged.len(),
            begun.elapsed()
        ));
        let pods = agents.pods("many", PODS).await;
        wait_for(
            "Supabase to have all that was acknowledged",
            LIMIT,
            || async {
                let mirrored = agents.mirrored();
                Ok(acknowledged.keys().all(|hash| mirrored.contains(hash)))
            },
        )
        .await
        .unwrap();
        // A strand that had been open twice would have two records of one seq, or a chain that breaks.
        let twice = "select count(*) from (select strand, seq from project_builds group by strand, seq having count(*) > 1) t";
        assert_eq!(agents.supabase.sql(twice), "0");
        for pod in pods {
            let verdict = agents.get(&pod.name_any(), "/v1/boboyka/verify").await;
            let last: Value = serde_json::from_str(verdict.lines().last().unwrap()).unwrap();
            assert_eq!(last["ok"], true, "{verdict}");
            let log = agents
                .namespace
                .logs(&pod.name_any(), "boboyka-sidecar")
                .await
                .unwrap();
            assert!(!log.contains("quarantine"), "{log}");
        }
        agents
            .wait_for_condition("ChainIntact", "True/AsExpected")
            .await;
    });
}
