//! Checking a strand while it changes.

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
