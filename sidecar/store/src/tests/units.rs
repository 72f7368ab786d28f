//! Records that share an idempotency key.

use boboyka_strand::Record;

use super::{fill, keyed, options, record, wait_for_segments};
use crate::{Appended, IdempotencyKey, KeyConflict, NewRecord, Store};

fn records(numbers: impl IntoIterator<Item = u64>) -> Vec<Record> {
    numbers.into_iter().map(|n| record(n).record).collect()
}

async fn append(
    store: &Store,
    key: &str,
    numbers: impl IntoIterator<Item = u64>,
) -> Result<Vec<Appended>, KeyConflict> {
    let answers = store.append_unit(records(numbers), IdempotencyKey::new(key));
    answers.await.unwrap().into_iter().collect()
}

fn again(first: &[Appended]) -> Vec<Appended> {
    let again = first.iter().map(|appended| Appended {
        replayed: true,
        ..*appended
    });
    again.collect()
}

#[tokio::test]
async fn the_same_unit_gives_the_same_receipts_and_any_other_is_a_conflict() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = opened(dir.path());
    let several = append(&store, "several", 0..250).await.unwrap();
    let one = append(&store, "one", [0]).await.unwrap();
    assert!(several.iter().all(|appended| !appended.replayed));
    for round in 0..3 {
        let head = store.view().head;
        assert_eq!(
            append(&store, "several", 0..250).await.unwrap(),
            again(&several)
        );
        assert_eq!(append(&store, "one", [0]).await.unwrap(), again(&one));
        for (key, other) in [
            ("several", vec![0]),
            ("several", vec![0, 1]),
            ("several", (0..249).collect()),
            ("several", (0..251).collect()),
            ("several", (1..251).collect()),
            ("several", (0..250).rev().collect()),
            ("several", (0..249).chain([9_999]).collect()),
            ("one", vec![1]),
            ("one", vec![0, 1]),
            ("one", vec![0, 0]),
        ] {
            let answer = append(&store, key, other.iter().copied()).await;
            assert_eq!(answer, Err(KeyConflict::OtherContent), "{key} {other:?}");
        }
        let alone = store.append(vec![keyed(0, "several"), keyed(0, "one")]);
        let alone = alone.await.unwrap();
        assert_eq!(alone, [Err(KeyConflict::OtherContent), Ok(again(&one)[0])]);
        assert_eq!(store.view().head, head, "round {round}");
        if round == 0 {
            fill(&store, 0, 2_000).await;
            wait_for_segments(&store, 2).await;
        } else {
            close(store);
            store = opened(dir.path());
        }
    }
}

#[tokio::test]
async fn a_unit_that_comes_twice_at_once_is_appended_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path());
    let (a, b, other) = tokio::join!(
        append(&store, "k", 0..5),
        append(&store, "k", 0..5),
        append(&store, "k", 0..4),
    );
    assert_eq!(b.unwrap(), again(&a.unwrap()));
    assert_eq!(other, Err(KeyConflict::OtherContent));
    assert_eq!(store.view().head.seq, 5);
}

#[tokio::test]
async fn what_a_crash_left_of_a_unit_is_completed() {
    for left in 1..4 {
        let dir = tempfile::tempdir().unwrap();
        let store = opened(dir.path());
        let parts = IdempotencyKey::new("k").parts(&records(0..4));
        let durable = records(0..4).into_iter().zip(parts).take(left);
        let durable = durable.map(|(record, part)| NewRecord {
            record,
            key: Some(part),
        });
        store.append(durable.collect()).await.unwrap();
        store.append(vec![record(77)]).await.unwrap();
        let whole = append(&store, "k", 0..4).await.unwrap();
        let replayed = whole.iter().filter(|appended| appended.replayed).count();
        assert_eq!((replayed, store.view().head.seq), (left, 5));
        assert_eq!(append(&store, "k", 0..4).await.unwrap(), again(&whole));
        assert_eq!(
            append(&store, "k", [0, 1]).await,
            Err(KeyConflict::OtherContent)
        );
    }
}

#[tokio::test]
async fn content_that_took_the_place_of_what_a_crash_left_keeps_the_key() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path());
    let parts = IdempotencyKey::new("k").parts(&records(0..3));
    let durable = NewRecord {
        key: Some(parts[0]),
        ..record(0)
    };
    store.append(vec![durable]).await.unwrap();
    let other = append(&store, "k", 5..9).await.unwrap();
    assert_eq!(
        append(&store, "k", 0..3).await,
        Err(KeyConflict::OtherContent)
    );
    assert_eq!(append(&store, "k", 5..9).await.unwrap(), again(&other));
}
