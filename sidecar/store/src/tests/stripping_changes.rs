//! What changes while a segment is written anew counts when it would come into the catalogue.

use tokio::sync::oneshot;

use super::pruning::strand_in;
use super::stripping::{HEALTH, at_once, segments, strip_all};
use super::stripping_crashes::written;
use super::*;
use crate::job::Job;
use crate::state::State;

/// Asks the writer to take the first segment's new file; whether it did.
async fn taken(store: &Store, stripped: strip::Stripped) -> bool {
    let (reply, done) = oneshot::channel();
    let stripped = Box::new(stripped);
    let job = Job::Stripped { stripped, reply };
    store.shared.queue.push(job).unwrap();
    done.await.unwrap().unwrap()
}

#[tokio::test]
async fn payloads_stay_for_a_way_back_that_came_while_their_segment_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let store = strand_in(dir.path(), Phase::CutOver).await;
    let stripped = written(&store);
    let path = stripped.segment.path().to_owned();
    store.set_phase(Phase::DualWrite, 3).await.unwrap();
    assert!(!taken(&store, stripped).await);
    assert_eq!(store.view().retention.payloads_gone, 0);
    assert!(!path.exists() && segments(&store)[0].path().exists());
    // What nobody waits for goes as before.
    store.set_phase(Phase::CutOver, 4).await.unwrap();
    strip_all(&store, Needed::Nothing, at_once(HEALTH)).await;
    assert!(store.view().retention.payloads_gone > 0);
    store.close();
}

#[tokio::test]
async fn a_hold_is_told_of_when_all_that_had_begun_in_a_commit_is_over() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path());
    assert!(store.shared.change(State::begin_pruning));
    store.hold(true);
    assert!(!store.shared.change(State::begin_pruning));
    store.shared.change(|state| state.hold(true));
    assert!(!store.view().retention.hold);
    store.shared.change(State::end_pruning);
    assert!(store.view().retention.hold);
    store.close();
}
