//! Agents that post all the time, and remember what was acknowledged.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use boboyka_cluster::{TestNamespace, wait_for};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::ListParams;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::agents::{LABEL, LIMIT, record};
use crate::caller::Caller;

/// Between two posts of one agent.
const PAUSE: Duration = Duration::from_millis(50);
/// Between two looks for pods.
const LOOK: Duration = Duration::from_millis(300);

#[derive(Default)]
struct State {
    /// The hash and the seq of every record.
    acknowledged: HashMap<String, u64>,
    /// Pods that are posted to.
    busy: HashSet<String>,
    posted: u64,
}

/// What the agent of a pod posts as the n-th record of all.
type Make = fn(pod: &str, n: u64) -> Value;

/// A load on every labelled pod of a namespace, until it is ended.
pub(crate) struct Load {
    state: Arc<Mutex<State>>,
    end: watch::Sender<bool>,
    manager: JoinHandle<()>,
}

impl Load {
    /// Begins, with builds.
    pub(crate) fn start(namespace: Arc<TestNamespace>) -> Self {
        Self::of(namespace, |_, n| record(&format!("bld_load_{n}")))
    }

    /// Begins, with what a test makes.
    pub(crate) fn of(namespace: Arc<TestNamespace>, make: Make) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let (end, ended) = watch::channel(false);
        let manager = tokio::spawn(manage(namespace, make, Arc::clone(&state), ended));
        Self {
            state,
            end,
            manager,
        }
    }

    /// How many records were acknowledged up to now.
    pub(crate) fn acknowledged(&self) -> usize {
        self.state.lock().unwrap().acknowledged.len()
    }

    /// Waits for this many more acknowledgements.
    pub(crate) async fn acknowledges(&self, more: usize) {
        let wanted = self.acknowledged() + more;
        wait_for("records to be acknowledged", LIMIT, || async {
            Ok(self.acknowledged() >= wanted)
        })
        .await
        .unwrap();
    }

    /// Ends when every request under way is answered or failed; the hash and the seq of all that was acknowledged.
    pub(crate) async fn end(&mut self) -> HashMap<String, u64> {
        self.end.send_replace(true);
        (&mut self.manager).await.unwrap();
        std::mem::take(&mut self.state.lock().unwrap().acknowledged)
    }
}

async fn manage(
    namespace: Arc<TestNamespace>,
    make: Make,
    state: Arc<Mutex<State>>,
    mut ended: watch::Receiver<bool>,
) {
    let mut agents = JoinSet::new();
    while !*ended.borrow() {
        for name in running(&namespace).await {
            if state.lock().unwrap().busy.insert(name.clone()) {
                let (namespace, state) = (Arc::clone(&namespace), Arc::clone(&state));
                let ended = ended.clone();
                agents.spawn(post_all_the_time(namespace, name, make, state, ended));
            }
        }
        let _ = tokio::time::timeout(LOOK, ended.changed()).await;
    }
    while agents.join_next().await.is_some() {}
}

/// The labelled pods that run and are not going away.
async fn running(namespace: &TestNamespace) -> Vec<String> {
    let labelled = ListParams::default().labels(LABEL);
    let pods = namespace.api::<Pod>().list(&labelled).await;
    let pods = pods.map(|list| list.items).unwrap_or_default();
    let runs = |pod: &&Pod| {
        let phase = pod
            .status
            .as_ref()
            .and_then(|status| status.phase.as_deref());
        pod.metadata.deletion_timestamp.is_none() && phase == Some("Running")
    };
    pods.iter().filter(runs).map(Pod::name_any).collect()
}

async fn post_all_the_time(
    namespace: Arc<TestNamespace>,
    pod: String,
    make: Make,
    state: Arc<Mutex<State>>,
    mut ended: watch::Receiver<bool>,
) {
    if let Ok(mut caller) = Caller::to(&namespace, &pod).await {
        while !*ended.borrow() {
            let number = {
                let mut state = state.lock().unwrap();
                state.posted += 1;
                state.posted
            };
            let body = make(&pod, number).to_string();
            match caller.ask("POST", "/v1/boboyka/ingest", &body).await {
                Ok((200, receipt)) => {
                    let hash = receipt["record_hash"].as_str().unwrap().to_owned();
                    let seq = receipt["seq"].as_u64().unwrap();
                    state.lock().unwrap().acknowledged.insert(hash, seq);
                }
                Ok(_) => {}
                Err(_) => break,
            }
            let _ = tokio::time::timeout(PAUSE, ended.changed()).await;
        }
    }
    let _ = tokio::time::timeout(LOOK, ended.changed()).await;
    state.lock().unwrap().busy.remove(&pod);
}
