//! A segment that the disk changed: what verifies is read, and nothing is taken for absent that may be there.

use super::pruning::strand_in;
use super::stripping::{HEALTH, at_once};
use super::*;
use crate::error::causes;
use crate::segment::Segment;

/// Flips a bit in the first segment's file, `offset` bytes behind the place that `place` tells.
fn flip_in_segment(dir: &Path, store: &Store, place: impl Fn(&Segment) -> u64) {
    let segment = store.shared.state().memory().segments()[0].clone();
    let path = dir
        .join("segments")
        .join(segment.path().file_name().unwrap());
    let mut bytes = fs::read(&path).unwrap();
    bytes[usize::try_from(place(&segment)).unwrap()] ^= 1;
    fs::write(path, bytes).unwrap();
}

async fn keyed_strand(dir: &Path) -> (Store, Vec<Appended>) {
    let store = opened(dir);
    let records = (0..600).map(|n| keyed(n, &format!("k{n}")));
    let appended = store.append(records.collect()).await.unwrap();
    wait_for_segments(&store, 1).await;
    close(store);
    let appended = appended.into_iter().map(Result::unwrap);
    (opened(dir), appended.collect())
}

#[tokio::test]
async fn a_flipped_bit_anywhere_in_a_hash_index_hides_no_record() {
    for place in [0, 4, 1_800, 3_594] {
        let dir = tempfile::tempdir().unwrap();
        let (store, appended) = keyed_strand(dir.path()).await;
        flip_in_segment(dir.path(), &store, |segment| {
            segment.meta.frames_end + place
        });
        for receipt in &appended {
            let block = store.block_by_hash(&receipt.hash).unwrap().unwrap();
            assert_eq!(block.header.seq, receipt.seq);
        }
        assert_eq!(store.block_by_hash(&Hash::ZERO).unwrap(), None);
        // No record was altered, and a check does not say so.
        let found = verdict(&store);
        let reason = found.reason.unwrap();
        assert!(
            !found.ok && reason.contains("hash index is damaged"),
            "{reason}"
        );
        store.close();
    }
}

#[tokio::test]
async fn a_flipped_bit_in_a_key_index_or_its_filter_appends_nothing_twice() {
    for (place, filter) in [
        (0, false),
        (3_000, false),
        (7_199, false),
        (0, true),
        (700, true),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let (store, appended) = keyed_strand(dir.path()).await;
        flip_in_segment(dir.path(), &store, |segment| {
            let keys = segment.meta.frames_end + segment.meta.len() * 6;
            place
                + if filter {
                    keys + u64::from(segment.meta.keys) * 12
                } else {
                    keys
                }
        });
        close(store);
        let store = opened(dir.path());
        let head = store.view().head;
        for n in (0..600).step_by(7) {
            let again = store
                .append(vec![keyed(n, &format!("k{n}"))])
                .await
                .unwrap();
            let first = &appended[usize::try_from(n).unwrap()];
            match again[0] {
                Ok(receipt) => assert_eq!((receipt.seq, receipt.replayed), (first.seq, true)),
                Err(conflict) => assert_eq!(conflict, KeyConflict::Unreadable),
            }
        }
        assert_eq!(store.view().head, head);
        store.close();
    }
}

/// Bytes of a trailer, which stands behind the footer.
const TRAILER: u64 = 48;

#[tokio::test]
async fn a_segment_without_its_footer_is_read_by_its_frames_and_told_as_damaged() {
    // Counts, times and places of the last frames.
    for back in (1..100).step_by(9) {
        let dir = tempfile::tempdir().unwrap();
        let (store, appended) = keyed_strand(dir.path()).await;
        flip_in_segment(dir.path(), &store, |segment| {
            segment.file_len - TRAILER - back
        });
        for receipt in appended.iter().step_by(80) {
            let block = store.block(receipt.seq).unwrap().unwrap();
            assert_eq!(block.hash, receipt.hash);
        }
        let page = store.page(&everything(&store));
        assert_eq!(page.blocks.len() as u64, store.view().head.seq);
        let lane = RecordType::AuditLog;
        let read = store.read_lane(lane, 0, 10_000, usize::MAX).unwrap();
        assert_eq!(read.blocks.len() as u64, store.view().counts[lane]);
        let found = verdict(&store);
        let reason = found.reason.unwrap();
        assert!(!found.ok && reason.contains("digest differs"), "{reason}");
        // With a frame that does not hold either, no record of it is taken for absent.
        flip_in_segment(dir.path(), &store, |_| 500);
        assert!(store.block(1).is_err());
        store.close();
    }
}

#[tokio::test]
async fn a_damaged_frame_hides_no_record_of_another_one_from_a_search_without_index() {
    let dir = tempfile::tempdir().unwrap();
    let (store, appended) = keyed_strand(dir.path()).await;
    flip_in_segment(dir.path(), &store, |segment| segment.meta.frames_end);
    flip_in_segment(dir.path(), &store, |_| 500);
    let damaged = |receipt: &&Appended| store.block(receipt.seq).is_err();
    let lost = appended.iter().filter(damaged).count();
    assert_eq!(lost, 256, "the first frame");
    for receipt in &appended {
        let found = store.block_by_hash(&receipt.hash);
        assert_eq!(found.is_err(), damaged(&receipt), "{found:?}");
    }
    assert!(store.block_by_hash(&Hash::ZERO).is_err());
    store.close();
}

#[tokio::test]
async fn a_flipped_bit_in_the_keys_of_versions_without_payload_gives_no_other_key_a_version() {
    let dir = tempfile::tempdir().unwrap();
    let store = strand_in(dir.path(), Phase::CutOver).await;
    assert!(store.strip(Needed::Nothing, at_once(HEALTH)).await.unwrap());
    let first = || Segment::clone(&store.shared.state().memory().segments()[0]);
    assert!(!first().gone_keys().unwrap().is_empty());
    flip_in_segment(dir.path(), &store, |segment| {
        segment.meta.gone_keys_at() + 5
    });
    let error = first().gone_keys().unwrap_err();
    assert!(causes(&error).contains("digest"), "{error}");
    store.close();
}
