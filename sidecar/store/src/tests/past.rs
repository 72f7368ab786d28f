//! The past against a model that keeps everything: random appends, prunings, restarts and damage, and questions as of
//! random moments.

mod damage;
mod model;

use boboyka_strand::{Hash, Head, RecordType, Seq};

use self::model::{Model, Random, settled};
use super::*;

/// A strand with many small segments, and what it should say.
async fn whole(dir: &Path, seed: u64, batches: u64) -> (Store, Model, Random) {
    let mut random = Random::new(seed);
    let store = model::opened(dir);
    let mut model = Model::default();
    for _ in 0..batches {
        model.append(&store, &mut random).await;
    }
    let sealed = async {
        let mut changes = store.watch_view();
        while store.view().footprint.tail_blocks >= store.shared.options.seal_blocks {
            changes.changed().await.unwrap();
        }
    };
    tokio::time::timeout(GUARD, sealed).await.unwrap();
    (store, model, random)
}

#[tokio::test]
async fn every_state_history_list_and_count_is_that_of_the_model_as_of_any_moment() {
    for seed in 0..6 {
        let dir = tempfile::tempdir().unwrap();
        let (mut store, mut model, mut random) = whole(dir.path(), seed, 8).await;
        for _ in 0..25 {
            match random.below(8) {
                0 => model.prune(&store, &mut random).await,
                1 => {
                    close(store);
                    store = model::opened(dir.path());
                }
                2 => {
                    close(store);
                    damage::somehow(dir.path(), &mut random);
                    store = model::opened(dir.path());
                }
                _ => model.append(&store, &mut random).await,
            }
            model.check(&store, &mut random);
        }
        store.close();
    }
}

#[tokio::test]
async fn eight_files_become_one_and_say_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let (store, mut model, mut random) = whole(dir.path(), 7, 100).await;
    assert!(store.view().footprint.segments > 9);
    while damage::files(dir.path()).len() > 9 {
        std::thread::yield_now();
    }
    model.check(&store, &mut random);
    // The merged file survives a restart, and no other file covers its range.
    close(store);
    let merged = damage::files(dir.path()).swap_remove(0);
    let content = fs::read(&merged).unwrap();
    let store = model::opened(dir.path());
    model.check(&store, &mut random);
    assert_eq!(fs::read(&merged).unwrap(), content);
    model.append(&store, &mut random).await;
    model.check(&store, &mut random);
    store.close();
}

#[tokio::test]
async fn a_moment_that_is_none_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = model::opened(dir.path());
    assert_eq!(store.moment(AsOf::Now).unwrap(), Head::EMPTY);
    assert_eq!(store.moment(AsOf::Ms(5)).unwrap(), Head::EMPTY);
    let (store, mut model, mut random) = {
        close(store);
        whole(dir.path(), 3, 30).await
    };
    let head = store.view().head;
    let why = |as_of| store.moment(as_of).unwrap_err();
    assert!(matches!(why(AsOf::Seq(0)), MomentError::Zero));
    let beyond = why(AsOf::Seq(head.seq + 1));
    assert!(matches!(beyond, MomentError::Beyond { head: seq } if seq == head.seq));
    assert!(matches!(why(AsOf::Hash(Hash::ZERO)), MomentError::Unknown));
    let future = why(AsOf::Ms(u64::MAX));
    assert!(matches!(future, MomentError::Future { .. }));
    assert_eq!(store.moment(AsOf::Hash(head.hash)).unwrap(), head);
    let first = store.block(1).unwrap().unwrap();
    assert_eq!(store.moment(AsOf::Ms(1)).unwrap(), Head::EMPTY);

    model.prune_all(&store).await;
    let floor = store.view().floor.head.seq;
    assert!(floor > 0);
    for as_of in [
        AsOf::Seq(1),
        AsOf::Seq(floor),
        AsOf::Ms(1),
        AsOf::Hash(first.hash),
    ] {
        let found = why(as_of);
        let is_pruned = matches!(found, MomentError::Read(ReadError::Pruned { .. }));
        assert!(is_pruned, "{as_of:?}: {found}");
    }
    model.check(&store, &mut random);
    store.close();
}

#[tokio::test]
async fn what_is_lost_is_said_in_every_answer_that_it_may_change() {
    let dir = tempfile::tempdir().unwrap();
    let (store, ..) = whole(dir.path(), 4, 30).await;
    let segment = store.shared.state().memory().segments()[2].clone();
    close(store);
    // The segment can't be read, and its versions can't be gathered again.
    fs::remove_file(segment.path()).unwrap();
    fs::remove_dir_all(dir.path().join("versions")).unwrap();
    let store = model::opened(dir.path());
    let head = store.view().head;
    let (first, last) = (segment.meta.first_seq(), segment.meta.head.seq);
    let hidden = |missing: &[Missing]| {
        assert_eq!(missing.len(), 1, "{missing:?}");
        assert_eq!((missing[0].first_seq, missing[0].last_seq), (first, last));
    };
    let (kind, nobody) = (RecordType::AgentHealth, "nobody");
    let (found, missing) = settled(|| store.newest_version(kind, nobody, &head));
    assert_eq!(found, None);
    hidden(&missing);
    let query = model::query(kind, nobody, head.seq, 10);
    hidden(&settled(|| store.history(&query)).missing);
    let query = model::list(kind, head, None, 100);
    hidden(&settled(|| store.states(&query)).missing);
    // Before it, nothing is missing.
    let before = store.moment(AsOf::Seq(first - 1)).unwrap();
    let (_, missing) = store.newest_version(kind, nobody, &before).unwrap();
    assert!(missing.is_empty());
    store.close();
}

/// What a strand says of its states, by a walk over everything.
fn by_walking(store: &Store, kind: RecordType) -> std::collections::BTreeMap<String, Seq> {
    let query = PageQuery {
        record_type: Some(kind),
        ..PageQuery::default()
    };
    let oldest_first = store.page(&query).blocks.into_iter().rev();
    let keyed = oldest_first.filter_map(|block| {
        let key = boboyka_strand::key_of(kind, &block.payload)?.to_owned();
        Some((key, block.header.seq))
    });
    keyed.collect()
}

#[tokio::test]
async fn a_strand_of_an_earlier_version_has_its_version_files_from_the_first_start_on() {
    for name in ["strand-v1", "strand-v2", "strand-v3", "strand-v4"] {
        let dir = fixtures::copy_of(name);
        for _ in 0..2 {
            let store = opened(dir.path());
            let head = store.view().head;
            let mut states = 0;
            for kind in RecordType::ALL {
                let listed = model::listed(&store, kind, head, 7);
                assert_eq!(listed, by_walking(&store, kind), "{name}");
                states += listed.len();
            }
            assert!(states > 0, "{name} has no state");
            assert!(!damage::files(dir.path()).is_empty());
            close(store);
        }
    }
}
