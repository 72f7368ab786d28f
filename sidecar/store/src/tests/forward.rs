//! Reading on: whatever the steps' bounds, each block comes once, in order, and what can't be read is named.

use boboyka_strand::Hlc;

use super::pruning::{EVERYTHING, ends};
use super::*;
use crate::page::Missing;

fn query(after: Seq) -> ForwardQuery {
    ForwardQuery {
        after,
        record_type: None,
        limit: 100,
        max_payload_bytes: 1 << 20,
        max_read: 1_000,
    }
}

/// Every step until the head.
fn walk(store: &Store, mut query: ForwardQuery) -> (Vec<Block>, Vec<Missing>) {
    let (mut blocks, mut missing) = (Vec::new(), Vec::new());
    loop {
        let step = store.forward(&query);
        assert!(step.blocks.len() <= query.limit);
        blocks.extend(step.blocks);
        missing.extend(step.missing);
        if step.is_at_head {
            assert_eq!(step.reached, store.view().head.seq);
            return (blocks, missing);
        }
        assert!(step.reached > query.after, "no way ahead");
        query.after = step.reached;
    }
}

fn seqs(blocks: &[Block]) -> Vec<Seq> {
    blocks.iter().map(|block| block.header.seq).collect()
}

#[tokio::test]
async fn steps_of_any_bounds_pass_each_block_once_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path(), 2_100, 3).await;
    let head = store.view().head.seq;
    for (limit, max_payload_bytes, max_read) in [
        (1_000, 1 << 20, 10_000),
        (7, 1 << 20, 10_000),
        (100, 1, 10_000),
        (1_000, 500, 1),
    ] {
        let bounds = ForwardQuery {
            limit,
            max_payload_bytes,
            max_read,
            ..query(0)
        };
        let (blocks, missing) = walk(&store, bounds);
        assert_eq!(seqs(&blocks), (1..=head).collect::<Vec<_>>());
        assert!(missing.is_empty());
        let of_type = ForwardQuery {
            record_type: Some(RecordType::AuditLog),
            after: 1_001,
            ..bounds
        };
        let expected = blocks.iter().filter(|block| {
            block.header.seq > 1_001 && block.header.record_type == RecordType::AuditLog
        });
        let expected: Vec<Seq> = expected.map(|block| block.header.seq).collect();
        assert_eq!(seqs(&walk(&store, of_type).0), expected);
    }
    store.close();
}

#[tokio::test]
async fn a_place_is_found_by_time_and_by_count() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path(), 2_100, 3).await;
    let (blocks, _) = walk(&store, query(0));
    for at in [0, 1, 599, 600, 601, 1_500, blocks.len() - 1] {
        let hlc = blocks[at].header.timestamp_hlc;
        let place = store.place_before(hlc);
        let begins = blocks.iter().find(|block| block.header.seq > place);
        assert!(place <= at as u64 + 1);
        assert!(begins.is_none_or(|block| block.header.seq <= at as u64 + 2));
        for kind in [None, Some(RecordType::AuditLog)] {
            let of_type = blocks
                .iter()
                .filter(|block| kind.is_none_or(|kind| block.header.record_type == kind));
            let expected = of_type.clone().nth(at).map(|block| block.header.seq);
            let (after, left) = store.place_after(kind, at as u64);
            let mut behind = of_type.filter(|block| block.header.seq > after);
            let found = behind.nth(usize::try_from(left).unwrap());
            assert_eq!(
                found.map(|block| block.header.seq),
                expected,
                "{at} {kind:?}"
            );
        }
    }
    assert_eq!(store.place_before(Hlc::ZERO), 0);
    assert_eq!(
        store.place_before(Hlc::new(u64::MAX)),
        store.view().head.seq
    );
    store.close();
}

#[tokio::test]
async fn what_is_damaged_or_pruned_is_named_and_passed() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path(), 3_000, 4).await;
    let damaged = with_zeroed_frames(&store, 2);
    let (first, last) = (damaged.meta.first_seq(), damaged.meta.head.seq);
    let head = store.view().head.seq;
    let (blocks, missing) = walk(&store, query(0));
    let expected: Vec<Seq> = (1..first).chain(last + 1..=head).collect();
    assert_eq!(seqs(&blocks), expected);
    let told = missing
        .iter()
        .flat_map(|gone| gone.first_seq..=gone.last_seq);
    assert!(told.eq(first..=last), "{missing:?}");

    let pruned = ends(&store)[0];
    // What is sealed meanwhile takes less room, and then nothing has to go.
    let begun = std::time::Instant::now();
    while store.view().floor.head.seq == 0 {
        assert!(begun.elapsed() < GUARD, "{:?}", store.view().retention);
        let footprint = store.view().footprint;
        let policy = Policy {
            max_size_bytes: Some(footprint.segment_bytes + footprint.tail_bytes as u64 - 1),
            ..EVERYTHING
        };
        store.prune(policy, false).await.unwrap();
    }
    assert_eq!(store.view().floor.head.seq, pruned);
    let (_, missing) = walk(&store, query(0));
    assert_eq!((missing[0].first_seq, missing[0].last_seq), (1, pruned));
    store.close();
}
