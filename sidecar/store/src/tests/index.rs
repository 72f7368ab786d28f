//! The tail's index is a copy: a failure of its engine ends neither ingest nor the ledger.

use super::pruning::EVERYTHING;
use super::*;

#[tokio::test]
async fn a_store_whose_index_failed_goes_on_and_the_next_start_brings_it_in_line() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path());
    fill(&store, 0, 10).await;
    let lane = RecordType::AgentHealth;
    let mark = |dead_lettered| Mark {
        seq: 9,
        mirrored: 1,
        dead_lettered,
    };
    let (first, second) = (dead_letter(lane, 3), dead_letter(lane, 5));
    let letters = vec![first, second.clone()];
    store.advance(lane, mark(2), letters).await.unwrap();
    store.shared.tail.fail("as on a disk that fails".to_owned());
    store.resolve_dead_letter(0, lane, 3).await.unwrap();
    assert!(store.dead_letters(lane, 0, 9).is_err());
    assert!(store.dead_letter(lane, 5).is_err());
    // What may go is not known without the letters, so nothing does.
    wait_for_segments(&store, 2).await;
    store.prune(EVERYTHING, false).await.unwrap();
    assert_eq!(store.view().floor.head.seq, 0);
    // Files of the journal are used again, so the ledger was written.
    fill(&store, 0, 20_000).await;
    wait_for_segments(&store, 30).await;
    let files = fs::read_dir(dir.path().join("journal")).unwrap().count();
    assert!(files <= 12, "{files} files");
    assert!(!store.is_poisoned());
    let view = store.view();
    close(store);
    let store = opened(dir.path());
    let now = store.view();
    assert_eq!((now.head, now.counts), (view.head, view.counts));
    assert_eq!(now.marks, view.marks);
    assert_eq!(store.dead_letters(lane, 0, 9).unwrap(), [second]);
    assert!(verdict(&store).ok);
    store.close();
}

#[tokio::test]
async fn a_floor_takes_the_entries_below_it_out_of_the_index() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path(), 2_000, 3).await;
    let end = store.view().head.seq;
    let lane = RecordType::AgentHealth;
    let letters = vec![dead_letter(lane, 3), dead_letter(lane, end)];
    let mark = Mark {
        seq: end,
        mirrored: 1,
        dead_lettered: 2,
    };
    store.advance(lane, mark, letters).await.unwrap();
    store.prune(EVERYTHING, false).await.unwrap();
    let floor = store.view().floor.head.seq;
    assert!(floor > 3);
    let seqs: Vec<Seq> = store.shared.tail.letter_seqs(lane).unwrap();
    assert_eq!(seqs, [end]);
    let kept = store.shared.tail.summary().unwrap();
    let firsts: Vec<_> = kept.segments.into_keys().collect();
    let memory = store.shared.state().memory().segments().to_vec();
    let expected: Vec<_> = memory.iter().map(|kept| kept.meta.first_seq()).collect();
    assert_eq!(firsts, expected);
    store.close();
}
