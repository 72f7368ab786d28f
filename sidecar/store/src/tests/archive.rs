//! What an archive sees of a strand, and what it keeps from pruning.

use boboyka_strand::Head;
use boboyka_strand::retention::{Blocker, PayloadAges};
use boboyka_tlog::key::Kind;
use boboyka_tlog::{Checkpoint, Note, SigningKey, TreeHash};

use super::pruning::{EVERYTHING, ends, strand_in};
use super::stripping::segments;
use super::tlog::{begin, incarnations, origin};
use super::*;
use crate::archive::{ArchiveNeed, check_sealed, sealed, sealed_identity};
use crate::incarnation;
use crate::retention::Needed;
use crate::segment::Segment;

fn need(archived: Seq, after_ms: u64) -> ArchiveNeed {
    ArchiveNeed { archived, after_ms }
}

#[tokio::test]
async fn what_the_archive_does_not_hold_stays_and_the_archive_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let store = strand_in(dir.path(), Phase::CutOver).await;
    let ends = ends(&store);
    store.keep_for_archive(Some(need(0, 1 << 40)));
    store.prune(EVERYTHING, false).await.unwrap();
    assert_eq!(store.view().floor.head.seq, 0);
    assert_eq!(store.view().retention.blocked_by, Some(Blocker::Archive));

    store.keep_for_archive(Some(need(ends[1], 1 << 40)));
    store.prune(EVERYTHING, false).await.unwrap();
    assert_eq!(store.view().floor.head.seq, ends[1]);
    assert_eq!(store.view().retention.blocked_by, Some(Blocker::Archive));

    store.keep_for_archive(None);
    store.prune(EVERYTHING, false).await.unwrap();
    assert!(store.view().floor.head.seq >= ends[3]);
    assert_eq!(store.view().retention.blocked_by, None);
}

#[tokio::test]
async fn a_payload_goes_only_once_the_archive_holds_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = strand_in(dir.path(), Phase::CutOver).await;
    let mut ages = PayloadAges::default();
    ages[RecordType::AgentHealth] = Some(0);
    let before = store.sealed_after(0);
    store.keep_for_archive(Some(need(0, 1 << 40)));
    assert!(!store.strip(Needed::Nothing, ages).await.unwrap());
    assert_eq!(store.sealed_after(0), before);
    let blocked_by = store.view().retention.payloads_blocked_by;
    assert_eq!(blocked_by, Some(Blocker::Archive));

    store.keep_for_archive(Some(need(before[0].last, 1 << 40)));
    while store.strip(Needed::Nothing, ages).await.unwrap() {}
    let after = store.sealed_after(0);
    assert!(after[0].is_stripped && after[0].digest != before[0].digest);
    assert_eq!(after[0].head, before[0].head);
    assert_eq!(after[1..], before[1..]);
}

#[tokio::test]
async fn with_an_archive_an_idle_strands_tail_is_sealed_in_time() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(Options::new(dir.path())).unwrap();
    fill(&store, 0, 20).await;
    store.keep_for_archive(Some(need(0, 0)));
    let begun = std::time::Instant::now();
    while store.sealed_after(0).is_empty() {
        assert!(begun.elapsed() < GUARD, "{:?}", store.view().footprint);
        store.prune(Policy::default(), false).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let sealed = store.sealed_after(0);
    assert_eq!((sealed[0].first, sealed[0].last), (1, 20));
    assert_eq!(store.sealed_after(20), []);
}

#[tokio::test]
async fn a_segment_is_as_old_as_its_sealing_when_its_blocks_are_ahead_of_the_clock() {
    let dir = tempfile::tempdir().unwrap();
    let store = strand_in(dir.path(), Phase::DualWrite).await;
    let mut segment = segments(&store).remove(0);
    let newest = segment.meta.head.hlc;
    let ages = |segment: &Segment| (sealed(segment).oldest_ms, segment.meta.appended_ms(newest));
    let (oldest_ms, newest_ms) = ages(&segment);
    assert!(oldest_ms <= newest_ms && newest_ms == newest.ms());
    segment.meta.sealed_at_ms = 2_000;
    assert_eq!(ages(&segment), (2_000, 2_000));
}

#[tokio::test]
async fn a_segment_leaves_the_strand_whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let store = strand_in(dir.path(), Phase::DualWrite).await;
    let mut before = Head::EMPTY;
    for sealed in store.sealed_after(0) {
        let bytes = store.sealed_file(sealed.first).unwrap().unwrap();
        assert_eq!(bytes.len() as u64, sealed.bytes);
        let identity = sealed_identity(&bytes);
        assert_eq!(identity, Some((sealed.digest, sealed.head)));
        let path = dir.path().join("copy");
        fs::write(&path, &bytes).unwrap();
        let (strand, head, digest) = check_sealed(&path, before).unwrap();
        assert_eq!((strand, digest), (store.strand_id(), sealed.digest));
        assert_eq!(head.seq, sealed.last);
        let wrong = check_sealed(&path, head).unwrap_err();
        assert!(wrong.contains("does not follow"), "{wrong}");
        before = head;
    }
    assert_eq!(store.sealed_file(2).unwrap(), None);

    let first = store.sealed_after(0)[0];
    let path = dir.path().join("segments").join(format!("{:020}.seg", 1));
    let mut bytes = fs::read(&path).unwrap();
    bytes[100] ^= 1;
    assert_eq!(sealed_identity(&bytes), None);
    fs::write(&path, &bytes).unwrap();
    assert!(store.sealed_file(first.first).is_err());
}

#[tokio::test]
async fn the_log_of_a_strand_made_of_segments_alone_goes_on_as_the_next_incarnation() {
    let dir = tempfile::tempdir().unwrap();
    let store = strand_in(dir.path(), Phase::DualWrite).await;
    begin(&store, None).await.unwrap();
    let head = store.view().head.seq;
    let last = store.publish_checkpoint(head).unwrap();
    let (strand, old) = (store.strand_id(), origin(&store));
    let sealed = store.sealed_after(0);
    let end = sealed.last().unwrap().last;
    close(store);

    let again = tempfile::tempdir().unwrap();
    fs::create_dir(again.path().join("segments")).unwrap();
    for one in &sealed {
        let name = format!("segments/{:020}.seg", one.first);
        fs::copy(dir.path().join(&name), again.path().join(&name)).unwrap();
    }
    let store = Store::open(Options {
        from_segments: true,
        ..Options::new(again.path())
    })
    .unwrap();
    assert_eq!((store.strand_id(), store.view().head.seq), (strand, end));
    let number = go_on_restored(&store, &last.note, None).await;
    assert_eq!(number.unwrap(), 2);
    close(store);

    let store = opened(again.path());
    begin(&store, None).await.unwrap();
    assert_ne!(origin(&store), old);
    assert!(origin(&store).ends_with("/2"), "{}", origin(&store));
    let told = incarnations(&store);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["metadata"]["old_origin"], old);
    assert_eq!((store.gaps(), store.quarantined()), (vec![], vec![]));
    assert!(verdict(&store).ok, "{:?}", verdict(&store));
}

#[tokio::test]
async fn a_strand_is_rebuilt_of_segments_that_had_lost_payloads_before_they_were_archived() {
    let dir = tempfile::tempdir().unwrap();
    let store = strand_in(dir.path(), Phase::CutOver).await;
    let mut ages = PayloadAges::default();
    ages[RecordType::AgentHealth] = Some(0);
    while store.strip(Needed::Nothing, ages).await.unwrap() {}
    let sealed = store.sealed_after(0);
    assert!(sealed[0].is_stripped);
    let again = tempfile::tempdir().unwrap();
    fs::create_dir(again.path().join("segments")).unwrap();
    for one in &sealed {
        let path = again.path().join(format!("segments/{:020}.seg", one.first));
        fs::write(path, store.sealed_file(one.first).unwrap().unwrap()).unwrap();
    }
    close(store);
    let end = sealed.last().unwrap().last;
    for from_segments in [true, false] {
        let store = Store::open(Options {
            from_segments,
            ..Options::new(again.path())
        })
        .unwrap();
        assert_eq!(store.view().head.seq, end);
        for seq in 1..=end {
            assert!(store.block(seq).unwrap().is_some(), "{seq}");
        }
        assert_eq!(store.sealed_after(0), sealed);
        close(store);
    }
}

async fn go_on_restored(
    store: &Store,
    last: &Note,
    archived: Option<&Note>,
) -> Result<u64, TlogError> {
    let (store, last, archived) = (store.clone(), last.clone(), archived.cloned());
    let gone_on =
        tokio::task::spawn_blocking(move || store.go_on_restored(&last, archived.as_ref()));
    gone_on.await.unwrap()
}

#[tokio::test]
async fn a_restored_log_takes_no_origin_that_the_strand_or_its_archive_tells_of() {
    let dir = tempfile::tempdir().unwrap();
    let store = strand_in(dir.path(), Phase::DualWrite).await;
    let checkpoint = |number: u64| {
        let (origin, root) = (
            incarnation::origin(store.strand_id(), number),
            TreeHash::EMPTY,
        );
        let checkpoint = Checkpoint::new(origin.clone(), 0, root).unwrap();
        checkpoint.sign(&SigningKey::from_seed(&origin, Kind::Log, [1; 32]).unwrap())
    };
    let (first, fifth) = (checkpoint(1), checkpoint(5));
    assert_eq!(
        go_on_restored(&store, &first, Some(&fifth)).await.unwrap(),
        6
    );
    // That one is recorded.
    assert_eq!(go_on_restored(&store, &first, None).await.unwrap(), 7);
    let last = go_on_restored(&store, &checkpoint(u64::MAX), None).await;
    assert!(last.is_err());
    close(store.clone());
}

#[test]
fn a_folder_with_an_unfinished_restore_is_not_opened() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join(UNFINISHED_RESTORE)).unwrap();
    let refused = Store::open(Options::new(dir.path()));
    assert!(matches!(refused, Err(OpenError::Unrestored { .. })));
}
