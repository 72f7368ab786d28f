//! Legacy projects in a cluster, under load, with kills: at each seq of each strand Supabase gets what the phase and the list
//! in force there promised.

mod faults;
mod fleet;

use std::collections::HashSet;

use boboyka_cluster::{Cluster, wait_for};
use boboyka_crds::{BoboykaStrand, LegacyList, LegacyStatus, Phase, ProjectState, ProjectStatus};
use boboyka_tests::promises::{Record, Rows};

use crate::agents::LIMIT;
use crate::product::{breakable, kill_operator, operator_ready, run};
use fleet::{Fleet, PODS, SOME};

#[test]
fn legacy_projects_under_load_and_kills_leave_in_supabase_what_was_promised_at_each_seq() {
    run(async {
        let cluster = breakable().await;
        let fleets = [
            Fleet::start(&cluster, false).await,
            Fleet::start(&cluster, true).await,
        ];
        for fleet in &fleets {
            fleet.moves_to(Phase::MigrateInternals).await;
            fleet.moves_to(Phase::CutOver).await;
            fleet.promises_are_kept().await;
        }
        one_leaves_amid_kills(&cluster, &fleets).await;
        for fleet in &fleets {
            fleet.load.acknowledges(SOME).await;
            fleet.promises_are_kept().await;
            fleet.moves_to(Phase::DualWrite).await;
        }
        for fleet in fleets {
            nothing_is_lost(fleet).await;
        }
        cluster.give_back();
    });
}

/// A project leaves the list while Supabase answers nobody; it is migrated only when its rows are there and compared.
async fn one_leaves_amid_kills(cluster: &Cluster, fleets: &[Fleet]) {
    for fleet in fleets {
        fleet.agents.supabase.hold();
        fleet.load.acknowledges(SOME).await;
        fleet.drop_a().await;
        let waits = |it: &ProjectStatus| {
            let why = it.message.as_deref().unwrap_or_default();
            it.state == ProjectState::Migrating && why.contains("records wait")
        };
        fleet
            .project("proj_a", "proj_a to wait for its records", waits)
            .await;
        let told = "LegacyProjectsChanged: the list of legacy projects has 1 name now, and had 2; 1 removed: proj_a";
        fleet.is_told(told).await;
        fleet
            .agents
            .namespace
            .delete_pod(PODS[0], false)
            .await
            .unwrap();
    }
    kill_operator(cluster).await;
    operator_ready(cluster).await;
    for fleet in fleets {
        fleet.agents.pods("legacy", PODS.len()).await;
        fleet.load.acknowledges(SOME).await;
        assert_eq!(fleet.list().await.migrated, 0, "nothing was compared yet");
        fleet.agents.supabase.release();
        fleet.compares_until_caught_up().await;
        let is_done = |it: &ProjectStatus| it.state == ProjectState::Migrated;
        fleet
            .project("proj_a", "proj_a to be migrated", is_done)
            .await;
        fleet
            .is_told("LegacyProjectMigrated: proj_a is migrated")
            .await;
        is_shown_by_each_strand(fleet).await;
    }
}

/// Each strand has shown its own part: drained up to its boundary, and compared.
async fn is_shown_by_each_strand(fleet: &Fleet) {
    let list = fleet.list().await;
    let names = LegacyList::of(["proj_b".to_owned()], true);
    assert_eq!(list.digest, names.digest());
    assert_eq!((list.listed, list.migrating, list.migrated), (1, 0, 1));
    let is_legacy = |it: &ProjectStatus| it.state == ProjectState::Legacy;
    fleet.project("proj_b", "proj_b to stay", is_legacy).await;
    wait_for("each strand to show its part", LIMIT, || async {
        let strands = fleet.agents.strands().await;
        Ok(strands.iter().all(|it| has_shown(it, &list)))
    })
    .await
    .unwrap();
}

fn has_shown(strand: &BoboykaStrand, list: &LegacyStatus) -> bool {
    let status = strand.status.clone().unwrap();
    let Some(report) = status.legacy.filter(|it| it.digest == list.digest) else {
        return false;
    };
    let left = report.departed.iter().find(|it| it.name == "proj_a");
    let is_there = |kind: &str, boundary: i64| {
        let lane = status.lanes.iter().find(|it| it.record_type == kind);
        let parity = lane.and_then(|lane| lane.parity.as_ref());
        parity.is_some_and(|it| it.up_to >= boundary && it.missing == 0)
    };
    left.is_some_and(|left| {
        let kinds = ["project_build", "build_queue_item"];
        left.waits_for.is_none() && kinds.iter().all(|kind| is_there(kind, left.boundary))
    })
}

/// Back in the first phase: each acknowledged record is in a strand, and Supabase has all of them.
async fn nothing_is_lost(mut fleet: Fleet) {
    fleet.load.acknowledges(SOME).await;
    let acknowledged = fleet.load.end().await;
    let strands = fleet.strands().await;
    let held = strands.iter().flat_map(|it| &it.records);
    let held: HashSet<&str> = held.map(Record::hash).collect();
    let lost = acknowledged.keys().filter(|it| !held.contains(it.as_str()));
    assert_eq!(lost.collect::<Vec<_>>(), Vec::<&String>::new());
    fleet.promises_are_kept().await;
    // Each news once.
    let told = fleet.agents.told().await;
    for reason in [
        "LegacyProjectsChanged: the list of legacy projects has 1",
        "LegacyProjectMigrated: ",
    ] {
        assert_eq!(told.matches(reason).count(), 1, "{told}");
    }
    // Nothing moves any more.
    let rows = Rows::of(&fleet.agents.supabase, fleet.has_states);
    assert_eq!(rows.too_many(&strands), Vec::<String>::new());
}
