//! Checking a strand while it changes.

use super::tlog::{begin, size_and_root};
use super::*;

#[tokio::test]
async fn a_run_that_is_sealed_after_it_was_checked_is_no_break() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path());
    fill(&store, 0, 500).await;
    let (reached, mut wait) = tokio::sync::mpsc::channel(1);
    let (go_on, gone_on) = std::sync::mpsc::channel();
    let checking = {
        let store = store.clone();
        tokio::task::spawn_blocking(move || {
            store.verify(|head| {
                if head.seq == 300 {
                    reached.blocking_send(()).unwrap();
                    gone_on.recv().unwrap();
                }
                ControlFlow::Continue(())
            })
        })
    };
    wait.recv().await.unwrap();
    fill(&store, 0, 200).await;
    wait_for_segments(&store, 1).await;
    go_on.send(()).unwrap();
    let found = checking.await.unwrap();
    assert!(found.ok, "{found:?}");
    assert!(found.verified >= 500, "{found:?}");
}

#[tokio::test]
async fn a_run_that_is_longer_than_the_bound_of_a_segment_is_sealed_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let small = Options {
        seal_blocks: 100,
        ..options(dir.path())
    };
    let store = Store::open(small).unwrap();
    store.append((0..200).map(record).collect()).await.unwrap();
    wait_for_segments(&store, 1).await;
    let found = verdict(&store);
    assert!(found.ok && found.verified >= 200, "{found:?}");
    store.close();
}

#[tokio::test]
async fn a_flipped_bit_anywhere_in_a_segments_file_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path());
    let records = (0..600).map(|n| keyed(n, &format!("k{n}")));
    store.append(records.collect()).await.unwrap();
    wait_for_segments(&store, 1).await;
    let segment = store.shared.state().memory().segments()[0].clone();
    let whole = fs::read(segment.path()).unwrap();
    let len = whole.len();
    // Header, frames, indexes, filter, footer; every byte of the trailer, which no digest covers.
    let spread = (0..len - 48).step_by(len / 60);
    for place in (0..24).chain(spread).chain(len - 48..len) {
        let mut bytes = whole.clone();
        bytes[place] ^= 0x10;
        fs::write(segment.path(), bytes).unwrap();
        let found = verdict(&store);
        assert!(!found.ok, "byte {place} of {len}");
    }
    fs::write(segment.path(), [&whole[..], b"x"].concat()).unwrap();
    assert!(!verdict(&store).ok, "a byte behind the end");
    fs::write(segment.path(), whole).unwrap();
    assert!(verdict(&store).ok);
    store.close();
}

#[tokio::test]
async fn a_check_names_no_folder_that_is_gone_when_it_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path(), 700, 1).await;
    let path = store.shared.state().memory().segments()[0]
        .path()
        .to_owned();
    close(store);
    fs::remove_file(&path).unwrap();
    let found = verify_offline(dir.path(), |_| ControlFlow::Continue(())).unwrap();
    let reason = found.reason.unwrap();
    assert!(
        !found.ok && reason.contains(&path.display().to_string()),
        "{reason}"
    );
    assert!(!reason.contains("boboyka-verify-"), "{reason}");
}

#[tokio::test]
async fn a_check_compares_the_tree_with_the_blocks_and_the_last_signed_checkpoint_with_the_tree() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path(), 700, 1).await;
    begin(&store, None).await.unwrap();
    size_and_root(&store);
    assert!(verdict(&store).ok);
    close(store);
    let offline = || verify_offline(dir.path(), |_| ControlFlow::Continue(())).unwrap();
    assert!(offline().ok, "{:?}", offline());
    let tlog = dir.path().join("tlog");
    let spoil = |name: &str, place: usize| {
        let path = tlog.join(name);
        let whole = fs::read(&path).unwrap();
        let mut bytes = whole.clone();
        // Still text, of base64 where there is base64.
        bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
        fs::write(&path, bytes).unwrap();
        let found = offline();
        fs::write(&path, whole).unwrap();
        found.reason.unwrap_or_default()
    };
    assert!(spoil("tree", 50).contains("tree is damaged"));
    let text = fs::read_to_string(tlog.join("checkpoint")).unwrap();
    let root = text.match_indices('\n').nth(1).unwrap().0 + 3;
    assert!(spoil("checkpoint", root).contains("are not those of the last signed checkpoint"));
    assert!(spoil("checkpoint", text.len() - 9).contains("signature"));
    assert!(spoil("checkpoint", 0).contains("is of the log"));
    fs::write(tlog.join("checkpoint"), "nothing").unwrap();
    assert!(offline().reason.unwrap().contains("can't be read"));
    fs::write(tlog.join("checkpoint"), text).unwrap();
    // Roots whose checks were computed anew.
    let store = opened(dir.path());
    let file = store.shared.tree_file.as_ref().unwrap();
    let other = boboyka_tlog::TreeHash::of_leaf(b"other");
    file.write(1, &[other]).unwrap();
    let found = verdict(&store);
    assert_eq!((found.ok, found.broken_seq), (false, Some(257)));
    store.close();
}

#[tokio::test]
async fn a_proof_is_read_from_a_folder_that_nobody_has_open_and_only_of_what_was_signed() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path(), 300, 0).await;
    let (first, signed) = (store.block(7).unwrap().unwrap(), store.view().head.seq);
    close(store);
    let unsigned = prove_offline(dir.path(), &first.hash).unwrap();
    assert!(matches!(unsigned, Err(TlogError::NotBegun)), "{unsigned:?}");
    let store = opened(dir.path());
    begin(&store, None).await.unwrap();
    fill(&store, 0, 1).await;
    let last = store.block(signed + 1).unwrap().unwrap();
    close(store);
    let key = dir.path().join("tlog/key");
    let before = fs::read(&key).unwrap();
    let proof = prove_offline(dir.path(), &first.hash)
        .unwrap()
        .unwrap()
        .unwrap();
    let leaf = boboyka_tlog::TreeHash::of_leaf(&first.header.encode());
    assert_eq!(proof.bundle.verify(leaf).unwrap().size(), signed);
    let beyond = prove_offline(dir.path(), &last.hash).unwrap();
    assert!(
        matches!(beyond, Err(TlogError::Unsigned { .. })),
        "{beyond:?}"
    );
    assert!(
        prove_offline(dir.path(), &Hash::ZERO)
            .unwrap()
            .unwrap()
            .is_none()
    );
    assert_eq!(fs::read(&key).unwrap(), before);
}
