//! What binds the floor: the strand's own record of its pruning.

use boboyka_strand::PayloadJson;
use serde_json::{Value, json};

use super::pruning::{EVERYTHING, strand_in};
use super::*;
use crate::binding::Binding;
use crate::change::Change;
use crate::ledger::Ledger;

fn data(store: &Store, seq: Seq) -> Value {
    let block = store.block(seq).unwrap().unwrap();
    serde_json::to_value(PayloadJson(&block.payload)).unwrap()
}

/// The policy under which only the oldest segments go.
fn all_but_some(store: &Store) -> Policy {
    Policy {
        max_age_ms: None,
        max_size_bytes: Some(store.view().footprint.segment_bytes * 2 / 3),
    }
}

#[tokio::test]
async fn a_pruning_is_recorded_with_its_range_and_the_hash_at_the_floor() {
    let dir = tempfile::tempdir().unwrap();
    let store = strand_in(dir.path(), Phase::DualWrite).await;
    for round in 0..2 {
        let (before, head) = (store.view().floor, store.view().head.seq);
        store.prune(all_but_some(&store), false).await.unwrap();
        let floor = store.view().floor;
        assert!(floor.head.seq > before.head.seq, "round {round}");
        let gone = |kind: RecordType| floor.counts[kind] - before.counts[kind];
        let metadata = json!({
            "first_seq": before.head.seq + 1,
            "last_seq": floor.head.seq,
            "last_hash": floor.head.hash,
            "counts": {
                "project_build": 0,
                "build_queue_item": 0,
                "agent_health": gone(RecordType::AgentHealth),
                "audit_log": gone(RecordType::AuditLog),
            },
        });
        let data = data(&store, head + 1);
        assert_eq!(
            (&data["event"], &data["metadata"]),
            (&json!("pruned"), &metadata)
        );
        let whole = verdict(&store);
        assert!(whole.ok && whole.reason.is_none(), "{whole:?}");
    }
    close(store);
    let offline = verify_offline(dir.path(), |_| ControlFlow::Continue(())).unwrap();
    assert!(offline.ok && offline.reason.is_none(), "{offline:?}");
}

/// An attacker who writes the files can write their checksums too, but not what the chain says.
#[tokio::test]
async fn a_floor_that_was_raised_by_hand_is_named_by_no_record() {
    for pruned_before in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let store = strand_in(dir.path(), Phase::DualWrite).await;
        if pruned_before {
            store.prune(all_but_some(&store), false).await.unwrap();
        }
        close(store);
        // After another start the ledger says all that there is.
        let store = opened(dir.path());
        assert!(verdict(&store).ok);
        let oldest = store.shared.state().memory().segments()[0].clone();
        close(store);
        let found = Ledger::read(dir.path());
        let (mut ledger, mut page) = (found.ledger, found.page.unwrap());
        let mut raised = page.summary().unwrap().floor;
        oldest.meta.add_to(&mut raised.counts);
        raised.head = oldest.meta.head;
        Change::Floor(raised).put(&mut page.entries).unwrap();
        ledger.write(&page).unwrap();
        fs::remove_file(oldest.path()).unwrap();
        let offline = verify_offline(dir.path(), |_| ControlFlow::Continue(())).unwrap();
        let store = opened(dir.path());
        assert_eq!(store.view().floor.head, oldest.meta.head);
        for found in [offline, verdict(&store)] {
            assert_eq!(
                (found.ok, found.broken_seq),
                (false, Some(oldest.meta.head.seq))
            );
            let reason = found.reason.unwrap();
            assert!(reason.contains("no record of a pruning"), "{reason}");
        }
        store.close();
    }
}

#[tokio::test]
async fn a_floor_of_an_earlier_version_is_bound_by_the_next_pruning() {
    let dir = tempfile::tempdir().unwrap();
    let store = strand_in(dir.path(), Phase::DualWrite).await;
    store.prune(all_but_some(&store), false).await.unwrap();
    close(store);
    drop(Store::open(options(dir.path())).map(|store| store.close()));
    // A ledger as it was written before there were bindings.
    let found = Ledger::read(dir.path());
    let (mut ledger, mut page) = (found.ledger, found.page.unwrap());
    let mut summary = page.summary().unwrap();
    summary.binding = None;
    page.entries.clear();
    for change in summary.changes() {
        change.put(&mut page.entries).unwrap();
    }
    ledger.write(&page).unwrap();
    for _ in 0..2 {
        let store = opened(dir.path());
        let floor = store.view().floor.head.seq;
        let binding = store.shared.state().memory().binding();
        assert_eq!(binding, Binding::Earlier(floor));
        let whole = verdict(&store);
        assert!(whole.ok, "{whole:?}");
        let reason = whole.reason.unwrap();
        assert!(
            reason.contains(&format!("up to seq {floor} before records")),
            "{reason}"
        );
        store.close();
    }
    let store = opened(dir.path());
    store.prune(EVERYTHING, false).await.unwrap();
    let whole = verdict(&store);
    assert!(whole.ok && whole.reason.is_none(), "{whole:?}");
    store.close();
}
