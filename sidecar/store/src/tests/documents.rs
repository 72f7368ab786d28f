//! Documents: records that are never mirrored. A program that does not know them must not take them for damage.

use super::pruning::{EVERYTHING, strand_in};
use super::*;
use crate::change::{Change, put_entry};
use crate::format::Format;
use crate::ledger::{Ledger, Page as LedgerPage};

fn document(n: u64) -> NewRecord {
    let record = Record::document("orders", &format!(r#"{{"n":{n}}}"#)).unwrap();
    NewRecord { record, key: None }
}

async fn add_documents(store: &Store, count: u64) {
    for n in 0..count {
        store.append(vec![document(n)]).await.unwrap();
    }
}

/// What the ledger on the disk says that a program must know.
fn format_on_disk(dir: &Path) -> Format {
    let page = Ledger::read(dir).page.unwrap();
    page.summary().unwrap().format
}

#[tokio::test]
async fn the_ledger_says_that_there_are_documents_before_there_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path(), 700, 1).await;
    assert_eq!(format_on_disk(dir.path()), Format::First);
    // The ledger can't be written, so no document is taken.
    for slot in ["ledger-0", "ledger-1"] {
        let _ = fs::remove_file(dir.path().join(slot));
        fs::create_dir(dir.path().join(slot)).unwrap();
    }
    let head = store.view().head;
    store.append(vec![document(1)]).await.unwrap_err();
    assert_eq!(store.view().head, head);
    close(store);

    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path());
    add_documents(&store, 1).await;
    assert_eq!(format_on_disk(dir.path()), Format::Documents);
    close(store);
    close(opened(dir.path()));
    assert_eq!(format_on_disk(dir.path()), Format::Documents);
}

#[tokio::test]
async fn a_strand_of_a_later_format_is_refused_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path());
    add_documents(&store, 1).await;
    close(store);
    let mut found = Ledger::read(dir.path());
    let page = found.page.unwrap();
    let mut entries = page.entries.clone();
    put_entry(11, &[&rmp_serde::to_vec(&(5u8,)).unwrap()], &mut entries).unwrap();
    let later = LedgerPage { entries, ..page };
    found.ledger.write(&later).unwrap();
    let error = causes(&Store::open(options(dir.path())).err().unwrap());
    assert!(
        error.contains("the strand has format 5") && error.contains("a later one"),
        "{error}"
    );
    // An entry that no version knows yet says the same in its way.
    let error = Change::read(99, &[]).unwrap_err().to_string();
    assert!(error.contains("a later version"), "{error}");
}

#[tokio::test]
async fn documents_are_counted_and_sealed_and_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path());
    for n in 0..900 {
        store.append(vec![record(n), document(n)]).await.unwrap();
    }
    wait_for_segments(&store, 2).await;
    let (counts, head) = (store.view().counts, store.view().head);
    assert_eq!(counts[RecordType::Document], 900);
    close(store);
    let store = opened(dir.path());
    assert_eq!((store.view().counts, store.view().head), (counts, head));
    assert!(verdict(&store).ok);
    let query = PageQuery {
        record_type: Some(RecordType::Document),
        limit: 2_000,
        ..everything(&store)
    };
    let page = store.page(&query);
    assert_eq!(page.blocks.len(), 900);
    assert!(page.missing.is_empty() && page.next_before.is_none());
    store.close();
}

#[tokio::test]
async fn nobody_waits_for_a_document_to_be_mirrored() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path());
    store.set_phase(Phase::DualWrite, 1).await.unwrap();
    add_documents(&store, 700).await;
    assert!(store.view().is_settled());
    assert_eq!(store.view().backlog(RecordType::Document), 0);
    assert_eq!(store.view().unmirrored(RecordType::Document), 0);
    close(store);

    let dir = tempfile::tempdir().unwrap();
    let store = strand_in(dir.path(), Phase::CutOver).await;
    let records = store.view().head.seq;
    add_documents(&store, 1_300).await;
    wait_for_segments(&store, 6).await;
    store.prune(EVERYTHING, true).await.unwrap();
    let floor = store.view().floor;
    // Retention keeps what the records need, and lets documents go with them.
    assert!(
        floor.head.seq > 0 && floor.head.seq <= store.view().head.seq,
        "{floor:?} {records}"
    );
    assert_eq!(floor.unmirrored[RecordType::Document], 0);
    close(store);
    let store = opened(dir.path());
    assert_eq!(store.view().floor, floor);
    store.close();
}
