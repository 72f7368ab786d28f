//! A crash at any point of pruning leaves something that opening finishes.

use super::pruning::{EVERYTHING, ends, strand_in, with_record_of_pruning};
use super::*;
use crate::change::Change;
use crate::segment::Segment;

fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).map(Iterator::flatten);
    let mut names: Vec<_> = entries
        .into_iter()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Opens a folder as a crash left it and checks that the pruning up to `floor` is finished.
async fn finishes(dir: &Path, floor: Floor, counts: PerType<u64>) {
    let store = opened(dir);
    assert_eq!((store.view().floor, store.view().counts), (floor, counts));
    assert!(store.quarantined().is_empty(), "{:?}", store.quarantined());
    let below = format!("{:020}.seg", floor.head.seq + 1);
    let left = files(&dir.join("segments"));
    assert!(left.iter().all(|name| *name >= below), "{left:?}");
    let whole = verdict(&store);
    assert!(whole.ok && whole.floor == floor.head, "{whole:?}");
    let sealed = ends(&store);
    assert!(sealed.iter().all(|end| *end > floor.head.seq));
    fill(&store, 0, 700).await;
    let whole = verdict(&store);
    assert!(whole.ok, "{whole:?}");
    store.close();
}

#[tokio::test]
async fn files_left_below_the_floor_are_unlinked_and_never_adopted() {
    let dir = tempfile::tempdir().unwrap();
    let store = strand_in(dir.path(), Phase::DualWrite).await;
    let (counts, segments) = (store.view().counts, dir.path().join("segments"));
    let kept = tempfile::tempdir().unwrap();
    copy_folder(&segments, kept.path());
    let first = store.block(1).unwrap().unwrap();
    store.prune(EVERYTHING, false).await.unwrap();
    let counts = with_record_of_pruning(counts);
    let floor = store.view().floor;
    close(store);
    // The crash came before anything was unlinked, in the middle of it, and before the index was kept.
    let all = files(kept.path());
    for (left, index) in [(&all[..], true), (&all[1..], true), (&all[..], false)] {
        let crashed = tempfile::tempdir().unwrap();
        copy_folder(dir.path(), crashed.path());
        for name in left {
            fs::copy(
                kept.path().join(name),
                crashed.path().join("segments").join(name),
            )
            .unwrap();
        }
        if !index {
            fs::remove_dir_all(crashed.path().join("pruned")).unwrap();
        }
        finishes(crashed.path(), floor, counts).await;
        let store = opened(crashed.path());
        let found = store.block_by_hash(&first.hash);
        assert!(matches!(found, Err(ReadError::Pruned { .. })), "{found:?}");
    }
}

#[tokio::test]
async fn entries_left_below_the_floor_are_removed_from_the_catalogue_and_not_missed() {
    let dir = tempfile::tempdir().unwrap();
    let store = strand_in(dir.path(), Phase::DualWrite).await;
    let gone: Vec<_> = store.shared.state().memory().segments().to_vec();
    let counts = store.view().counts;
    store.prune(EVERYTHING, false).await.unwrap();
    let floor = store.view().floor;
    // The floor is the first thing that a commit puts: this is one that got no further.
    for segment in &gone {
        let entry = Change::Segment(Segment::clone(segment));
        store.shared.tail.take(&[entry]);
    }
    store.shared.tail.flush().unwrap();
    close(store);
    finishes(dir.path(), floor, with_record_of_pruning(counts)).await;
}

#[tokio::test]
async fn before_the_floor_is_durable_nothing_has_happened() {
    let dir = tempfile::tempdir().unwrap();
    let store = strand_in(dir.path(), Phase::DualWrite).await;
    let counts = store.view().counts;
    close(store);
    // What retiring leaves first of all: an index, half-written.
    fs::create_dir(dir.path().join("pruned")).unwrap();
    fs::write(
        dir.path().join("pruned/00000000000000000001.unfinished"),
        b"x",
    )
    .unwrap();
    fs::write(dir.path().join("anchor.unfinished"), b"x").unwrap();
    finishes(dir.path(), Floor::default(), counts).await;
}

#[tokio::test]
async fn a_strand_that_lost_its_tail_still_knows_its_floor_and_what_was_pruned() {
    let dir = tempfile::tempdir().unwrap();
    let store = strand_in(dir.path(), Phase::CutOver).await;
    let policy = Policy {
        max_age_ms: None,
        max_size_bytes: Some(store.view().footprint.segment_bytes),
    };
    store.prune(policy, true).await.unwrap();
    let floor = store.view().floor;
    let strand = store.strand_id();
    let head = store.view().head;
    assert!(floor.head.seq > 0 && head.seq > floor.head.seq);
    close(store);
    fs::remove_dir_all(dir.path().join("tail")).unwrap();
    let store = opened(dir.path());
    assert_eq!((store.view().floor, store.strand_id()), (floor, strand));
    assert_eq!(store.view().head, head);
    assert_eq!(store.view().counts.values().sum::<u64>(), head.seq);
    assert!(verdict(&store).ok);
}

#[tokio::test]
async fn an_offline_check_of_a_pruned_strand_begins_at_its_floor_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = strand_in(dir.path(), Phase::DualWrite).await;
    let left_by_crash = tempfile::tempdir().unwrap();
    copy_folder(&dir.path().join("segments"), left_by_crash.path());
    store.prune(EVERYTHING, false).await.unwrap();
    let (floor, head) = (store.view().floor.head, store.view().head);
    close(store);
    copy_folder(left_by_crash.path(), &dir.path().join("segments"));
    let before = files(&dir.path().join("segments"));
    let found = verify_offline(dir.path(), |_| ControlFlow::Continue(())).unwrap();
    assert!(found.ok, "{found:?}");
    assert_eq!((found.floor, found.head), (floor, head));
    assert_eq!(found.verified, head.seq - floor.seq);
    assert_eq!(files(&dir.path().join("segments")), before);
}

#[tokio::test]
async fn the_memory_of_pruned_hashes_is_bounded_and_the_oldest_go_first() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path());
    fill(&store, 0, 1).await;
    let oldest = store.block(1).unwrap().unwrap();
    let mut newest = oldest.clone();
    // 6 bytes a record, and 64 KiB for the smallest strand: some 11,000 records.
    while store.view().floor.head.seq < 14_000 {
        fill(&store, 0, 1_000).await;
        let before = store.view().floor.head.seq;
        newest = store.block(before + 1).unwrap().unwrap();
        store.prune(EVERYTHING, false).await.unwrap();
    }
    assert!(store.view().floor.head.seq >= newest.header.seq);
    let bytes: u64 = fs::read_dir(dir.path().join("pruned"))
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    assert!((32 * 1024..=64 * 1024).contains(&bytes), "{bytes}");
    assert_eq!(store.block_by_hash(&oldest.hash).unwrap(), None);
    let found = store.block_by_hash(&newest.hash);
    assert!(matches!(found, Err(ReadError::Pruned { .. })), "{found:?}");
}
