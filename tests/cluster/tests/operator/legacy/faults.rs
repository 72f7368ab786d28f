//! A node that is cut off while its strand obeys the phase before, and an API server that goes away in the middle of a step: at
//! each seq of each strand Supabase gets what the phase and the list in force there promised.

use std::collections::HashSet;

use boboyka_cluster::{Cluster, ControlPlane};
use boboyka_crds::{IntegrationStatus, Phase};
use boboyka_tests::promises::Record;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use serde_json::{Value, json};

use super::fleet::{Fleet, PODS, SOME};
use crate::caller::all_events;
use crate::product::{breakable, run};

/// Records of an agent while nothing of Kubernetes reaches it.
const INSIDE: usize = 5;

#[test]
fn a_node_cut_off_in_the_old_phase_and_an_api_server_away_in_a_step_keep_what_was_promised_at_each_seq()
 {
    run(async {
        let mut cluster = breakable().await;
        let mut fleet = Fleet::start(&cluster, false).await;
        fleet.load.acknowledges(SOME).await;
        forward_past_a_node(&cluster, &fleet).await;
        fleet.promises_are_kept().await;
        the_api_server_goes(&mut cluster, &fleet).await;
        fleet.promises_are_kept().await;
        back_past_a_node(&cluster, &fleet).await;
        fleet.promises_are_kept().await;
        let acknowledged = fleet.load.end().await;
        let strands = fleet.strands().await;
        let held = strands.iter().flat_map(|it| &it.records).map(Record::hash);
        let held: HashSet<&str> = held.collect();
        let lost = acknowledged.keys().find(|it| !held.contains(it.as_str()));
        assert_eq!(lost, None);
        fleet.promises_are_kept().await;
        drop(fleet);
        cluster.give_back();
    });
}

/// The step is forced although a strand is silent. Its sidecar obeys the phase before, so what it takes goes to Supabase.
async fn forward_past_a_node(cluster: &Cluster, fleet: &Fleet) {
    let pod = pod(fleet, PODS[0]).await;
    let strand = strand_of(fleet, PODS[0]).await;
    cluster.partition(node_of(&pod)).unwrap();
    let asked = json!({"phase": Phase::MigrateInternals});
    fleet.agents.edit(asked).await;
    fleet
        .status("the silent strand to block", |it| {
            is_closed(it, "Reported", &format!("{strand} (has not reported)"))
        })
        .await;
    let gates = [
        "Reported",
        "Drained",
        "ChainIntact",
        "Parity",
        "NoForeignWrites",
    ];
    let force = json!({"gates": gates, "reason": "the node is gone"});
    let forced = json!({"migration": {"force": force}});
    fleet.agents.edit(forced).await;
    fleet
        .status("the step", |it| it.phase == Some(Phase::MigrateInternals))
        .await;
    post_inside(cluster, &pod, "before");
    heal(cluster, fleet, &pod).await;
    fleet.obeys(Phase::MigrateInternals).await;
    let events = all_events(&fleet.agents.namespace, PODS[0]).await;
    let change = events
        .iter()
        .find(|it| it["data"]["event"] == "phase_changed");
    let boundary = change.unwrap()["data"]["metadata"]["boundary_seq"].as_u64();
    let inside = seqs(&events, "before");
    assert_eq!(inside.len(), INSIDE);
    assert!(
        inside.iter().all(|seq| Some(*seq) <= boundary),
        "{inside:?} {boundary:?}"
    );
    fleet.load.acknowledges(SOME).await;
}

/// The step waits for Supabase when the API server goes, and passes by what happened meanwhile.
async fn the_api_server_goes(cluster: &mut Cluster, fleet: &Fleet) {
    let mut pods = Vec::new();
    for name in PODS {
        pods.push(pod(fleet, name).await);
    }
    fleet.agents.supabase.hold();
    fleet.load.acknowledges(SOME).await;
    fleet.agents.edit(json!({"phase": Phase::CutOver})).await;
    fleet
        .status("the backlog to block", |it| {
            is_closed(it, "Drained", "records wait")
        })
        .await;
    cluster.kill_control_plane(ControlPlane::ApiServer).unwrap();
    for pod in &pods {
        post_inside(cluster, pod, "held");
    }
    fleet.agents.supabase.release();
    for pod in &pods {
        post_inside(cluster, pod, "away");
    }
    let restarted = cluster.restart_control_plane(ControlPlane::ApiServer);
    restarted.await.unwrap();
    fleet.obeys(Phase::CutOver).await;
    for name in PODS {
        let events = all_events(&fleet.agents.namespace, name).await;
        let lens = ["held", "away"].map(|what| seqs(&events, what).len());
        assert_eq!(lens, [INSIDE; 2], "{name}");
    }
    fleet.load.acknowledges(SOME).await;
}

/// The way back asks nobody. A sidecar that does not hear of it goes on in the phase before, and sends all of it once it hears.
async fn back_past_a_node(cluster: &Cluster, fleet: &Fleet) {
    let pod = pod(fleet, PODS[1]).await;
    cluster.partition(node_of(&pod)).unwrap();
    fleet.agents.edit(json!({"phase": Phase::DualWrite})).await;
    fleet
        .status("the way back", |it| it.phase == Some(Phase::DualWrite))
        .await;
    post_inside(cluster, &pod, "behind");
    heal(cluster, fleet, &pod).await;
    fleet.obeys(Phase::DualWrite).await;
    let events = all_events(&fleet.agents.namespace, PODS[1]).await;
    let back = events.iter().find(|it| {
        it["data"]["event"] == "phase_changed" && it["data"]["metadata"]["to"] == "DualWrite"
    });
    let boundary = back.unwrap()["data"]["metadata"]["boundary_seq"].as_u64();
    let inside = seqs(&events, "behind");
    assert_eq!(inside.len(), INSIDE);
    assert!(
        inside.iter().all(|seq| Some(*seq) <= boundary),
        "{inside:?} {boundary:?}"
    );
    fleet.load.acknowledges(SOME).await;
}

async fn pod(fleet: &Fleet, name: &str) -> Pod {
    fleet.agents.namespace.api().get(name).await.unwrap()
}

fn node_of(pod: &Pod) -> &str {
    pod.spec.as_ref().unwrap().node_name.as_deref().unwrap()
}

async fn heal(cluster: &Cluster, fleet: &Fleet, pod: &Pod) {
    cluster.heal(node_of(pod)).unwrap();
    cluster.node_ready(node_of(pod)).await.unwrap();
    fleet.agents.pods("legacy", PODS.len()).await;
}

/// The name of the strand that a pod holds.
async fn strand_of(fleet: &Fleet, pod: &str) -> String {
    let strands = fleet.agents.strands().await;
    let mut held = strands.iter().filter(|strand| {
        let holder = strand.spec.holder.as_ref();
        holder.and_then(|it| it.pod_name.as_deref()) == Some(pod)
    });
    held.next().unwrap().name_any()
}

fn is_closed(status: &IntegrationStatus, gate: &str, why: &str) -> bool {
    let mut closed = status
        .transition
        .iter()
        .flat_map(boboyka_crds::Transition::closed);
    closed.any(|it| it.name == gate && it.message.contains(why))
}

/// Posts as the agent of a pod does, without anything of Kubernetes.
fn post_inside(cluster: &Cluster, pod: &Pod, what: &str) {
    let address = pod.status.as_ref().unwrap().pod_ip.as_deref().unwrap();
    for n in 0..INSIDE {
        let build = format!("{what}-{n}");
        cluster.ingest_inside(address, &build).unwrap();
    }
}

/// The seqs of what was posted so.
fn seqs(events: &[Value], what: &str) -> Vec<u64> {
    let is_it = |it: &&Value| {
        let build = it["data"]["build_id"].as_str();
        build.is_some_and(|build| build.rsplit_once('-').is_some_and(|(name, _)| name == what))
    };
    let found = events.iter().filter(is_it);
    found.map(|it| it["seq"].as_u64().unwrap()).collect()
}
