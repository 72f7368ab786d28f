//! The phase and the strand's own record of its change: together or not at all, and a boundary that no
//! lane reads across.

use boboyka_strand::PayloadJson;
use serde_json::{Value, json};

use super::*;
use crate::change::Change;
use crate::ledger::Ledger;
use crate::phase::RecordedPhase;

fn data(block: &Block) -> Value {
    serde_json::to_value(PayloadJson(&block.payload)).unwrap()
}

/// The changes of phase that a strand records, oldest first: seq and metadata.
fn changes(store: &Store) -> Vec<(Seq, Value)> {
    let mut query = PageQuery {
        record_type: Some(RecordType::AuditLog),
        ..everything(store)
    };
    let mut found = Vec::new();
    loop {
        let page = store.page(&query).blocks;
        let Some(last) = page.last() else { break };
        query.before = last.header.seq;
        for block in page {
            let data = data(&block);
            if data["event"] == "phase_changed" {
                assert_eq!(data["agent_id"], "boboyka_sidecar");
                found.push((block.header.seq, data["metadata"].clone()));
            }
        }
    }
    found.reverse();
    found
}

#[tokio::test]
async fn a_change_of_phase_is_recorded_once_and_outlives_sealing_and_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path());
    assert_eq!(store.view().phase, None);
    fill(&store, 0, 10).await;
    let first = store.set_phase(Phase::DualWrite, 1).await.unwrap();
    assert_eq!((first.generation, first.mirror_until), (1, None));
    assert_eq!(store.view().head.seq, 10, "a strand begins with DualWrite");
    let again = store.set_phase(Phase::DualWrite, 2).await.unwrap();
    assert_eq!(again, first);

    let migrated = store.set_phase(Phase::MigrateInternals, 3).await.unwrap();
    assert_eq!(migrated.mirror_until, Some(10));
    assert_eq!(
        store.set_phase(Phase::MigrateInternals, 3).await,
        Ok(migrated)
    );
    fill(&store, 0, 2_000).await;
    wait_for_segments(&store, 2).await;
    let before_cut_over = store.view().head.seq;
    let cut_over = store.set_phase(Phase::CutOver, 4).await.unwrap();
    assert_eq!(cut_over.mirror_until, Some(10), "the boundary stays");
    assert_eq!(*store.watch_phase().borrow(), Some(cut_over));
    close(store);

    let store = opened(dir.path());
    assert_eq!(store.view().phase, Some(cut_over));
    let back = store.set_phase(Phase::DualWrite, 5).await.unwrap();
    assert_eq!(back.mirror_until, None);
    let change = |from: &str, to: &str, generation: u64, boundary_seq: Seq| {
        let metadata =
            json!({"from": from, "to": to, "generation": generation, "boundary_seq": boundary_seq});
        (boundary_seq + 1, metadata)
    };
    assert_eq!(
        changes(&store),
        [
            change("DualWrite", "MigrateInternals", 3, 10),
            change("MigrateInternals", "CutOver", 4, before_cut_over),
            change("CutOver", "DualWrite", 5, before_cut_over + 1),
        ]
    );
    assert!(verdict(&store).ok);
}

#[tokio::test]
async fn a_first_phase_other_than_dual_write_is_a_change_from_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path());
    let state = store.set_phase(Phase::MigrateInternals, 1).await.unwrap();
    assert_eq!(state.mirror_until, Some(0));
    assert_eq!(changes(&store)[0].1["from"], "DualWrite");
}

#[tokio::test]
async fn a_phase_whose_record_is_not_in_the_strand_gives_way_to_the_one_before() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path());
    let dual_write = store.set_phase(Phase::DualWrite, 1).await.unwrap();
    fill(&store, 0, 10).await;
    // What a crash leaves that cut the commit short: the phase is there, its record is not.
    let cut_short = RecordedPhase {
        state: PhaseState {
            phase: Phase::CutOver,
            mirror_until: Some(10),
            ..dual_write
        },
        record: Some((11, Hash::from_bytes([7; 32]))),
        before: Some(dual_write),
    };
    close(store);
    drop(Store::open(options(dir.path())).map(|store| store.close()));
    let found = Ledger::read(dir.path());
    let (mut ledger, mut page) = (found.ledger, found.page.unwrap());
    Change::Phase(cut_short).put(&mut page.entries).unwrap();
    ledger.write(&page).unwrap();
    for _ in 0..2 {
        let store = opened(dir.path());
        assert_eq!(store.view().phase, Some(dual_write));
        // Another block in the record's place does not bring the phase back.
        fill(&store, 0, 3).await;
        store.close();
    }
}

#[tokio::test]
async fn a_nearly_full_disk_takes_a_change_of_phase() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(Options {
        min_free_bytes: u64::MAX,
        ..options(dir.path())
    })
    .unwrap();
    assert!(store.append(vec![record(1)]).await.is_err());
    let state = store.set_phase(Phase::MigrateInternals, 2).await.unwrap();
    assert_eq!((state.mirror_until, store.view().head.seq), (Some(0), 1));
}

#[tokio::test]
async fn no_lane_reads_a_record_from_behind_the_boundary_also_under_load() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path());
    store.set_phase(Phase::DualWrite, 1).await.unwrap();
    let writers: Vec<_> = (0..8)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                for n in 0..60 {
                    let records = (0..5).map(|more| record(writer * 1000 + n * 5 + more));
                    store.append(records.collect()).await.unwrap();
                }
            })
        })
        .collect();
    let reader = {
        let store = store.clone();
        // As a lane does: reads on, and notes what it has read and when it saw the phase end.
        tokio::task::spawn_blocking(move || {
            let (mut after, mut newest) = (0, 0);
            while store
                .view()
                .phase
                .unwrap()
                .mirror_until
                .is_none_or(|until| after < until)
            {
                let read = store.read_lane(RecordType::AuditLog, after, 50, 1 << 20);
                let read = read.unwrap();
                newest = read.blocks.last().map_or(newest, |block| block.header.seq);
                after = read.scanned_to;
            }
            (after, newest)
        })
    };
    let mut head = store.watch_head();
    let under_way = head.wait_for(|head| head.seq >= 300).await;
    drop(under_way.unwrap());
    let state = store.set_phase(Phase::MigrateInternals, 2).await.unwrap();
    for writer in writers {
        writer.await.unwrap();
    }
    let until = state.mirror_until.unwrap();
    let (scanned_to, newest) = reader.await.unwrap();
    assert_eq!(scanned_to, until);
    assert!(newest <= until && store.view().head.seq > until + 1);
    assert_eq!(changes(&store)[0].0, until + 1);
    for lane in RecordType::MIRRORED {
        let read = store.read_lane(lane, 0, 10_000, 1 << 30).unwrap();
        assert!(read.blocks.iter().all(|block| block.header.seq <= until));
        assert_eq!(
            store.view().backlog(lane),
            read.blocks.len() as u64,
            "{lane}"
        );
    }
    // Back in DualWrite everything is there to be read, the change itself too.
    store.set_phase(Phase::DualWrite, 3).await.unwrap();
    let lane = RecordType::AuditLog;
    let read = store.read_lane(lane, until, 10_000, 1 << 30).unwrap();
    assert_eq!(read.blocks.first().unwrap().header.seq, until + 1);
    assert_eq!(store.view().backlog(lane), store.view().counts[lane]);
}

#[tokio::test]
async fn a_place_is_settled_once_its_records_are_however_far_an_idle_lanes_mark_lags() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path());
    store.set_phase(Phase::DualWrite, 1).await.unwrap();
    assert!(
        store.view().has_settled(&store.view()),
        "nothing is settled at once"
    );
    fill(&store, 0, 10).await;
    let place = store.view();
    assert!(!store.view().has_settled(&place));
    let mirrored = |seq, mirrored| Mark {
        seq,
        mirrored,
        dead_lettered: 0,
    };
    store
        .advance(RecordType::AuditLog, mirrored(10, 5), vec![])
        .await
        .unwrap();
    assert!(!store.view().has_settled(&place));
    // The other two lanes have no record and their marks stay at 0.
    store
        .advance(RecordType::AgentHealth, mirrored(9, 5), vec![])
        .await
        .unwrap();
    assert!(store.view().has_settled(&place));
    fill(&store, 0, 1).await;
    assert!(store.view().has_settled(&place) && !store.view().has_settled(&store.view()));
    // What the phase does not mirror is not waited for.
    store.set_phase(Phase::MigrateInternals, 2).await.unwrap();
    fill(&store, 0, 4).await;
    assert!(
        !store.view().has_settled(&store.view()),
        "one from before is owed"
    );
    store
        .advance(RecordType::AgentHealth, mirrored(11, 6), vec![])
        .await
        .unwrap();
    assert!(store.view().has_settled(&store.view()));
}

#[tokio::test]
async fn a_strand_that_lost_its_tail_still_obeys_its_phase_and_knows_its_boundary() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path());
    fill(&store, 0, 10).await;
    let state = store.set_phase(Phase::MigrateInternals, 1).await.unwrap();
    fill(&store, 0, 2_000).await;
    wait_for_segments(&store, 3).await;
    close(store);
    fs::remove_dir_all(dir.path().join("tail")).unwrap();
    let store = opened(dir.path());
    assert_eq!(store.view().phase, Some(state));
    assert_eq!(changes(&store).len(), 1);
}
