//! What changed, on its way to the controller: which integrations to look at, at once or soon, and which pods are gone.
//!
//! Changes of one integration coalesce until the controller takes them, so what waits is bounded by the number of
//! integrations. Sidecars report all the time: their reports are gathered, and an integration with a thousand strands is
//! looked at twice a second for them, not a thousand times.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::{Stream, StreamExt as _, stream};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::kinds::Touched;

/// How long reports and changes of workloads are gathered.
const GATHER: Duration = Duration::from_millis(500);
/// How long a pod is remembered as gone, at least: longer than the controller takes to free its strand.
const GONE_KEPT: Duration = Duration::from_mins(2);

#[derive(Default)]
struct State {
    /// Whether this replica leads; otherwise nobody takes changes.
    subscribed: bool,
    /// Integrations to look at now.
    now: HashSet<Touched>,
    /// Integrations to look at after the next gathering.
    soon: HashSet<Touched>,
    /// Namespaces whose workloads changed.
    namespaces: HashSet<String>,
    /// Pods that were seen to go, by UID.
    gone: HashMap<String, Instant>,
}

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    /// Notified when there is an integration to look at now.
    touched: Notify,
    /// Notified when there is an integration to look at soon.
    stirred: Notify,
    /// Notified when a namespace's workloads changed.
    workloads: Notify,
}

/// What changed. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Changes(Arc<Inner>);

impl Changes {
    /// Nothing has changed yet; `tasks` gathers reports from now on.
    pub(super) fn new(tasks: &mut JoinSet<()>) -> Self {
        let changes = Self::default();
        let gathered = changes.clone();
        tasks.spawn(async move {
            loop {
                gathered.gather().await;
            }
        });
        changes
    }

    /// The integrations that change from now on, for the controller.
    pub(crate) fn subscribe(&self) -> impl Stream<Item = Touched> + Send + use<> {
        self.lock().subscribed = true;
        let taken = stream::unfold(self.clone(), |changes| async move {
            let touched = changes.take().await;
            Some((stream::iter(touched), changes))
        });
        taken.flatten()
    }

    /// Waits until workloads changed; returns their namespaces, gathered for a moment.
    pub(crate) async fn changed_namespaces(&self) -> HashSet<String> {
        self.0.workloads.notified().await;
        tokio::time::sleep(GATHER).await;
        std::mem::take(&mut self.lock().namespaces)
    }

    /// Whether a pod was seen to go.
    pub(crate) fn is_gone(&self, pod_uid: &str) -> bool {
        self.lock().gone.contains_key(pod_uid)
    }

    /// Has an integration looked at now.
    pub(crate) fn touch(&self, touched: Touched) {
        let mut state = self.lock();
        if state.subscribed && !touched.name.is_empty() {
            state.now.insert(touched);
            self.0.touched.notify_one();
        }
    }

    /// Has an integration looked at after the next gathering.
    pub(super) fn touch_soon(&self, touched: Touched) {
        let mut state = self.lock();
        if state.subscribed {
            state.soon.insert(touched);
            self.0.stirred.notify_one();
        }
    }

    /// Notes that a workload of a namespace changed.
    pub(super) fn note_workload(&self, namespace: String) {
        let mut state = self.lock();
        if state.subscribed {
            state.namespaces.insert(namespace);
            self.0.workloads.notify_one();
        }
    }

    /// Notes a pod that was deleted or has ended.
    pub(super) fn note_gone(&self, pod_uid: &str) {
        let (mut state, now) = (self.lock(), Instant::now());
        state
            .gone
            .retain(|_, since| now.saturating_duration_since(*since) < GONE_KEPT);
        state.gone.insert(pod_uid.to_owned(), now);
    }

    /// Waits for integrations to look at, and takes all of them.
    async fn take(&self) -> HashSet<Touched> {
        loop {
            let touched = std::mem::take(&mut self.lock().now);
            if !touched.is_empty() {
                return touched;
            }
            // A notification since the look above is kept for this wait.
            self.0.touched.notified().await;
        }
    }

    /// Waits for a report, gathers for a moment, and has all that reported looked at.
    async fn gather(&self) {
        self.0.stirred.notified().await;
        tokio::time::sleep(GATHER).await;
        let mut state = self.lock();
        let soon = std::mem::take(&mut state.soon);
        state.now.extend(soon);
        self.0.touched.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use kube::runtime::reflector::ObjectRef;

    use super::*;

    fn names(touched: &HashSet<Touched>) -> Vec<&str> {
        let mut names: Vec<&str> = touched.iter().map(|one| one.name.as_str()).collect();
        names.sort_unstable();
        names
    }

    #[tokio::test]
    async fn changes_of_one_integration_coalesce_until_they_are_taken() {
        let changes = Changes::default();
        let stream = changes.subscribe();
        for _ in 0..1000 {
            changes.touch(ObjectRef::new("one"));
            changes.touch(ObjectRef::new("two"));
        }
        assert_eq!(names(&changes.lock().now), ["one", "two"]);
        let taken: HashSet<Touched> = stream.take(2).collect().await;
        assert_eq!(names(&taken), ["one", "two"]);
        assert!(changes.lock().now.is_empty());
    }

    #[tokio::test]
    async fn whoever_waits_is_woken_by_a_change() {
        let changes = Changes::default();
        let mut stream = Box::pin(changes.subscribe());
        let waits = tokio::spawn(async move { stream.next().await });
        tokio::task::yield_now().await;
        changes.touch(ObjectRef::new("one"));
        assert_eq!(waits.await.unwrap().unwrap().name, "one");
    }

    #[tokio::test(start_paused = true)]
    async fn reports_are_gathered() {
        let changes = Changes::default();
        let _stream = changes.subscribe();
        changes.touch_soon(ObjectRef::new("one"));
        changes.touch_soon(ObjectRef::new("two"));
        assert!(changes.lock().now.is_empty());
        changes.gather().await;
        assert_eq!(names(&changes.take().await), ["one", "two"]);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_gathered_while_nobody_reports() {
        let changes = Changes::default();
        let _stream = changes.subscribe();
        let waits = tokio::time::timeout(GATHER * 1000, changes.gather());
        assert!(waits.await.is_err());
    }

    #[test]
    fn nothing_is_kept_while_nobody_leads() {
        let changes = Changes::default();
        changes.touch(ObjectRef::new("one"));
        changes.touch_soon(ObjectRef::new("two"));
        changes.note_workload("n".to_owned());
        let state = changes.lock();
        assert!(state.now.is_empty() && state.soon.is_empty() && state.namespaces.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn namespaces_whose_workloads_change_together_are_told_together() {
        let changes = Changes::default();
        let _stream = changes.subscribe();
        changes.note_workload("a".to_owned());
        changes.note_workload("b".to_owned());
        let together = changes.changed_namespaces().await;
        assert_eq!(together, HashSet::from(["a".to_owned(), "b".to_owned()]));
    }

    #[test]
    fn a_pod_that_went_is_remembered() {
        let changes = Changes::default();
        changes.note_gone("u-1");
        assert!(changes.is_gone("u-1") && !changes.is_gone("u-2"));
    }
}
