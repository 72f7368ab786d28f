//! Reports as sidecars write them, each at its own moment, at the interval that the operator asks for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use boboyka_crds::{BoboykaStrand, names};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::objects::{Fleet, Held};

/// Sidecars that report until this is dropped.
pub(super) struct Reports {
    sent: Arc<AtomicU64>,
    _sidecars: JoinSet<()>,
}

impl Reports {
    /// Begins. Every report has news, which is the most that a fleet says in peace.
    pub(super) fn start(fleet: &Fleet, interval: Duration) -> Self {
        let sent = Arc::new(AtomicU64::new(0));
        let mut sidecars = JoinSet::new();
        for held in &fleet.held {
            let api = fleet.namespaces[held.namespace].api();
            let (held, sent) = (held.clone(), Arc::clone(&sent));
            sidecars.spawn(async move {
                tokio::time::sleep(interval.mul_f64(fastrand::f64())).await;
                let mut asked = None;
                loop {
                    asked = report(&api, &held, asked).await;
                    sent.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(interval).await;
                }
            });
        }
        Self {
            sent,
            _sidecars: sidecars,
        }
    }

    /// How many were written so far.
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

/// Writes one report of a strand; the head that it is to show again in the next one.
pub(super) async fn report(
    api: &Api<BoboykaStrand>,
    held: &Held,
    asked: Option<i64>,
) -> Option<i64> {
    let parameters = PatchParams::apply(names::SIDECAR_MANAGER).force();
    let patch = json!({
        "apiVersion": "boboyka.sapixdb.com/v1alpha1", "kind": "BoboykaStrand",
        "metadata": {"name": held.strand}, "status": status(held, asked),
    });
    let written = api
        .patch_status(&held.strand, &parameters, &Patch::Apply(&patch))
        .await;
    written.unwrap().spec.witnessed.map(|head| head.seq)
}

fn status(held: &Held, asked: Option<i64>) -> Value {
    let now = Timestamp::now();
    // A record a second, so that heads go forward.
    let seq = now.as_second();
    let block = |seq: i64| json!({"seq": seq, "hash": format!("{seq:064x}")});
    let types = [
        "project_build",
        "build_queue_item",
        "agent_health",
        "audit_log",
    ];
    let lanes = types.map(|kind| {
        json!({
            "recordType": kind, "state": "idle", "mark": seq, "backlog": 0, "deadLetters": 0,
        })
    });
    json!({
        "podUid": held.pod_uid, "reportedAt": now, "ready": true,
        "strandId": "0193c5d1-7a52-7c3e-9d0a-2f6f1f0f7a11",
        "head": block(seq), "witnessed": asked.map(block),
        "records": seq, "recordsByType": types.map(|kind| (kind.to_owned(), seq / 4)).into_iter().collect::<BTreeMap<_, _>>(),
        "lanes": lanes, "backlog": 0, "lagMs": 0, "deadLetters": 0, "chain": {"intact": true},
        "phase": "DualWrite", "phaseGeneration": 1, "diskBytes": seq % 1_000_000_000, "version": "0.1.0",
    })
}
