//! The transparency log of a strand: its tree, its tiles, its proofs, its checkpoints.

use boboyka_tlog::proof::{verify_consistency, verify_inclusion};
use boboyka_tlog::tile::{self, Entries, tiles};
use boboyka_tlog::{CompactRange, Note, Tile, TreeHash, VerifierKey};

use super::*;

/// The leaf hashes of a range of seqs, from the blocks; a seq without a block has the empty entry.
pub(super) fn leaves(store: &Store, first: Seq, last: Seq) -> Vec<TreeHash> {
    let leaf = |seq| match store.block(seq) {
        Ok(Some(block)) => TreeHash::of_leaf(&block.header.encode()),
        _ => TreeHash::of_leaf(b""),
    };
    (first..=last).map(leaf).collect()
}

pub(super) fn root_of(leaves: &[TreeHash]) -> TreeHash {
    let mut range = CompactRange::new();
    range.extend(leaves.iter().copied());
    range.root()
}

/// Begins the transparency log with the strand's own key, from a thread that may block.
pub(super) async fn begin(store: &Store, claim: Option<&'static str>) -> Result<(), TlogError> {
    let store = store.clone();
    let begun = tokio::task::spawn_blocking(move || store.begin_tlog(&TlogKey::Own, claim, &[]));
    begun.await.unwrap()
}

pub(super) fn size_and_root(store: &Store) -> (u64, TreeHash) {
    let published = store.publish_checkpoint(store.view().head.seq).unwrap();
    (published.checkpoint.size(), published.checkpoint.root())
}

pub(super) fn origin(store: &Store) -> String {
    store.checkpoint().unwrap().checkpoint.origin().to_owned()
}

/// What the strand's records of new incarnations say, oldest first.
pub(super) fn incarnations(store: &Store) -> Vec<serde_json::Value> {
    let mut blocks = store.page(&everything(store)).blocks;
    blocks.reverse();
    let data = blocks
        .iter()
        .map(|block| serde_json::to_value(boboyka_strand::PayloadJson(&block.payload)).unwrap());
    data.filter(|data| data["event"] == "log_incarnation")
        .collect()
}

#[tokio::test]
async fn every_record_is_proven_under_a_signed_checkpoint_wherever_it_lies() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = filled(dir.path(), 1_500, 2).await;
    begin(&store, None).await.unwrap();
    for restarted in [false, true] {
        if restarted {
            close(store);
            store = opened(dir.path());
            begin(&store, None).await.unwrap();
        }
        let head = store.view().head.seq;
        let all = leaves(&store, 1, head);
        assert_eq!(size_and_root(&store), (head, root_of(&all)));
        for seq in (1..=head).step_by(37).chain([256, 257, head]) {
            let block = store.block(seq).unwrap().unwrap();
            let proof = store.prove(&RecordName::Hash(block.hash)).unwrap().unwrap();
            assert_eq!(proof.bundle.extra, Some(block.header.encode().to_vec()));
            let leaf = all[usize::try_from(seq - 1).unwrap()];
            let checkpoint = proof.bundle.verify(leaf).unwrap();
            let vkey: VerifierKey = store.checkpoint().unwrap().vkey.parse().unwrap();
            let signed = proof.bundle.checkpoint.verify(&[vkey]).unwrap();
            assert_eq!((signed.len(), checkpoint.size()), (1, head));
        }
    }
    store.close();
}

#[tokio::test]
async fn tiles_and_bundles_of_every_size_are_those_of_the_headers() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path(), 1_300, 2).await;
    let head = store.view().head.seq;
    let all = leaves(&store, 1, head);
    for size in [1, 255, 256, 257, 600, 1_024, head] {
        for tile in tiles(size).filter(|tile| tile.level == 0) {
            let first = usize::try_from(tile.index * 256).unwrap();
            let expected = &all[first..first + usize::from(tile.width)];
            assert_eq!(store.tlog_tile(tile).unwrap(), expected, "{tile}");
        }
        for tile in tiles(size).filter(|tile| tile.level == 1) {
            let roots = all.chunks(256).take(usize::from(tile.width)).map(root_of);
            assert_eq!(
                store.tlog_tile(tile).unwrap(),
                roots.collect::<Vec<_>>(),
                "{tile}"
            );
        }
        for entries in tile::entries(size) {
            let bytes = store.tlog_entries(entries).unwrap();
            assert_eq!(bytes.len(), 107 * usize::from(entries.width));
            let (entry, _) = bytes.split_at(107);
            assert_eq!(entry[..2], [0, 105]);
            let first = usize::try_from(entries.index * 256).unwrap();
            assert_eq!(TreeHash::of_leaf(&entry[2..]), all[first]);
        }
    }
    let beyond = Tile::at(0, 0, 256)
        .map(|tile| Tile {
            index: head / 256,
            ..tile
        })
        .unwrap();
    let found = store.tlog_tile(beyond);
    assert!(
        matches!(found, Err(TlogError::Absent { size }) if size == head),
        "{found:?}"
    );
    let beyond = Entries {
        index: head,
        width: 1,
    };
    assert!(matches!(
        store.tlog_entries(beyond),
        Err(TlogError::Absent { .. })
    ));
    store.close();
}

#[tokio::test]
async fn a_tree_of_one_size_is_shown_to_begin_with_the_tree_of_any_smaller_one() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path(), 1_000, 1).await;
    let head = store.view().head.seq;
    let all = leaves(&store, 1, head);
    let root = |size: u64| root_of(&all[..usize::try_from(size).unwrap()]);
    for (old, new) in [
        (0, 5),
        (1, 2),
        (255, 256),
        (256, 700),
        (300, 301),
        (700, head),
        (head, head),
    ] {
        assert_eq!(store.tlog_root(new).unwrap(), root(new));
        let proof = store.tlog_consistency(old, new).unwrap();
        verify_consistency((old, root(old)), (new, root(new)), &proof).unwrap();
    }
    assert!(matches!(
        store.tlog_consistency(7, 3),
        Err(TlogError::Proof(_))
    ));
    assert!(matches!(
        store.tlog_consistency(7, head + 1),
        Err(TlogError::Absent { .. })
    ));
    store.close();
}

#[tokio::test]
async fn nothing_is_signed_before_the_tlog_has_begun_and_nothing_twice_for_one_size() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path());
    assert!(matches!(
        store.publish_checkpoint(0),
        Err(TlogError::NotBegun)
    ));
    begin(&store, None).await.unwrap();
    let empty = store.checkpoint().unwrap();
    assert_eq!((empty.checkpoint.size(), empty.incarnation), (0, 1));
    fill(&store, 0, 3).await;
    let first = store.publish_checkpoint(2).unwrap();
    assert_eq!(first.checkpoint.size(), 3);
    let again = store.publish_checkpoint(3).unwrap();
    assert_eq!(again.note, first.note);
    assert!(matches!(
        store.publish_checkpoint(4),
        Err(TlogError::Absent { size: 3 })
    ));
    let text = fs::read_to_string(dir.path().join("tlog/checkpoint")).unwrap();
    assert_eq!(text.parse::<Note>().unwrap(), first.note);
    store.close();
}

#[tokio::test]
async fn the_key_is_made_once_and_is_nobodys_to_read_and_one_that_is_given_signs_instead() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path(), 10, 0).await;
    begin(&store, None).await.unwrap();
    let path = dir.path().join("tlog/key");
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let (size, root) = size_and_root(&store);
    let (vkey, before) = (store.checkpoint().unwrap().vkey.clone(), origin(&store));
    close(store);

    let store = opened(dir.path());
    begin(&store, None).await.unwrap();
    assert_eq!(store.checkpoint().unwrap().vkey, vkey);
    close(store);

    let store = opened(dir.path());
    let given = dir.path().join("given");
    fs::write(&given, "PRIVATE+KEY+any.example+0+AQ==").unwrap();
    let wrong = TlogKey::read(&given).unwrap_err().to_string();
    assert!(
        wrong.contains("given is wrong") && !wrong.contains("AQ=="),
        "{wrong}"
    );
    let key =
        boboyka_tlog::SigningKey::from_seed("any.example", boboyka_tlog::key::Kind::Log, [7; 32]);
    fs::write(&given, key.unwrap().to_secret_text()).unwrap();
    let (other, key) = (store.clone(), TlogKey::read(&given).unwrap());
    let begun = tokio::task::spawn_blocking(move || other.begin_tlog(&key, None, &[]));
    begun.await.unwrap().unwrap();
    let now = store.checkpoint().unwrap();
    assert_eq!((now.checkpoint.size(), now.checkpoint.root()), (size, root));
    assert_eq!(now.checkpoint.origin(), before);
    assert_ne!(now.vkey, vkey);
    let known: VerifierKey = now.vkey.parse().unwrap();
    assert_eq!(now.note.verify(&[known]).unwrap().len(), 1);
    store.close();
}

#[tokio::test]
async fn a_proof_holds_for_its_own_record_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path(), 300, 0).await;
    begin(&store, None).await.unwrap();
    let hash = store.block(77).unwrap().unwrap().hash;
    let proof = store.prove(&RecordName::Hash(hash)).unwrap().unwrap();
    let checkpoint = proof.bundle.verify(leaves(&store, 77, 77)[0]).unwrap();
    let other = leaves(&store, 78, 78)[0];
    let (size, root) = (checkpoint.size(), checkpoint.root());
    assert!(verify_inclusion(other, 76, size, root, &proof.bundle.hashes).is_err());
    assert!(
        store
            .prove(&RecordName::Hash(Hash::ZERO))
            .unwrap()
            .is_none()
    );
    store.close();
}

/// What a witness shows the log, from a thread that may block: whether the log goes on as another incarnation.
async fn contradict(store: &Store, shown: &Note) -> bool {
    let (store, shown) = (store.clone(), shown.clone());
    let done = tokio::task::spawn_blocking(move || store.contradict_tlog(&TlogKey::Own, &shown));
    done.await.unwrap().unwrap()
}

#[tokio::test]
async fn a_checkpoint_of_its_own_that_it_does_not_hold_ends_an_incarnation_and_no_other_does() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path(), 300, 0).await;
    begin(&store, None).await.unwrap();
    let held = store.checkpoint().unwrap();
    close(store);
    let copy = tempfile::tempdir().unwrap();
    copy_folder(dir.path(), copy.path());
    let store = opened(dir.path());
    begin(&store, None).await.unwrap();
    fill(&store, 300, 310).await;
    let ahead = store.publish_checkpoint(310).unwrap();
    close(store);

    // The older copy goes on under the same origin, because nothing on it says that it must not.
    let store = opened(copy.path());
    begin(&store, None).await.unwrap();
    let before = origin(&store);
    assert_eq!(before, ahead.checkpoint.origin());
    let other = boboyka_tlog::SigningKey::from_seed(&before, boboyka_tlog::key::Kind::Log, [9; 32]);
    let forged = ahead.checkpoint.sign(&other.unwrap());
    assert!(!contradict(&store, &forged).await, "another key signed it");
    assert!(!contradict(&store, &held.note).await, "the strand holds it");
    assert_eq!(
        (origin(&store), store.tlog_predecessors().unwrap()),
        (before.clone(), vec![])
    );
    assert!(contradict(&store, &ahead.note).await);
    assert_ne!(origin(&store), before);
    assert!(
        !contradict(&store, &ahead.note).await,
        "it is of another log"
    );
    let recorded = incarnations(&store);
    assert_eq!(recorded.len(), 1);
    let metadata = &recorded[0]["metadata"];
    assert_eq!(metadata["old_origin"], before.as_str());
    assert_eq!(metadata["old_checkpoint"], ahead.note.to_string());
    assert!(
        metadata["reason"]
            .as_str()
            .unwrap()
            .contains("fewer records"),
        "{metadata}"
    );
    let after = origin(&store);
    close(store);

    let store = opened(copy.path());
    begin(&store, None).await.unwrap();
    assert_eq!(origin(&store), after);
    fill(&store, 400, 500).await;
    let known = store.tlog_predecessors().unwrap();
    assert_eq!(known.len(), 1);
    assert_eq!(known[0].checkpoint, ahead.checkpoint);
    assert_eq!(known[0].held, Compared::Other);
    store.close();
}

#[tokio::test]
async fn what_a_witness_shows_before_the_start_keeps_the_old_origin_from_being_signed_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path(), 300, 0).await;
    begin(&store, None).await.unwrap();
    let held = store.checkpoint().unwrap();
    let before = origin(&store);
    close(store);
    let copy = tempfile::tempdir().unwrap();
    copy_folder(dir.path(), copy.path());
    let store = opened(dir.path());
    begin(&store, None).await.unwrap();
    fill(&store, 300, 310).await;
    let ahead = store.publish_checkpoint(310).unwrap();
    close(store);

    let store = opened(copy.path());
    assert_eq!(store.tlog_origin(), Some(before.clone()));
    fill(&store, 300, 305).await;
    let shown = vec![held.note.clone(), ahead.note.clone()];
    let beginning = store.clone();
    let begun =
        tokio::task::spawn_blocking(move || beginning.begin_tlog(&TlogKey::Own, None, &shown));
    begun.await.unwrap().unwrap();
    assert_ne!(origin(&store), before);
    let known = store.tlog_predecessors().unwrap();
    assert_eq!(known.len(), 1);
    assert_eq!(known[0].checkpoint, ahead.checkpoint);
    assert_eq!(
        incarnations(&store)[0]["metadata"]["old_checkpoint"],
        ahead.note.to_string()
    );
    store.close();
}

#[tokio::test]
async fn a_copy_names_what_it_follows_and_holds() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path(), 300, 0).await;
    begin(&store, Some("a")).await.unwrap();
    let before = store.checkpoint().unwrap();
    close(store);
    let store = opened(dir.path());
    begin(&store, Some("b")).await.unwrap();
    let known = store.tlog_predecessors().unwrap();
    assert_eq!(known.len(), 1);
    assert_eq!(
        (&known[0].checkpoint, known[0].held),
        (&before.checkpoint, Compared::Same)
    );
    store.close();
}
