//! Agents that post all the time, and remember what was acknowledged.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use boboyka_cluster::TestNamespace;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::ListParams;
use tokio::task::JoinHandle;

use crate::agents::{Caller, LABEL, record};

/// Between two posts of one agent.
const PAUSE: Duration = Duration::from_millis(50);

#[derive(Default)]
struct State {
    acknowledged: HashSet<String>,
    /// Pods that are posted to.
    busy: HashSet<String>,
    posted: u64,
}

/// A load on every labelled pod of a namespace, until it is ended.
pub(crate) struct Load {
    state: Arc<Mutex<State>>,
    manager: JoinHandle<()>,
}

impl Load {
    /// Begins.
    pub(crate) fn start(namespace: Arc<TestNamespace>) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let manager = tokio::spawn(manage(namespace, Arc::clone(&state)));
        Self { state, manager }
    }

    /// Ends; the hashes of all that was acknowledged.
    pub(crate) async fn end(self) -> HashSet<String> {
        self.manager.abort();
        let _ = self.manager.await;
        // Requests under way are answered or fail.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let mut state = self.state.lock().unwrap();
        state.busy.clear();
        std::mem::take(&mut state.acknowledged)
    }
}

async fn manage(namespace: Arc<TestNamespace>, state: Arc<Mutex<State>>) {
    let mut agents = tokio::task::JoinSet::new();
    let labelled = ListParams::default().labels(LABEL);
    loop {
        let pods = namespace
            .api::<Pod>()
            .list(&labelled)
            .await
            .map(|list| list.items);
        for pod in pods.unwrap_or_default() {
            let running = pod.metadata.deletion_timestamp.is_none()
                && pod
                    .status
                    .as_ref()
                    .is_some_and(|status| status.phase.as_deref() == Some("Running"));
            let name = pod.name_any();
            if running && state.lock().unwrap().busy.insert(name.clone()) {
                agents.spawn(post_all_the_time(
                    Arc::clone(&namespace),
                    name,
                    Arc::clone(&state),
                ));
            }
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

async fn post_all_the_time(namespace: Arc<TestNamespace>, pod: String, state: Arc<Mutex<State>>) {
    if let Ok(mut caller) = Caller::to(&namespace, &pod).await {
        loop {
            let number = {
                let mut state = state.lock().unwrap();
                state.posted += 1;
                state.posted
            };
            let body = record(&format!("bld_load_{number}")).to_string();
            match caller.ask("POST", "/v1/boboyka/ingest", &body).await {
                Ok((200, receipt)) => {
                    let hash = receipt["record_hash"].as_str().unwrap().to_owned();
                    state.lock().unwrap().acknowledged.insert(hash);
                }
                Ok(_) => {}
                Err(_) => break,
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    state.lock().unwrap().busy.remove(&pod);
}
