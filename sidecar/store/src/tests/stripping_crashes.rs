//! A crash at any point of stripping leaves the segment from before or the new one, and opening clears away the other.

use std::sync::Arc;

use super::pruning::{strand_in, wait_until_sealed};
use super::stripping::{HEALTH, at_once, segments, strip_all, wait_until_unlinked};
use super::*;
use crate::files;
use crate::segment::Segment;
use crate::strip::{StripTask, Stripped};

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir.join("segments")).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Opens what a crash left and checks that it holds with this number of payloads gone and nothing left behind.
async fn holds(dir: &Path, gone: u64) {
    let store = opened(dir);
    assert!(store.quarantined().is_empty(), "{:?}", store.quarantined());
    let mut expected: Vec<_> = segments(&store)
        .iter()
        .map(|segment| segment.meta.file_name())
        .collect();
    expected.sort();
    assert_eq!(names(dir), expected);
    let whole = verdict(&store);
    assert!(whole.ok && whole.payloads_gone == gone, "{whole:?}");
    // It goes on from there.
    strip_all(&store, Needed::Nothing, at_once(HEALTH)).await;
    wait_until_unlinked(&store).await;
    assert!(verdict(&store).ok && store.view().retention.payloads_gone > gone);
    store.close();
}

/// The first segment, written anew but not catalogued.
pub(super) fn written(store: &Store) -> Stripped {
    let task = StripTask {
        segment: Arc::clone(&store.shared.state().memory().segments()[0]),
        types: at_once(HEALTH).map(|_, age| age.is_some()),
        needed: Needed::Owed,
        turn: Arc::default(),
    };
    let stripped = strip::strip(&task, &store.shared.segments_folder);
    stripped.unwrap().unwrap()
}

#[tokio::test]
async fn a_file_that_was_begun_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let store = strand_in(dir.path(), Phase::CutOver).await;
    let begun = files::unfinished(written(&store).segment.path());
    close(store);
    fs::write(&begun, b"BBKSEG").unwrap();
    holds(dir.path(), 0).await;
}

#[tokio::test]
async fn a_new_file_that_is_not_catalogued_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let store = strand_in(dir.path(), Phase::CutOver).await;
    let path = written(&store).segment.path().to_owned();
    close(store);
    assert!(path.exists());
    holds(dir.path(), 0).await;
}

#[tokio::test]
async fn the_file_from_before_is_removed_once_the_new_one_is_catalogued() {
    let dir = tempfile::tempdir().unwrap();
    let store = strand_in(dir.path(), Phase::CutOver).await;
    let kept = tempfile::tempdir().unwrap();
    copy_folder(&dir.path().join("segments"), kept.path());
    assert!(store.strip(Needed::Nothing, at_once(HEALTH)).await.unwrap());
    let gone = store.view().retention.payloads_gone;
    close(store);
    // All files of before, beside the one that is new.
    copy_folder(kept.path(), &dir.path().join("segments"));
    let offline = verify_offline(dir.path(), |_| ControlFlow::Continue(())).unwrap();
    assert!(offline.ok && offline.payloads_gone == gone, "{offline:?}");
    holds(dir.path(), gone).await;
}

#[tokio::test]
async fn the_file_from_before_stays_where_the_new_one_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let store = strand_in(dir.path(), Phase::CutOver).await;
    let first = segments(&store)[0].clone();
    let bytes = fs::read(first.path()).unwrap();
    assert!(store.strip(Needed::Nothing, at_once(HEALTH)).await.unwrap());
    let now = segments(&store)[0].clone();
    wait_until_unlinked(&store).await;
    close(store);
    fs::remove_file(now.path()).unwrap();
    fs::write(first.path(), bytes).unwrap();
    let store = opened(dir.path());
    assert!(first.path().exists());
    let found = verdict(&store);
    assert_eq!(found.broken_seq, Some(1), "{found:?}");
    store.close();
}

#[tokio::test]
async fn the_ledger_says_that_payloads_may_be_gone_before_one_is() {
    let dir = tempfile::tempdir().unwrap();
    let store = strand_in(dir.path(), Phase::CutOver).await;
    let format = || {
        let page = ledger::Ledger::read(dir.path()).page.unwrap();
        page.summary().unwrap().format
    };
    assert!(format() < format::Format::Stripped);
    assert!(store.strip(Needed::Nothing, at_once(HEALTH)).await.unwrap());
    assert_eq!(format(), format::Format::Stripped);
    store.close();
}

/// A strand of nothing but segments, as after a restore.
fn of_segments(dir: &Path) -> Store {
    Store::open(Options {
        from_segments: true,
        ..Options::new(dir)
    })
    .unwrap()
}

#[tokio::test]
async fn without_a_catalogue_the_file_from_before_counts_as_no_record_may_be_of_the_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let store = strand_in(dir.path(), Phase::CutOver).await;
    let (stripped, earlier) = (written(&store), segments(&store)[0].clone());
    close(store);
    let again = tempfile::tempdir().unwrap();
    copy_folder(dir.path(), again.path());
    for entry in fs::read_dir(again.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::remove_file(path).unwrap();
        } else if !path.ends_with("segments") {
            fs::remove_dir_all(path).unwrap();
        }
    }
    let store = of_segments(again.path());
    let name = |segment: &Segment| segment.meta.file_name();
    assert_eq!(name(&segments(&store)[0]), name(&earlier));
    assert!(!names(again.path()).contains(&name(&stripped.segment)));
    let whole = verdict(&store);
    assert!(whole.ok && whole.payloads_gone == 0, "{whole:?}");
    assert!(store.quarantined().is_empty());
    store.close();
}

#[tokio::test]
async fn a_segment_that_was_archived_without_payloads_is_found_under_the_name_that_a_restore_gives_it()
 {
    let dir = tempfile::tempdir().unwrap();
    let store = strand_in(dir.path(), Phase::CutOver).await;
    let kind = |seq| store.block(seq).unwrap().unwrap().header.record_type;
    let first = (1..100).find(|seq| kind(*seq) == HEALTH).unwrap();
    assert!(store.strip(Needed::Nothing, at_once(HEALTH)).await.unwrap());
    let gone = store.view().retention.payloads_gone;
    // The strand's record of it is to be sealed too.
    fill(&store, 0, 3_000).await;
    wait_until_sealed(&store).await;
    let again = tempfile::tempdir().unwrap();
    fs::create_dir(again.path().join("segments")).unwrap();
    for segment in segments(&store) {
        let name = format!("segments/{:020}.seg", segment.meta.first_seq());
        fs::copy(segment.path(), again.path().join(name)).unwrap();
    }
    close(store);
    for _ in 0..2 {
        let store = of_segments(again.path());
        let whole = verdict(&store);
        assert!(whole.ok && whole.payloads_gone == gone, "{whole:?}");
        assert!(store.block(first).unwrap().unwrap().is_gone());
        assert!(store.quarantined().is_empty());
        close(store);
    }
}
