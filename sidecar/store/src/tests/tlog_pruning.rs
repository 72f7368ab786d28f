//! What of the transparency log stays when blocks go.

use boboyka_tlog::proof::verify_consistency;
use boboyka_tlog::tile::{self, Entries, tiles};

use super::pruning::{EVERYTHING, strand_in};
use super::tlog::{begin, leaves, root_of, size_and_root};
use super::*;

#[tokio::test]
async fn after_pruning_every_proof_of_what_is_held_can_be_made_and_the_tile_that_the_floor_cuts_is_whole()
 {
    let dir = tempfile::tempdir().unwrap();
    let mut store = strand_in(dir.path(), Phase::DualWrite).await;
    begin(&store, None).await.unwrap();
    let before = store.view().head.seq;
    let mut all = leaves(&store, 1, before);
    let last_sealed = store.shared.state().memory().sealed();
    let straddling = store.block(last_sealed).unwrap().unwrap();
    store.prune(EVERYTHING, false).await.unwrap();
    fill(&store, 0, 300).await;
    let floor = store.view().floor.head.seq;
    assert!(floor > 0 && !floor.is_multiple_of(256));
    all.extend(leaves(&store, before + 1, store.view().head.seq));
    for restarted in [false, true] {
        if restarted {
            close(store);
            store = opened(dir.path());
            begin(&store, None).await.unwrap();
        }
        let (size, root) = size_and_root(&store);
        assert_eq!((size, root), (store.view().head.seq, root_of(&all)));
        let minimum = store.tlog_status().minimum_index;
        assert_eq!(minimum, floor / 256 * 256);
        for tile in tiles(size) {
            let found = store.tlog_tile(tile);
            if tile.level == 0 && (tile.index + 1) * 256 <= minimum {
                assert!(matches!(found, Err(TlogError::Pruned { .. })), "{tile}");
            } else {
                assert_eq!(found.unwrap().len(), usize::from(tile.width), "{tile}");
            }
        }
        for entries in tile::entries(size).filter(|entries| (entries.index + 1) * 256 > minimum) {
            let bytes = store.tlog_entries(entries).unwrap();
            assert_eq!(bytes.len(), 107 * usize::from(entries.width));
        }
        let proof = store
            .prove(&RecordName::Hash(straddling.hash))
            .unwrap()
            .unwrap();
        let by_seq = store.prove(&RecordName::Seq(straddling.header.seq));
        assert_eq!(by_seq.unwrap().unwrap().bundle, proof.bundle);
        proof
            .bundle
            .verify(all[usize::try_from(straddling.header.seq - 1).unwrap()])
            .unwrap();
        let root = |size: u64| root_of(&all[..usize::try_from(size).unwrap()]);
        for old in [256, 512, minimum, floor, floor + 1] {
            let proof = store.tlog_consistency(old, size).unwrap();
            verify_consistency((old, root(old)), (size, root(size)), &proof).unwrap();
        }
        let found = store.tlog_consistency(100, size);
        assert!(matches!(found, Err(TlogError::Pruned { .. })), "{found:?}");
    }
    store.close();
}

#[tokio::test]
async fn from_a_pinned_size_consistency_is_shown_after_any_pruning() {
    let dir = tempfile::tempdir().unwrap();
    let store = strand_in(dir.path(), Phase::DualWrite).await;
    begin(&store, None).await.unwrap();
    let root = store.tlog_root(100).unwrap();
    store.pin_tlog_size("witness.example/w1", 100).unwrap();
    for _ in 0..3 {
        store.prune(EVERYTHING, false).await.unwrap();
        fill(&store, 0, 800).await;
    }
    close(store);
    let store = opened(dir.path());
    begin(&store, None).await.unwrap();
    store.prune(EVERYTHING, false).await.unwrap();
    let (size, newest) = size_and_root(&store);
    assert!(store.view().floor.head.seq > 256);
    let proof = store.tlog_consistency(100, size).unwrap();
    verify_consistency((100, root), (size, newest), &proof).unwrap();
    // A pin that moves on lets go of what it kept.
    store.pin_tlog_size("witness.example/w1", size).unwrap();
    fill(&store, 0, 800).await;
    wait_for_segments(&store, 1).await;
    store.prune(EVERYTHING, false).await.unwrap();
    assert!(!store.shared.kept.tiles().contains(&0));
    store.close();
}

#[tokio::test]
async fn a_crash_before_the_unlink_of_pruned_segments_loses_no_entry_that_is_needed() {
    let dir = tempfile::tempdir().unwrap();
    let store = strand_in(dir.path(), Phase::DualWrite).await;
    begin(&store, None).await.unwrap();
    let segments = tempfile::tempdir().unwrap();
    copy_folder(&dir.path().join("segments"), segments.path());
    store.prune(EVERYTHING, false).await.unwrap();
    let (size, root) = size_and_root(&store);
    let minimum = store.tlog_status().minimum_index;
    close(store);
    // The floor was durable; neither were the entries kept nor a file unlinked.
    for tree in [true, false] {
        let crashed = tempfile::tempdir().unwrap();
        copy_folder(dir.path(), crashed.path());
        copy_folder(segments.path(), &crashed.path().join("segments"));
        fs::remove_dir_all(crashed.path().join("tlog/kept")).unwrap();
        if !tree {
            // The floor is what the file would have said, had it been made by now.
            let path = crashed.path().join("tlog/tree");
            fs::File::options()
                .write(true)
                .open(path)
                .unwrap()
                .set_len(40)
                .unwrap();
        }
        let store = opened(crashed.path());
        begin(&store, None).await.unwrap();
        assert_eq!(size_and_root(&store), (size, root));
        assert_eq!(store.tlog_status().minimum_index, minimum);
        let entries = Entries {
            index: minimum / 256,
            width: 1,
        };
        assert_eq!(store.tlog_entries(entries).unwrap().len(), 107);
        store.close();
    }
}

#[tokio::test]
async fn a_strand_that_is_pruned_beyond_what_was_signed_before_it_signs_again_keeps_its_origin() {
    for crash in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let store = opened(dir.path());
        fill(&store, 0, 100).await;
        begin(&store, None).await.unwrap();
        let signed = size_and_root(&store);
        close(store);
        // A process that never gets to sign, as long as it does not know whose volume it is on.
        let store = filled(dir.path(), 1_300, 2).await;
        let segments = tempfile::tempdir().unwrap();
        copy_folder(&dir.path().join("segments"), segments.path());
        store.prune(EVERYTHING, false).await.unwrap();
        assert!(store.view().floor.head.seq > 256);
        close(store);
        if crash {
            copy_folder(segments.path(), &dir.path().join("segments"));
            fs::remove_dir_all(dir.path().join("tlog/kept")).unwrap();
        }
        let store = opened(dir.path());
        begin(&store, None).await.unwrap();
        let now = store.checkpoint().unwrap();
        assert_eq!(now.incarnation, 1, "{crash}");
        let (size, root) = (now.checkpoint.size(), now.checkpoint.root());
        let proof = store.tlog_consistency(signed.0, size).unwrap();
        verify_consistency(signed, (size, root), &proof).unwrap();
        store.close();
    }
}
