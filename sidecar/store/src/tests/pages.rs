//! Pages: their bounds, and what they say of a part that can't be read.

use super::*;
use crate::clock::now_ms;
use crate::page::{Missing, Page};
use crate::segment::Segment;

/// Every page from the newest back.
fn walk(store: &Store, mut query: PageQuery) -> Vec<Page> {
    let mut pages = Vec::new();
    loop {
        let page = store.page(&query);
        let next = page.next_before;
        pages.push(page);
        match next {
            Some(before) => query.before = before,
            None => return pages,
        }
    }
}

fn seqs(pages: &[Page]) -> Vec<Seq> {
    let blocks = pages.iter().flat_map(|page| &page.blocks);
    blocks.map(|block| block.header.seq).collect()
}

#[tokio::test]
async fn a_page_ends_at_its_bytes_and_the_next_one_goes_on_there() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path(), 900, 1).await;
    let query = PageQuery {
        max_payload_bytes: 1_000,
        ..everything(&store)
    };
    let pages = walk(&store, query);
    let head = store.view().head.seq;
    assert_eq!(seqs(&pages), (1..=head).rev().collect::<Vec<_>>());
    for page in &pages {
        let lens = page.blocks.iter().map(|block| block.payload.len());
        assert!(page.blocks.len() == 1 || lens.sum::<usize>() <= 1_000);
    }
    // One record is more than the page may hold, and is there all the same.
    let tiny = PageQuery {
        max_payload_bytes: 1,
        limit: 5,
        ..query
    };
    assert_eq!(store.page(&tiny).blocks.len(), 1);
    let headers = PageQuery {
        payloads: false,
        ..tiny
    };
    let page = store.page(&headers);
    assert_eq!(page.blocks.len(), 5);
    assert!(page.blocks.iter().all(|block| block.payload.is_empty()));
    assert_eq!(page.next_before, Some(head - 4));
}

#[tokio::test]
async fn the_walk_goes_on_behind_a_damaged_segment_and_names_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path(), 3_000, 4).await;
    let damaged = with_zeroed_frames(&store, 1);
    let (first, last) = (damaged.meta.first_seq(), damaged.meta.head.seq);
    let pages = walk(&store, everything(&store));
    let head = store.view().head.seq;
    let expected: Vec<Seq> = (1..first).chain(last + 1..=head).rev().collect();
    assert_eq!(seqs(&pages), expected);
    let missing: Vec<&Missing> = pages.iter().flat_map(|page| &page.missing).collect();
    let told: Vec<Seq> = missing
        .iter()
        .rev()
        .flat_map(|missing| missing.first_seq..=missing.last_seq)
        .collect();
    assert_eq!(told, (first..=last).collect::<Vec<_>>(), "{missing:?}");
    // The file is gone altogether.
    fs::remove_file(damaged.path()).unwrap();
    let pages = walk(&store, everything(&store));
    assert_eq!(seqs(&pages), expected);
    let missing: Vec<_> = pages.iter().flat_map(|page| &page.missing).collect();
    assert_eq!(missing.len(), 1);
    assert_eq!((missing[0].first_seq, missing[0].last_seq), (first, last));
    let (why, name) = (&missing[0].why, Segment::file_name(first));
    assert!(why.contains(&name) && !why.contains('/'), "{why}");
}

/// A page of an old time does not pay for what came later: its files are not even looked at.
#[tokio::test]
async fn a_page_by_time_does_not_read_segments_that_begin_later() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path());
    for round in 0..4 {
        fill(&store, round * 1_000, 1_000).await;
        // The next segment begins at a later millisecond.
        let last_ms = store.view().head.hlc.ms();
        while now_ms() <= last_ms {
            tokio::task::yield_now().await;
        }
    }
    wait_for_segments(&store, 3).await;
    let segments = store.shared.state().memory().segments().to_vec();
    let until_ms = segments[0].meta.head.hlc.ms();
    let later: Vec<_> = segments
        .iter()
        .filter(|segment| segment.meta.before.hlc.ms() > until_ms)
        .collect();
    assert!(!later.is_empty());
    for segment in &later {
        fs::remove_file(segment.path()).unwrap();
    }
    let query = PageQuery {
        until_ms,
        ..everything(&store)
    };
    let page = store.page(&query);
    assert!(page.missing.is_empty(), "{:?}", page.missing);
    let newest = page.blocks.first().unwrap();
    assert!(newest.header.timestamp_hlc.ms() <= until_ms);
    assert!(newest.header.seq >= segments[0].meta.head.seq);
    assert_eq!(page.blocks.len() as u64, newest.header.seq);
    // The same files are missed by a walk that needs them.
    assert!(!store.page(&everything(&store)).missing.is_empty());
    store.close();
}
