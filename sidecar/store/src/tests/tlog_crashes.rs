//! What crashes, damage and restored volumes leave of the transparency log: no checkpoint that was published is ever contradicted.

use super::tlog::{begin, incarnations, leaves, origin, root_of, size_and_root};
use super::*;

#[tokio::test]
async fn a_tree_file_that_is_missing_or_damaged_anywhere_is_made_anew_from_the_blocks() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path(), 1_500, 2).await;
    begin(&store, None).await.unwrap();
    let (expected, before) = (size_and_root(&store), origin(&store));
    close(store);
    let path = dir.path().join("tlog/tree");
    let whole = fs::read(&path).unwrap();
    let roots = whole.len() / 40 - 1;
    assert!(roots >= 4, "{roots}");
    let flipped = |place: usize| {
        let mut bytes = whole.clone();
        bytes[place] ^= 1;
        Some(bytes)
    };
    let more = [&whole[..], &[7; 100]].concat();
    let states = [
        None,
        flipped(3),
        flipped(45),
        flipped(whole.len() - 1),
        Some(whole[..70].to_vec()),
        Some(more),
    ];
    for state in states {
        match &state {
            Some(bytes) => fs::write(&path, bytes).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        let store = opened(dir.path());
        begin(&store, None).await.unwrap();
        assert_eq!(
            (size_and_root(&store), origin(&store)),
            (expected, before.clone())
        );
        assert_eq!(fs::read(&path).unwrap(), whole);
        store.close();
    }
}

#[tokio::test]
async fn a_strand_with_less_than_was_signed_goes_on_under_a_new_origin_that_names_the_old_one() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path(), 100, 0).await;
    begin(&store, None).await.unwrap();
    close(store);
    let earlier = tempfile::tempdir().unwrap();
    copy_folder(dir.path(), earlier.path());
    let store = opened(dir.path());
    begin(&store, None).await.unwrap();
    fill(&store, 0, 50).await;
    let (size, _) = size_and_root(&store);
    assert_eq!(size, 150);
    close(store);
    // All but the last checkpoint went back.
    let signed = fs::read_to_string(dir.path().join("tlog/checkpoint")).unwrap();
    fs::write(earlier.path().join("tlog/checkpoint"), &signed).unwrap();
    let store = opened(earlier.path());
    let old = signed.lines().next().unwrap();
    begin(&store, None).await.unwrap();
    assert!(
        origin(&store).ends_with("/2") && old.ends_with("/1"),
        "{}",
        origin(&store)
    );
    let told = incarnations(&store);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["agent_id"], "boboyka_sidecar");
    assert_eq!(told[0]["metadata"]["old_checkpoint"], signed);
    assert_eq!(told[0]["metadata"]["old_origin"], old);
    assert_eq!(told[0]["metadata"]["origin"], origin(&store));
    // What is signed first has the record in it.
    assert_eq!(store.checkpoint().unwrap().checkpoint.size(), 101);
    close(store);
    // It is told once.
    let store = opened(earlier.path());
    begin(&store, None).await.unwrap();
    assert!(origin(&store).ends_with("/2"));
    assert_eq!(incarnations(&store).len(), 1);
    store.close();
}

#[tokio::test]
async fn another_strand_in_the_place_of_what_was_signed_goes_on_under_a_new_origin() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path());
    begin(&store, None).await.unwrap();
    let fork = tempfile::tempdir().unwrap();
    close(store);
    copy_folder(dir.path(), fork.path());
    for (folder, from) in [(dir.path(), 0), (fork.path(), 500)] {
        let store = opened(folder);
        begin(&store, None).await.unwrap();
        fill(&store, from, from + 40).await;
        size_and_root(&store);
        close(store);
    }
    fs::copy(
        dir.path().join("tlog/checkpoint"),
        fork.path().join("tlog/checkpoint"),
    )
    .unwrap();
    let store = opened(fork.path());
    begin(&store, None).await.unwrap();
    assert!(origin(&store).ends_with("/2"));
    let why = incarnations(&store)[0]["metadata"]["reason"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        why.contains("are not those of the last signed checkpoint"),
        "{why}"
    );
    store.close();
}

#[tokio::test]
async fn a_checkpoint_file_that_is_lost_or_damaged_ends_its_origin() {
    for damage in [None, Some("no note"), Some("")] {
        let dir = tempfile::tempdir().unwrap();
        let store = filled(dir.path(), 10, 0).await;
        begin(&store, None).await.unwrap();
        close(store);
        let path = dir.path().join("tlog/checkpoint");
        match damage {
            Some(text) => fs::write(&path, text).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        let store = opened(dir.path());
        begin(&store, None).await.unwrap();
        assert!(origin(&store).ends_with("/2"), "{damage:?}");
        assert_eq!(incarnations(&store).len(), 1);
        store.close();
    }
}

#[tokio::test]
async fn a_crash_anywhere_in_a_beginning_is_no_reason_for_another_incarnation() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path(), 10, 0).await;
    close(store);
    let before = tempfile::tempdir().unwrap();
    copy_folder(dir.path(), before.path());
    let store = opened(dir.path());
    begin(&store, None).await.unwrap();
    close(store);
    // The first checkpoint, of the empty tree, is written and nothing else.
    let key = fs::read_to_string(dir.path().join("tlog/key")).unwrap();
    fs::write(before.path().join("tlog/key"), key).unwrap();
    let store = opened(before.path());
    let own = store.shared.signing.own_key().unwrap();
    store.shared.signing.write_first(&own).unwrap();
    close(store);
    let store = opened(before.path());
    begin(&store, None).await.unwrap();
    assert!(origin(&store).ends_with("/1"));
    assert!(incarnations(&store).is_empty());
    close(store);
    // The second incarnation is durable, and its first checkpoint is not.
    let old = fs::read(before.path().join("tlog/checkpoint")).unwrap();
    fs::remove_file(before.path().join("tlog/checkpoint")).unwrap();
    let store = opened(before.path());
    begin(&store, None).await.unwrap();
    assert!(origin(&store).ends_with("/2"));
    close(store);
    fs::write(before.path().join("tlog/checkpoint"), old).unwrap();
    let store = opened(before.path());
    begin(&store, None).await.unwrap();
    assert!(origin(&store).ends_with("/2"));
    assert_eq!(incarnations(&store).len(), 1);
    store.close();
}

#[tokio::test]
async fn a_volume_of_another_claim_is_a_copy_and_gets_an_origin_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path(), 10, 0).await;
    for (claim, number) in [
        (None, 1),
        (Some("c-1"), 1),
        (Some("c-1"), 1),
        (Some("c-2"), 2),
        (Some("c-2"), 2),
    ] {
        begin(&store, claim).await.unwrap();
        assert!(
            origin(&store).ends_with(&format!("/{number}")),
            "{claim:?}: {}",
            origin(&store)
        );
    }
    let why = incarnations(&store)[0]["metadata"]["reason"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(why.contains("c-1") && why.contains("c-2"), "{why}");
    close(store);
    let store = opened(dir.path());
    begin(&store, Some("c-2")).await.unwrap();
    assert!(origin(&store).ends_with("/2"));
    store.close();
}

#[tokio::test]
async fn lost_records_have_the_empty_entry_and_end_the_origin_that_signed_them() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path(), 20, 0).await;
    begin(&store, None).await.unwrap();
    let signed = size_and_root(&store);
    for n in 0..10 {
        store.append(vec![record(n)]).await.unwrap();
    }
    close(store);
    for (frames, number) in [(5, 1), (10, 1), (11, 2)] {
        let damaged = tempfile::tempdir().unwrap();
        copy_folder(dir.path(), damaged.path());
        spoil_last_frames(damaged.path(), frames);
        let store = opened(damaged.path());
        let gap = store.gaps()[0];
        begin(&store, None).await.unwrap();
        assert!(
            origin(&store).ends_with(&format!("/{number}")),
            "{frames}: {gap:?}"
        );
        assert_eq!(gap.first <= signed.0, number == 2);
        fill(&store, 0, 5).await;
        let head = store.view().head.seq;
        assert_eq!(
            size_and_root(&store),
            (head, root_of(&leaves(&store, 1, head)))
        );
        close(store);
        let store = opened(damaged.path());
        begin(&store, None).await.unwrap();
        assert_eq!(store.checkpoint().unwrap().checkpoint.size(), head);
        store.close();
    }
}

/// Flips a bit in each of the last frames with blocks.
fn spoil_last_frames(dir: &Path, count: usize) {
    let files: Vec<_> = fs::read_dir(dir.join("journal"))
        .unwrap()
        .flatten()
        .map(|it| it.path())
        .collect();
    let mut frames: Vec<_> = files
        .iter()
        .flat_map(|path| {
            let bytes = fs::read(path).unwrap();
            frames_in(&bytes)
                .into_iter()
                .map(move |(at, first)| (first, path.clone(), at))
        })
        .collect();
    frames.sort();
    frames.dedup_by_key(|(first, ..)| *first);
    for (_, path, at) in frames.into_iter().rev().take(count) {
        let mut bytes = fs::read(&path).unwrap();
        bytes[at + 100] ^= 1;
        fs::write(&path, bytes).unwrap();
    }
}
