//! The migration by edits of `spec.phase`, under load: what Supabase holds at the end is what the phases promise.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use boboyka_cluster::wait_for;
use boboyka_crds::Phase;
use kube::ResourceExt;
use serde_json::json;

use crate::agents::{Agents, LIMIT};
use crate::caller::all_events;
use crate::load::Load;
use crate::product::{cluster, run, tell};

#[test]
fn phases_forward_and_back_under_load_leave_in_supabase_what_they_promise() {
    run(async {
        let agents = Agents::new(cluster().await, json!({})).await;
        agents.deploy("migrates", 3, json!({})).await;
        let pods: Vec<String> = agents
            .pods("migrates", 3)
            .await
            .iter()
            .map(ResourceExt::name_any)
            .collect();
        agents.wait_for_condition("Ready", "True/AsExpected").await;
        let mut load = Load::start(Arc::clone(&agents.namespace));
        for phase in [Phase::MigrateInternals, Phase::CutOver, Phase::DualWrite] {
            load.acknowledges(50).await;
            let edited = Instant::now();
            agents.edit(json!({"phase": phase})).await;
            agents
                .wait_until(&format!("{phase} to be in force"), |integration| {
                    in_force(integration) == Some(phase)
                })
                .await;
            tell(&format!("{phase} in force after {:?}", edited.elapsed()));
            wait_for("every strand to obey", LIMIT, || async {
                let strands = agents.strands().await;
                Ok(strands.iter().all(|strand| {
                    strand
                        .status
                        .as_ref()
                        .is_some_and(|status| status.phase == Some(phase))
                }))
            })
            .await
            .unwrap();
            if phase != Phase::DualWrite {
                promises_kept(&agents, &pods).await;
            }
        }
        load.acknowledges(50).await;
        let acknowledged = load.end().await;
        // Back in DualWrite, Supabase converges to all that the strands hold, and nothing else.
        let mut held = HashSet::new();
        let mut changes = 0;
        for pod in &pods {
            for event in all_events(&agents.namespace, pod).await {
                changes += usize::from(event["data"]["event"] == "phase_changed");
                held.insert(event["record_hash"].as_str().unwrap().to_owned());
            }
        }
        assert_eq!(changes, 9, "three changes in each of three strands");
        assert!(acknowledged.keys().all(|hash| held.contains(hash)));
        wait_for(
            "Supabase to hold exactly what the strands hold",
            LIMIT,
            || async { Ok(agents.mirrored() == held) },
        )
        .await
        .unwrap();
    });
}

fn in_force(integration: &boboyka_crds::BoboykaIntegration) -> Option<Phase> {
    integration.status.as_ref()?.phase
}

/// While a phase mirrors nothing: Supabase has every record up to each strand's boundary, and none after it.
async fn promises_kept(agents: &Agents, pods: &[String]) {
    wait_for(
        "Supabase to hold what was appended before the boundary, and no more",
        LIMIT,
        || async {
            let mirrored = agents.mirrored();
            for pod in pods {
                let events = all_events(&agents.namespace, pod).await;
                let changes = events
                    .iter()
                    .filter(|event| event["data"]["event"] == "phase_changed");
                let leaving =
                    changes.filter(|event| event["data"]["metadata"]["from"] == "DualWrite");
                let boundary = leaving
                    .map(|event| event["data"]["metadata"]["boundary_seq"].as_u64().unwrap())
                    .max()
                    .unwrap();
                for event in &events {
                    let hash = event["record_hash"].as_str().unwrap();
                    let promised = event["seq"].as_u64().unwrap() <= boundary;
                    if mirrored.contains(hash) != promised {
                        return Ok(false);
                    }
                }
            }
            Ok(true)
        },
    )
    .await
    .unwrap();
}

#[test]
fn a_phase_that_can_not_come_yet_says_what_it_waits_for() {
    run(async {
        let mut agents = Agents::new(cluster().await, json!({})).await;
        agents.deploy("waits", 1, json!({})).await;
        let pod = agents.pod("waits").await;
        agents.wait_for_condition("Ready", "True/AsExpected").await;
        agents.supabase.stop_postgres();
        agents.post(&pod, "bld_waits").await;
        agents
            .wait_for_condition("MirrorCaughtUp", "False/Backlog")
            .await;
        agents.edit(json!({"phase": "MigrateInternals"})).await;
        agents
            .wait_for_condition("Ready", "False/PhaseGateClosed")
            .await;
        let integration = agents.integration().await;
        assert_eq!(in_force(&integration), Some(Phase::DualWrite));
        let transition = integration.status.unwrap().transition.unwrap();
        let drained = transition
            .gates
            .iter()
            .find(|gate| gate.name == "Drained")
            .unwrap();
        assert!(
            !drained.passed && drained.message.contains("1 records wait"),
            "{drained:?}"
        );
        wait_for("an Event that says so", LIMIT, || async {
            Ok(agents
                .told()
                .await
                .contains("PhaseGateClosed: MigrateInternals waits: Drained"))
        })
        .await
        .unwrap();
        agents.supabase.start_postgres();
        agents
            .wait_until("the phase to be in force", |integration| {
                in_force(integration) == Some(Phase::MigrateInternals)
            })
            .await;
        let receipt = agents.post(&pod, "bld_after").await;
        wait_for("the sidecar to obey", LIMIT, || async {
            let receipt = agents.post(&pod, "bld_later").await;
            Ok(receipt["dual_write"]["enabled"] == false)
        })
        .await
        .unwrap_or_else(|error| panic!("{error}: {receipt}"));
    });
}
