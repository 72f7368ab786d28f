//! Stripping: which payloads go, and that everything else stays and is told.

use std::sync::Arc;

use boboyka_strand::record::text_field;
use boboyka_strand::retention::{Blocker, PayloadAges};
use boboyka_tlog::proof::verify_consistency;

use super::pruning::{EVERYTHING, mirror_all_to, strand_in};
use super::tlog::{begin, size_and_root};
use super::*;
use crate::segment::Segment;

pub(super) const HEALTH: RecordType = RecordType::AgentHealth;

/// Every payload of a type may go.
pub(super) fn at_once(kind: RecordType) -> PayloadAges {
    let mut ages = PayloadAges::default();
    ages[kind] = Some(0);
    ages
}

/// Lets go what may go.
pub(super) async fn strip_all(store: &Store, needed: Needed, ages: PayloadAges) {
    let all = async { while store.strip(needed, ages).await.unwrap() {} };
    let done = tokio::time::timeout(GUARD, all).await;
    assert!(done.is_ok(), "{:?}", store.view().retention);
}

pub(super) fn segments(store: &Store) -> Vec<Segment> {
    let state = store.shared.state();
    let segments = state.memory().segments().iter();
    segments.map(|segment| Segment::clone(segment)).collect()
}

/// All blocks that lie in segments.
fn sealed(store: &Store) -> Vec<Block> {
    let last = segments(store).last().unwrap().meta.head.seq;
    (1..=last)
        .map(|seq| store.block(seq).unwrap().unwrap())
        .collect()
}

/// Waits until the files in whose place others came are unlinked.
pub(super) async fn wait_until_unlinked(store: &Store) {
    let gone = async {
        let mut changes = store.watch_view();
        while store.shared.state().has_replaced() {
            changes.changed().await.unwrap();
        }
    };
    assert!(tokio::time::timeout(GUARD, gone).await.is_ok());
}

#[tokio::test]
async fn payloads_of_a_type_go_and_headers_chain_and_log_stay_as_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let store = strand_in(dir.path(), Phase::CutOver).await;
    begin(&store, None).await.unwrap();
    let (before, first) = (sealed(&store), size_and_root(&store));
    let head = store.view().head.seq;
    strip_all(&store, Needed::Nothing, at_once(HEALTH)).await;
    let is_gone = |block: &Block| block.header.record_type == HEALTH;
    assert!(before.iter().filter(|block| is_gone(block)).count() > 500);
    let check = |store: &Store| {
        for (now, then) in sealed(store).iter().zip(&before) {
            assert_eq!((now.header, now.hash), (then.header, then.hash));
            assert_eq!(now.is_gone(), is_gone(then), "{:?}", now.header);
            assert!(now.is_gone() || now.payload == then.payload);
            assert_eq!(store.block_by_hash(&then.hash).unwrap().as_ref(), Some(now));
        }
        let whole = verdict(store);
        assert!(whole.ok, "{whole:?}");
        // What was sealed meanwhile may have gone too.
        let gone = sealed(store).iter().filter(|block| block.is_gone()).count() as u64;
        let told = (whole.payloads_gone, store.view().retention.payloads_gone);
        assert_eq!(told, (gone, gone));
        gone
    };
    check(&store);
    // The strand says what went, a record for each segment.
    let told = store.page(&PageQuery {
        record_type: Some(RecordType::AuditLog),
        limit: segments(&store).len(),
        ..PageQuery::default()
    });
    assert!(
        told.blocks
            .iter()
            .all(|block| block.header.seq > head && strip::is_record(block))
    );
    let proof = store.prove(&RecordName::Seq(2)).unwrap().unwrap();
    assert_eq!(proof.seq, before[1].header.seq);
    let (size, root) = size_and_root(&store);
    let proof = store.tlog_consistency(first.0, size).unwrap();
    verify_consistency(first, (size, root), &proof).unwrap();
    wait_until_unlinked(&store).await;
    close(store);
    let files = fs::read_dir(dir.path().join("segments")).unwrap().count();
    let store = opened(dir.path());
    assert_eq!(files, segments(&store).len());
    let went = check(&store);
    assert!(store.quarantined().is_empty());
    fill(&store, 0, 700).await;
    assert!(verdict(&store).ok);
    close(store);
    let offline = verify_offline(dir.path(), |_| ControlFlow::Continue(())).unwrap();
    assert!(offline.ok && offline.payloads_gone == went, "{offline:?}");
}

#[tokio::test]
async fn records_of_the_strand_itself_keep_their_payloads_and_an_idle_strand_comes_to_rest() {
    let dir = tempfile::tempdir().unwrap();
    let store = strand_in(dir.path(), Phase::CutOver).await;
    let ages = PerType::from_fn(|kind: RecordType| kind.table().map(|_| 0));
    strip_all(&store, Needed::Nothing, ages).await;
    let kept: Vec<_> = sealed(&store)
        .into_iter()
        .filter(|block| !block.is_gone())
        .collect();
    assert!(
        kept.iter()
            .all(|block| { text_field(&block.payload, "agent_id") == Some("boboyka_sidecar") })
    );
    assert_eq!(kept.len(), 1, "the change of phase");
    let head = store.view().head;
    strip_all(&store, Needed::Nothing, ages).await;
    assert_eq!(store.view().head, head);
    // And what two types lost in turn is bound too.
    assert!(verdict(&store).ok);
    store.close();
}

#[tokio::test]
async fn a_key_still_gives_its_first_receipt_when_its_payload_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path());
    let first = store.append(vec![keyed(2, "k")]).await.unwrap()[0].unwrap();
    fill(&store, 0, 2_000).await;
    wait_for_segments(&store, 2).await;
    strip_all(&store, Needed::Nothing, at_once(HEALTH)).await;
    assert!(store.block(1).unwrap().unwrap().is_gone());
    close(store);
    let store = opened(dir.path());
    let again = store.append(vec![keyed(2, "k")]).await.unwrap()[0].unwrap();
    assert_eq!((again.seq, again.hash), (first.seq, first.hash));
    assert!(again.replayed);
    let other = store.append(vec![keyed(3, "k")]).await.unwrap()[0];
    assert!(other.is_err(), "{other:?}");
    store.close();
}

#[tokio::test]
async fn under_a_legal_hold_no_payload_goes() {
    let dir = tempfile::tempdir().unwrap();
    let store = strand_in(dir.path(), Phase::CutOver).await;
    store.hold(true);
    assert!(!store.strip(Needed::Nothing, at_once(HEALTH)).await.unwrap());
    let status = store.view().retention;
    assert_eq!(status.payloads_blocked_by, Some(Blocker::LegalHold));
    assert_eq!(status.payloads_gone, 0);
    store.hold(false);
    strip_all(&store, Needed::Nothing, at_once(HEALTH)).await;
    assert!(store.view().retention.payloads_gone > 0);
    store.close();
}

#[tokio::test]
async fn a_payload_stays_until_its_own_lane_has_settled_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = strand_in(dir.path(), Phase::DualWrite).await;
    strip_all(&store, Needed::Owed, at_once(HEALTH)).await;
    let status = store.view().retention;
    assert_eq!(status.payloads_blocked_by, Some(Blocker::Lane(HEALTH)));
    assert_eq!(status.payloads_gone, 0);
    // The other lane may be behind.
    let head = store.view().head.seq;
    let read = store.read_lane(HEALTH, 0, usize::MAX, usize::MAX).unwrap();
    let mark = Mark {
        seq: head,
        mirrored: read.blocks.len() as u64,
        dead_lettered: 0,
    };
    store.advance(HEALTH, mark, vec![]).await.unwrap();
    strip_all(&store, Needed::Owed, at_once(HEALTH)).await;
    let status = store.view().retention;
    assert!(status.payloads_gone > 0);
    assert_eq!(status.payloads_blocked_by, None);
    store.close();
}

#[tokio::test]
async fn a_dead_letter_keeps_its_payload() {
    let dir = tempfile::tempdir().unwrap();
    let store = strand_in(dir.path(), Phase::DualWrite).await;
    let first = store.read_lane(HEALTH, 0, 1, usize::MAX).unwrap().blocks[0].clone();
    let head = store.view().head.seq;
    mirror_all_to(&store, head).await;
    let mark = Mark {
        dead_lettered: 1,
        ..store.view().marks[HEALTH]
    };
    let letter = dead_letter(HEALTH, first.header.seq);
    store.advance(HEALTH, mark, vec![letter]).await.unwrap();
    strip_all(&store, Needed::Owed, at_once(HEALTH)).await;
    let status = store.view().retention;
    assert_eq!(
        status.payloads_blocked_by,
        Some(Blocker::DeadLetters(HEALTH))
    );
    assert_eq!(status.payloads_gone, 0);
    store.close();
}

#[tokio::test]
async fn a_lane_that_comes_later_passes_what_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let store = strand_in(dir.path(), Phase::DualWrite).await;
    strip_all(&store, Needed::Nothing, at_once(HEALTH)).await;
    let (mut after, mut gone, mut found) = (0, 0, 0);
    while after < store.view().head.seq {
        let read = store.read_lane(HEALTH, after, 100, usize::MAX).unwrap();
        assert!(read.gone.is_empty() || read.blocks.is_empty());
        assert!(read.gone.len() + read.blocks.len() <= 100);
        (gone, found) = (
            gone + read.gone.len() as u64,
            found + read.blocks.len() as u64,
        );
        after = read.scanned_to;
    }
    assert_eq!(gone, store.view().retention.payloads_gone);
    assert_eq!(gone + found, store.view().counts[HEALTH]);
    store.close();
}

#[tokio::test]
async fn what_lost_its_payload_is_pruned_whole_like_everything_else() {
    let dir = tempfile::tempdir().unwrap();
    let store = strand_in(dir.path(), Phase::CutOver).await;
    let first = store.block(2).unwrap().unwrap();
    strip_all(&store, Needed::Nothing, at_once(HEALTH)).await;
    let end = segments(&store).last().unwrap().meta.head;
    store.prune(EVERYTHING, false).await.unwrap();
    wait_until_unlinked(&store).await;
    assert_eq!(store.view().floor.head, end);
    assert_eq!(store.view().retention.payloads_gone, 0);
    let found = store.block_by_hash(&first.hash);
    assert!(matches!(found, Err(ReadError::Pruned { .. })), "{found:?}");
    assert!(verdict(&store).ok);
    let files: Vec<_> = fs::read_dir(dir.path().join("segments")).unwrap().collect();
    assert_eq!(files.len(), segments(&store).len(), "{files:?}");
    store.close();
}

#[tokio::test]
async fn the_state_of_a_key_says_that_its_payload_is_gone_also_when_version_files_are_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = strand_in(dir.path(), Phase::CutOver).await;
    strip_all(&store, Needed::Nothing, at_once(HEALTH)).await;
    let check = async |store: &Store| {
        let state = async {
            loop {
                match store.newest_version(HEALTH, "a40", &store.view().head) {
                    Err(ReadError::NotReady { .. }) => tokio::task::yield_now().await,
                    found => return found.unwrap(),
                }
            }
        };
        let (version, missing) = tokio::time::timeout(GUARD, state).await.unwrap();
        assert!(missing.is_empty(), "{missing:?}");
        assert!(version.unwrap().block.is_gone());
    };
    check(&store).await;
    close(store);
    fs::remove_dir_all(dir.path().join("versions")).unwrap();
    let store = opened(dir.path());
    check(&store).await;
    store.close();
}

#[tokio::test]
async fn payloads_that_something_else_removed_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let store = strand_in(dir.path(), Phase::CutOver).await;
    let segment = Arc::clone(&store.shared.state().memory().segments()[1]);
    let task = strip::StripTask {
        segment,
        types: at_once(HEALTH).map(|_, age| age.is_some()),
        needed: Needed::Nothing,
        turn: Arc::default(),
    };
    let stripped = strip::strip(&task, &store.shared.segments_folder);
    let stripped = stripped.unwrap().unwrap();
    let first = stripped.segment.meta.first_seq();
    store
        .shared
        .change(|state| state.strip(stripped.segment.into()));
    let found = verdict(&store);
    assert!(!found.ok && found.broken_seq == Some(first), "{found:?}");
    assert!(found.reason.unwrap().contains("has no record of that"));
    store.close();
}
