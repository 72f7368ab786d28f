//! What the API says in each phase, and of what retention took.

mod contract;
mod sapixdb;
mod streams;
mod tlog;

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use boboyka_cosigning::Cosigned;
use boboyka_crds::{LegacyList, Phase};
use boboyka_mirror::{Credentials, Mirror, Settings, SupabaseSource};
use boboyka_store::{ListChange, NewRecord, Options, PhaseChange, Store};
use boboyka_strand::Record;
use boboyka_strand::retention::Policy;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use tower::ServiceExt;

use super::sapixdb as calls;
use super::{Access, Api, Arc, Router};
use crate::traces::Traces;

/// An API whose Supabase, if it has one, never answers.
struct Running {
    store: Store,
    router: Router,
    api: Arc<Api>,
    _shutdown: DropGuard,
    folder: TempDir,
}

impl Running {
    fn start(has_supabase: bool) -> Self {
        // Only the first test gets to install it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let options = Options {
            seal_blocks: 100,
            min_free_bytes: 0,
            ..Options::new(folder.path())
        };
        let store = Store::open(options).unwrap();
        let signal = CancellationToken::new();
        let shutdown = signal.clone().drop_guard();
        let source = if has_supabase {
            SupabaseSource::Fixed(Credentials::new("http://127.0.0.1:9", "key").unwrap())
        } else {
            SupabaseSource::Absent
        };
        let (_, settings) = watch::channel(Settings::default());
        let (mirror, _) = Mirror::start(store.clone(), source, settings, signal.clone());
        let api = Arc::new(Api::new(
            store.clone(),
            mirror,
            Access::Open,
            signal,
            watch::channel(Cosigned::default()).1,
            None,
            Traces::default(),
        ));
        let router = super::router(Arc::clone(&api));
        Self {
            store,
            router,
            api,
            _shutdown: shutdown,
            folder,
        }
    }

    async fn call(&self, request: Request<Body>) -> (u16, Value) {
        let answer = self.router.clone().oneshot(request).await.unwrap();
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap())
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        let request = Request::get(path).header("host", "localhost");
        self.call(request.body(Body::empty()).unwrap()).await
    }

    async fn ingest(&self) -> Value {
        let body = json!({"record_type": "audit_log", "data": {"agent_id": "a", "event": "e"}});
        let request = Request::post("/v1/boboyka/ingest")
            .header("host", "localhost")
            .header("content-type", "application/json");
        let request = request.body(Body::from(body.to_string())).unwrap();
        let (status, receipt) = self.call(request).await;
        assert_eq!(status, 200, "{receipt}");
        receipt
    }

    /// Phase, whether new records are mirrored, and what an ingest says of that.
    async fn told(&self) -> (String, bool, Value) {
        let (_, status) = self.get("/v1/boboyka/status").await;
        let receipt = self.ingest().await;
        assert_eq!(
            status["dual_write_enabled"], receipt["dual_write"]["enabled"],
            "status and receipt disagree"
        );
        (
            status["integration_phase"].as_str().unwrap().to_owned(),
            status["dual_write_enabled"].as_bool().unwrap(),
            receipt["dual_write"].clone(),
        )
    }
}

#[tokio::test]
async fn each_phase_has_its_name_and_only_the_first_mirrors() {
    let running = Running::start(true);
    let nothing = json!({"enabled": false, "ok": null, "error": null});
    running.store.set_phase(Phase::DualWrite, 1).await.unwrap();
    let (phase, mirrors, _) = running.told().await;
    assert_eq!(phase, "Phase 1 — dual-write (SapixDB + Supabase)");
    assert!(mirrors);
    for (phase, name) in [
        (
            Phase::MigrateInternals,
            "Phase 2 — migrate internals (SapixDB is the source of truth)",
        ),
        (Phase::CutOver, "Phase 3 — cut over (SapixDB only)"),
    ] {
        running.store.set_phase(phase, 2).await.unwrap();
        let expected = (name.to_owned(), false, nothing.clone());
        assert_eq!(running.told().await, expected);
        let (_, events) = running.get("/v1/boboyka/events?limit=1").await;
        assert_eq!(events["events"][0]["dual_write_ok"], Value::Null);
    }
}

#[tokio::test]
async fn a_cutover_that_leaves_projects_on_supabase_says_so_and_how_many() {
    for (has_supabase, count, name) in [
        (
            true,
            2,
            "Phase 3 — cut over (SapixDB, and legacy projects on Supabase too)",
        ),
        (true, 0, "Phase 3 — cut over (SapixDB only)"),
        (false, 2, "Phase 3 — cut over (SapixDB only)"),
    ] {
        let running = Running::start(has_supabase);
        let names = ["a", "b"].iter().take(count).map(ToString::to_string);
        let change = PhaseChange {
            list: Some(ListChange {
                list: LegacyList::of(names, false),
                ..ListChange::default()
            }),
            ..PhaseChange::to(Phase::CutOver, 3)
        };
        running.store.change_phase(change).await.unwrap();
        let (_, status) = running.get("/v1/boboyka/status").await;
        assert_eq!(status["integration_phase"], name);
        let mirrored = if has_supabase { count } else { 0 };
        assert_eq!(status["legacy_projects"], mirrored);
    }
}

#[tokio::test]
async fn without_supabase_the_first_phase_says_so() {
    let running = Running::start(false);
    running.store.set_phase(Phase::DualWrite, 1).await.unwrap();
    let (phase, mirrors, _) = running.told().await;
    assert_eq!(phase, "Phase 1 — SapixDB only (Supabase not configured)");
    assert!(!mirrors);
}

#[tokio::test]
async fn what_retention_took_is_410_and_what_keeps_it_is_in_the_status() {
    let running = Running::start(true);
    running.store.set_phase(Phase::DualWrite, 1).await.unwrap();
    let first = running.ingest().await;
    let policy = Policy {
        max_age_ms: None,
        max_size_bytes: Some(0),
    };
    running.store.set_phase(Phase::CutOver, 2).await.unwrap();
    while running.store.view().footprint.segments == 0 {
        running.ingest().await;
    }
    // The first record is still to be mirrored.
    running.store.prune(policy, true).await.unwrap();
    let (_, status) = running.get("/v1/boboyka/status").await;
    let blocked = &status["retention"]["blocked_by"];
    assert_eq!(
        (&blocked["by"], &blocked["lane"]),
        (&json!("lane"), &json!("audit_log")),
        "{status}"
    );
    assert_eq!(status["strand"]["floor"]["seq"], 0);

    running.store.prune(policy, false).await.unwrap();
    let (_, status) = running.get("/v1/boboyka/status").await;
    let floor = status["strand"]["floor"]["seq"].as_u64().unwrap();
    assert!(floor >= 100, "{status}");
    assert_eq!(status["retention"]["blocked_by"], Value::Null);
    assert_eq!(status["retention"]["pruned_seq"], floor);
    assert!(status["retention"]["freed_bytes"].as_u64().unwrap() > 0);
    let hash = first["record_hash"].as_str().unwrap();
    let (code, body) = running.get(&format!("/v1/boboyka/records/{hash}")).await;
    let message = format!("the record was pruned: the strand begins after seq {floor}");
    let gone = json!({"error": "pruned", "code": "pruned", "message": message});
    assert_eq!((code, body), (410, gone));
    assert_eq!(status["total_events"], running.store.view().head.seq);
}

#[tokio::test]
async fn a_verification_beside_too_many_others_is_refused() {
    let running = Running::start(false);
    running.ingest().await;
    let permits = u32::try_from(running.api.verifications.available_permits()).unwrap();
    let held = running.api.verifications.try_acquire_many(permits).unwrap();
    let (status, body) = running.get("/v1/boboyka/verify").await;
    assert_eq!((status, &body["code"]), (429, &json!("verify_busy")));
    let (status, _) = running.get("/v1/boboyka/status").await;
    assert_eq!(status, 200);
    drop(held);
    let (status, body) = running.get("/v1/boboyka/verify").await;
    assert_eq!((status, &body["ok"]), (200, &json!(true)));
}

#[tokio::test]
async fn the_status_says_how_far_the_strand_is_ahead_of_the_clock() {
    let running = Running::start(false);
    running.ingest().await;
    let (_, status) = running.get("/v1/boboyka/status").await;
    assert_eq!(status["clock"], json!({"ahead_ms": 0}));
    let view = running.store.view();
    assert_eq!(view.ahead_ms(view.head.hlc.ms() - 7), 7);
}

#[tokio::test]
async fn pages_that_nobody_reads_are_bounded_and_make_room_when_they_are_dropped() {
    let running = Running::start(false);
    running.ingest().await;
    let page = || {
        let request = Request::get("/v1/boboyka/events").header("host", "localhost");
        let request = request.body(Body::empty()).unwrap();
        running.router.clone().oneshot(request)
    };
    let mut unread = Vec::new();
    while running.api.pages.available_permits() > 0 {
        unread.push(page().await.unwrap());
    }
    let mut next = tokio::spawn(page());
    // It can't end: what it waits for is here.
    assert!(
        tokio::time::timeout(Duration::from_millis(50), &mut next)
            .await
            .is_err()
    );
    drop(unread.pop());
    assert_eq!(next.await.unwrap().unwrap().status(), 200);
    running.store.close();
}
