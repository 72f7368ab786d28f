//! The end of a migration, and what a way back needs until then.

use boboyka_crds::Change as MadeChange;
use boboyka_strand::PayloadJson;
use boboyka_strand::retention::Blocker;
use serde_json::{Value, json};

use super::legacy::{change, list};
use super::pruning::{EVERYTHING, strand_in};
use super::stripping::{HEALTH, at_once, strip_all};
use super::*;

/// How an integration came to the end.
fn how() -> Box<MadeChange> {
    let force = json!({"generation": 9, "gates": ["Parity"], "reason": "rows were removed by hand", "by": "bob"});
    let change = json!({
        "from": "CutOver", "to": "CutOver", "finalized": true, "generation": 9, "at": "2026-01-01T00:00:00Z",
        "by": "alice", "evidence": "ab".repeat(32), "force": force,
    });
    Box::new(serde_json::from_value(change).unwrap())
}

fn end() -> PhaseChange {
    PhaseChange {
        finalizes: true,
        how: Some(how()),
        ..PhaseChange::to(Phase::CutOver, 9)
    }
}

fn newest(store: &Store) -> Value {
    let block = store.block(store.view().head.seq).unwrap().unwrap();
    serde_json::to_value(PayloadJson(&block.payload)).unwrap()
}

#[tokio::test]
async fn the_end_is_recorded_once_with_who_and_why_and_outlives_restarts_and_pruning() {
    let dir = tempfile::tempdir().unwrap();
    let store = strand_in(dir.path(), Phase::CutOver).await;
    let ended = store.change_phase(end()).await.unwrap();
    assert!(ended.finalized);
    let head = store.view().head;
    let record = newest(&store);
    assert_eq!(record["event"], "migration_finalized");
    let told = &record["metadata"];
    assert_eq!(
        (&told["by"], &told["generation"]),
        (&"alice".into(), &9.into())
    );
    assert_eq!(told["evidence"], "ab".repeat(32));
    assert_eq!(told["boundary_seq"], head.seq - 1);
    assert_eq!(told["force"]["gates"][0], "Parity");
    assert_eq!(told["force"]["reason"], "rows were removed by hand");
    assert_eq!(told["force"]["by"], "bob");
    store.change_phase(end()).await.unwrap();
    fill(&store, 0, 3_000).await;
    store.prune(EVERYTHING, false).await.unwrap();
    close(store);
    let store = opened(dir.path());
    assert_eq!(store.view().phase, Some(ended));
    for phase in [Phase::DualWrite, Phase::MigrateInternals] {
        let head = store.view().head;
        assert_eq!(store.set_phase(phase, 10).await, Ok(ended));
        assert_eq!(store.view().head, head, "nothing changes");
    }
    close(store);
}

#[tokio::test]
async fn only_a_phase_in_force_can_be_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path());
    store.set_phase(Phase::MigrateInternals, 1).await.unwrap();
    let first = store.change_phase(end()).await.unwrap();
    assert_eq!((first.phase, first.finalized), (Phase::CutOver, false));
    assert!(store.change_phase(end()).await.unwrap().finalized);
    close(store);
}

#[tokio::test]
async fn until_the_end_retention_keeps_what_a_way_back_needs() {
    let dir = tempfile::tempdir().unwrap();
    let store = strand_in(dir.path(), Phase::CutOver).await;
    store
        .prune_beside(Needed::WayBack, EVERYTHING)
        .await
        .unwrap();
    assert_eq!(store.view().floor, Floor::default());
    assert_eq!(store.view().retention.blocked_by, Some(Blocker::Rollback));
    let (kept, all) = (store.unmirrored_bytes(), store.view().footprint);
    assert!(kept > 0 && kept <= all.segment_bytes, "{kept} of {all:?}");
    store
        .prune_beside(Needed::Nothing, EVERYTHING)
        .await
        .unwrap();
    assert!(store.view().floor.head.seq > 1_000);
    assert!(store.unmirrored_bytes() < kept, "what is gone is not kept");
    close(store);
}

#[tokio::test]
async fn what_waited_before_the_boundary_is_held_for_a_way_back_too() {
    let dir = tempfile::tempdir().unwrap();
    let store = strand_in(dir.path(), Phase::DualWrite).await;
    store.set_phase(Phase::CutOver, 2).await.unwrap();
    let (kept, all) = (store.unmirrored_bytes(), store.view().footprint);
    assert!(kept > 0 && kept == all.segment_bytes, "{kept} of {all:?}");
    close(store);
}

#[tokio::test]
async fn the_scrub_reads_up_to_what_is_asked_for_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(Options {
        scrub_bytes_per_second: u64::MAX / 2000,
        ..options(dir.path())
    })
    .unwrap();
    fill(&store, 0, 2_000).await;
    assert_eq!(store.view().scrub.checked_to, 0, "it was not asked to");
    let head = store.view().head.seq;
    store.scrub_up_to(head);
    let mut changes = store.watch_view();
    let read = async {
        while store.view().scrub.checked_to < head {
            changes.changed().await.unwrap();
        }
    };
    tokio::time::timeout(GUARD, read).await.unwrap();
    assert!(store.view().scrub.last_finished_ms.is_some());
    close(store);
}

#[tokio::test]
async fn payloads_behind_the_boundary_go_after_the_end_though_there_were_legacy_projects() {
    let dir = tempfile::tempdir().unwrap();
    let store = strand_in(dir.path(), Phase::CutOver).await;
    for (generation, names) in [(3, &["a"][..]), (4, &[])] {
        let change = change(Phase::CutOver, generation, list(names, false));
        store.change_phase(change).await.unwrap();
    }
    strip_all(&store, Needed::WayBack, at_once(HEALTH)).await;
    let status = store.view().retention;
    assert_eq!(status.payloads_blocked_by, Some(Blocker::Rollback));
    assert!(store.change_phase(end()).await.unwrap().finalized);
    strip_all(&store, Needed::Nothing, at_once(HEALTH)).await;
    let status = store.view().retention;
    assert_eq!(status.payloads_blocked_by, None);
    assert!(status.payloads_gone > 500, "{status:?}");
    store.close();
}
