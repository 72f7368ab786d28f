//! What follows a seq: every block once, in order, whatever the bounds, and what can't be read is named.

use std::os::unix::fs::FileExt as _;

use super::*;

/// Everything after a seq, part by part: the seqs of blocks, and the ranges of what is missing.
fn walk(store: &Store, mut query: FollowingQuery) -> (Vec<Seq>, Vec<(Seq, Seq)>) {
    let (mut seqs, mut missing) = (Vec::new(), Vec::new());
    while query.after < store.view().head.seq {
        let part = store.following(&query);
        assert!(part.found.len() <= query.limit);
        assert!(part.scanned_to > query.after, "the walk does not move");
        query.after = part.scanned_to;
        for found in part.found {
            match found {
                Found::Block(block) => seqs.push(block.header.seq),
                Found::Missing(part) => missing.push((part.first_seq, part.last_seq)),
            }
        }
    }
    (seqs, missing)
}

fn all() -> FollowingQuery {
    FollowingQuery {
        after: 0,
        record_type: None,
        limit: 100,
        payloads: true,
        max_payload_bytes: usize::MAX,
    }
}

#[tokio::test]
async fn every_block_comes_once_and_in_order_whatever_the_bounds() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path(), 3_000, 4).await;
    let head = store.view().head.seq;
    let expected: Vec<Seq> = (1..=head).collect();
    for (limit, max_payload_bytes) in [(1, usize::MAX), (7, 500), (1_000, 1), (100_000, usize::MAX)]
    {
        let query = FollowingQuery {
            limit,
            max_payload_bytes,
            ..all()
        };
        assert_eq!(walk(&store, query), (expected.clone(), vec![]));
    }
    let after = FollowingQuery {
        after: head - 3,
        payloads: false,
        ..all()
    };
    let part = store.following(&after);
    assert_eq!((part.found.len(), part.scanned_to), (3, head));
    let is_empty = |found: &Found| matches!(found, Found::Block(block) if block.payload.is_empty());
    assert!(part.found.iter().all(is_empty));
    let part = store.following(&FollowingQuery {
        after: head,
        ..all()
    });
    assert_eq!((part.found.len(), part.scanned_to), (0, head));
}

#[tokio::test]
async fn only_the_type_asked_for_comes_and_the_others_are_passed() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path(), 3_000, 4).await;
    for record_type in RecordType::ALL {
        let query = FollowingQuery {
            record_type: Some(record_type),
            ..all()
        };
        let (seqs, missing) = walk(&store, query);
        assert_eq!(seqs.len() as u64, store.view().counts[record_type]);
        assert!(seqs.is_sorted() && missing.is_empty());
    }
}

#[tokio::test]
async fn the_walk_goes_on_behind_a_damaged_segment_and_names_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path(), 3_000, 4).await;
    let damaged = store.shared.state().memory().segments()[1].clone();
    let (first, last) = (damaged.meta.first_seq(), damaged.meta.head.seq);
    let options = fs::File::options().write(true).clone();
    let file = options.open(damaged.path()).unwrap();
    let zeros = vec![0; usize::try_from(damaged.meta.frames_end).unwrap() - 24];
    file.write_all_at(&zeros, 24).unwrap();
    let head = store.view().head.seq;
    let expected: Vec<Seq> = (1..first).chain(last + 1..=head).collect();
    let (seqs, missing) = walk(&store, all());
    assert_eq!(seqs, expected);
    let told: Vec<Seq> = missing.iter().flat_map(|(a, b)| *a..=*b).collect();
    assert_eq!(told, (first..=last).collect::<Vec<_>>());
    fs::remove_file(damaged.path()).unwrap();
    assert_eq!(walk(&store, all()), (expected, vec![(first, last)]));
}
