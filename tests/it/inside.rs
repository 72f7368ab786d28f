//! The sidecar's store and mirror in this process, told by the test what the integration asks of them, as
//! the cluster does; beside them a real Supabase.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use boboyka_crds::Phase;
use boboyka_mirror::{Credentials, Mirror, SupabaseSource};
use boboyka_sidecar::integration::{InForce, Integration, Retention};
use boboyka_sidecar::phase::{TransitionProgress, follow};
use boboyka_sidecar::{mirroring, prune};
use boboyka_store::{self as store, Appended, NewRecord, Options, PageQuery, Store};
use boboyka_strand::{Record, RecordType, Seq};
use boboyka_tests::Supabase;
use boboyka_tests::process::{GUARD, ends, wait_until};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Store, mirror, phase and retention, as the sidecar runs them.
pub(crate) struct Inside {
    pub(crate) store: Store,
    pub(crate) mirror: Mirror,
    pub(crate) integration: watch::Sender<Integration>,
    pub(crate) boundary: watch::Receiver<Option<TransitionProgress>>,
    tasks: Vec<JoinHandle<()>>,
    shutdown: CancellationToken,
}

impl Inside {
    pub(crate) async fn start(data_dir: &Path, supabase: &Supabase, first: Integration) -> Self {
        // A client of the harness installs the TLS provider.
        drop(boboyka_tests::client());
        let store = Store::open(Options::new(data_dir)).unwrap();
        let shutdown = CancellationToken::new();
        let (integration, obeyed) = watch::channel(first);
        let (boundary, follower) = follow(store.clone(), obeyed.clone(), shutdown.clone()).await;
        let pruner = prune::start(store.clone(), obeyed.clone(), shutdown.clone());
        let credentials = Credentials::new(&supabase.url(), &supabase.jwt_key()).unwrap();
        let source = SupabaseSource::Fixed(credentials);
        let (settings, forwarder) = mirroring::settings(obeyed, shutdown.clone());
        let (mirror, lanes) = Mirror::start(store.clone(), source, settings, shutdown.clone());
        Self {
            store,
            mirror,
            integration,
            boundary,
            tasks: vec![lanes, forwarder, follower, pruner],
            shutdown,
        }
    }

    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        for task in self.tasks {
            ends("a task", task).await.unwrap();
        }
        let close = tokio::task::spawn_blocking(move || self.store.close());
        ends("closing the store", close).await.unwrap();
    }

    /// Puts a phase into force and waits until it is obeyed; the last seq that is mirrored.
    pub(crate) async fn enter(&self, phase: Phase, generation: i64) -> Option<Seq> {
        let in_force = Some(InForce { phase, generation });
        self.integration.send_modify(|integration| {
            integration.in_force = in_force;
            // Who says what is in force says of which projects; here of none.
            integration.legacy.get_or_insert_default();
        });
        let mut watch = self.store.watch_phase();
        let obeys = |state: &Option<store::PhaseState>| state.is_some_and(|s| s.phase == phase);
        let obeyed = ends("the change of the phase", watch.wait_for(obeys)).await;
        let state = *obeyed.unwrap();
        state.unwrap().mirror_until
    }

    pub(crate) fn retain(&self, max_age: Option<Duration>, max_size_bytes: Option<u64>) {
        self.integration.send_modify(|integration| {
            integration.retention = Retention {
                max_age,
                max_size_bytes,
                ..Retention::default()
            };
        });
    }

    /// Waits until the lanes owe nothing in this phase.
    pub(crate) async fn drains(&self) {
        let lanes = || self.mirror.lanes(&self.store.view());
        let done = || async { lanes().iter().all(|lane| lane.backlog == 0) };
        wait_until(GUARD, done, || format!("{:?}", lanes())).await;
    }

    /// Waits until the head has passed a seq.
    pub(crate) async fn passes(&self, seq: Seq) {
        let passed = || async { self.store.view().head.seq > seq };
        wait_until(GUARD, passed, || format!("{:?}", self.store.view().head)).await;
    }

    /// What the strand holds of a type up to a seq: hashes.
    pub(crate) fn hashes(&self, record_type: RecordType, until: Seq) -> BTreeSet<String> {
        let mut query = PageQuery {
            record_type: Some(record_type),
            before: until + 1,
            since_ms: 0,
            until_ms: u64::MAX,
            limit: 1_000,
            ..PageQuery::default()
        };
        let mut hashes = BTreeSet::new();
        loop {
            let page = self.store.page(&query).blocks;
            let Some(last) = page.last() else {
                return hashes;
            };
            query.before = last.header.seq;
            hashes.extend(page.iter().map(|block| block.hash.to_string()));
        }
    }
}

/// A record of any of the four types.
pub(crate) fn record(n: u64, padding: &str) -> NewRecord {
    let (record_type, data) = match n % 4 {
        0 => (
            RecordType::ProjectBuild,
            json!({"project_id": "p", "build_id": format!("b{n}"), "status": "queued"}),
        ),
        1 => (
            RecordType::BuildQueueItem,
            json!({"queue_id": format!("q{n}"), "project_id": "p", "status": "waiting"}),
        ),
        2 => (
            RecordType::AgentHealth,
            json!({"agent_id": "a", "status": "healthy"}),
        ),
        _ => (RecordType::AuditLog, json!({"agent_id": "a", "event": "e"})),
    };
    let mut data = data;
    data["n"] = json!(n);
    data["padding"] = json!(padding);
    NewRecord {
        record: Record::from_json(record_type, &data.to_string()).unwrap(),
        key: None,
    }
}

pub(crate) async fn append(store: &Store, records: Vec<NewRecord>) -> Vec<Appended> {
    let appended = ends("an append", store.append(records)).await.unwrap();
    appended.into_iter().map(Result::unwrap).collect()
}

/// The hashes of a table's rows; fails when one is there twice.
pub(crate) fn rows(supabase: &Supabase, record_type: RecordType) -> BTreeSet<String> {
    let rows = supabase.rows(record_type.table().unwrap());
    let hash = |row: &Value| row["record_hash"].as_str().unwrap().to_owned();
    let hashes: BTreeSet<_> = rows.iter().map(hash).collect();
    assert_eq!(hashes.len(), rows.len(), "a row is there twice");
    hashes
}
