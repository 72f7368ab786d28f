//! What changed, on its way to the controller: which integrations to look at, at once or soon, and which pods are gone.
//!
//! Sidecars report all the time; an integration with a thousand strands is looked at twice a second for it, not a
//! thousand times.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kube::runtime::reflector::ObjectRef;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::GuardedIntegration;

/// An integration to look at.
pub type Touched = ObjectRef<GuardedIntegration>;

/// How long reports are gathered.
const GATHER: Duration = Duration::from_millis(500);
/// How long it is remembered that a pod is gone: longer than the controller takes to free its strand.
const GONE_KEPT: Duration = Duration::from_mins(2);

#[derive(Default)]
struct State {
    /// Where changes go while this replica leads.
    to: Option<mpsc::UnboundedSender<Touched>>,
    gathered: HashSet<Touched>,
    /// Namespaces whose workloads changed.
    namespaces: HashSet<String>,
    /// Pods that were seen to go, by UID.
    gone: HashMap<String, Instant>,
}

/// What changed. Cheap to clone.
#[derive(Clone, Default)]
pub struct Changes(Arc<Mutex<State>>);

impl std::fmt::Debug for Changes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Changes")
    }
}

impl Changes {
    pub(super) fn new(tasks: &mut JoinSet<()>) -> Self {
        let changes = Self::default();
        let gathered = changes.clone();
        tasks.spawn(async move {
            loop {
                tokio::time::sleep(GATHER).await;
                gathered.flush();
            }
        });
        changes
    }

    /// From now on changes are kept for the controller.
    pub fn subscribe(&self) -> mpsc::UnboundedReceiver<Touched> {
        let (to, changes) = mpsc::unbounded_channel();
        self.lock().to = Some(to);
        changes
    }

    /// Namespaces whose workloads changed since this was asked last.
    pub fn take_namespaces(&self) -> HashSet<String> {
        std::mem::take(&mut self.lock().namespaces)
    }

    /// Whether a pod was seen to go.
    pub fn is_gone(&self, pod_uid: &str) -> bool {
        self.lock().gone.contains_key(pod_uid)
    }

    /// Notes a pod that is deleted or has come to its end.
    pub(super) fn note_gone(&self, pod_uid: &str) {
        self.lock().gone.insert(pod_uid.to_owned(), Instant::now());
    }

    /// Has an integration looked at.
    pub fn touch(&self, touched: Touched) {
        self.now(touched);
    }

    pub(super) fn now(&self, touched: Touched) {
        let state = self.lock();
        if let Some(to) = state.to.as_ref().filter(|_| !touched.name.is_empty()) {
            // Nobody listens any more when the process ends.
            let _ = to.send(touched);
        }
    }

    pub(super) fn soon(&self, touched: Touched) {
        let mut state = self.lock();
        if state.to.is_some() {
            state.gathered.insert(touched);
        }
    }

    pub(super) fn workload(&self, namespace: String) {
        let mut state = self.lock();
        if state.to.is_some() {
            state.namespaces.insert(namespace);
        }
    }

    fn flush(&self) {
        let mut state = self.lock();
        state.gone.retain(|_, since| since.elapsed() < GONE_KEPT);
        let gathered = std::mem::take(&mut state.gathered);
        if let Some(to) = &state.to {
            for touched in gathered {
                let _ = to.send(touched);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
