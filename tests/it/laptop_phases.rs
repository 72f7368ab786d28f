//! The phases of a sidecar without a cluster: forward and back under load, gates that name what blocks, and settings.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use boboyka_tests::process::{GUARD, wait_until};
use boboyka_tests::{Sidecar, Supabase};
use serde_json::json;
use tokio::task::JoinHandle;

use crate::laptop::Laptop;
use crate::mirror::{health, lane};

/// Callers that go on until they are told to end.
struct Load {
    stop: Arc<AtomicBool>,
    written: Arc<AtomicU64>,
    callers: Vec<JoinHandle<()>>,
}

impl Load {
    fn on(sidecar: &Sidecar) -> Self {
        let (stop, written) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
        );
        let callers = (0..3).map(|caller| {
            let client = boboyka_tests::client();
            let url = sidecar.url("/v1/boboyka/ingest");
            let (stop, written) = (Arc::clone(&stop), Arc::clone(&written));
            tokio::spawn(async move {
                let mut n = caller;
                while !stop.load(Ordering::Relaxed) {
                    let record = json!({"record_type": "agent_health", "data": health(n)});
                    let answer = client.post(&url).json(&record).send().await.unwrap();
                    assert_eq!(answer.status(), 200);
                    written.fetch_add(1, Ordering::Relaxed);
                    n += 3;
                }
            })
        });
        Self {
            callers: callers.collect(),
            stop,
            written,
        }
    }

    async fn passes(&self, more: u64) {
        let until = self.written.load(Ordering::Relaxed) + more;
        let there = || async { self.written.load(Ordering::Relaxed) >= until };
        wait_until(GUARD, there, || "the load stands still".to_owned()).await;
    }

    async fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        for caller in self.callers {
            caller.await.unwrap();
        }
        self.written.load(Ordering::Relaxed)
    }
}

/// Rows of all tables, and the highest seq of one.
fn mirrored(supabase: &Supabase) -> (u64, u64) {
    let tables = [
        "project_builds",
        "build_queue",
        "agent_health",
        "agent_audit_log",
    ];
    let all: Vec<_> = tables
        .map(|table| format!("select seq from {table}"))
        .into();
    let all = all.join(" union all ");
    let told = supabase.sql(&format!(
        "select count(*) || ' ' || coalesce(max(seq), 0) from ({all}) t"
    ));
    let (count, last) = told.split_once(' ').unwrap();
    (count.parse().unwrap(), last.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_edited_line_cuts_over_under_load_and_supabase_holds_what_the_phases_mirrored() {
    let supabase = Supabase::start().await;
    let laptop = Laptop::start(Some(&supabase)).await;
    let load = Load::on(&laptop.sidecar);
    load.passes(60).await;
    laptop.edit("phase: DualWrite", "phase: MigrateInternals");
    laptop.obeys(2).await;
    load.passes(30).await;
    laptop.edit("phase: MigrateInternals", "phase: CutOver");
    laptop.obeys(3).await;
    load.passes(30).await;
    let drained = || async { lane(&laptop.sidecar, "agent_health").await["backlog"] == 0 };
    wait_until(GUARD, drained, || laptop.told()).await;
    // Every record up to the boundary is there once, and nothing after it.
    let (count, boundary) = mirrored(&supabase);
    assert_eq!(count, boundary);
    let head = laptop.status().await["strand"]["head"]["seq"].as_u64();
    assert!(
        boundary >= 60 && boundary + 60 <= head.unwrap(),
        "{boundary}"
    );
    laptop.edit("phase: CutOver", "phase: DualWrite");
    laptop.obeys(1).await;
    load.passes(30).await;
    let written = load.end().await;
    let head = laptop.status().await["strand"]["head"]["seq"].as_u64();
    assert_eq!(head, Some(written + 3), "and a record of each change");
    let there = || async { mirrored(&supabase) == (written + 3, written + 3) };
    wait_until(GUARD, there, || laptop.told()).await;
    let changes = supabase.sql(
        "select string_agg(payload->'metadata'->>'to', ' ' order by seq) from agent_audit_log \
         where payload->>'event' = 'phase_changed'",
    );
    assert_eq!(changes, "MigrateInternals CutOver DualWrite");
    let said = laptop.told();
    assert!(
        !said.contains(&supabase.jwt_key()),
        "the key is in log or status"
    );
    assert!(laptop.text().contains("# edit this line"));
}

#[tokio::test]
async fn each_gate_blocks_for_its_own_reason_and_names_it() {
    let mut supabase = Supabase::start().await;
    let mut laptop = Laptop::start(Some(&supabase)).await;
    laptop.sidecar.ingest("agent_health", &health(0)).await;
    let all = || async { mirrored(&supabase).0 == 1 };
    wait_until(GUARD, all, || laptop.told()).await;
    supabase.stop_postgres();
    laptop.sidecar.ingest("agent_health", &health(1)).await;
    laptop.edit("phase: DualWrite", "phase: MigrateInternals");
    laptop.is_blocked_by("Drained", "agent_health: ").await;
    // Back is at once, whatever blocks.
    laptop.edit("phase: MigrateInternals", "phase: DualWrite");
    laptop
        .shows(|it| it["integration"]["transition"].is_null())
        .await;
    supabase.start_postgres();
    let all = || async { mirrored(&supabase).0 == 2 };
    wait_until(GUARD, all, || laptop.told()).await;

    supabase
        .change_schema("alter table agent_health add constraint no check (agent_id <> 'a7')")
        .await;
    laptop.sidecar.try_ingest("agent_health", &health(7)).await;
    let dead = || async { lane(&laptop.sidecar, "agent_health").await["dead_lettered"] == 1 };
    wait_until(GUARD, dead, || laptop.told()).await;
    laptop.edit("phase: DualWrite", "phase: MigrateInternals");
    laptop
        .is_blocked_by("NoDeadLetters", "1 dead letters")
        .await;
    supabase
        .change_schema("alter table agent_health drop constraint no")
        .await;
    laptop.sidecar.post("/v1/boboyka/mirror/retry", "").await;
    laptop.obeys(2).await;

    laptop.sidecar.kill_9();
    let quarantine = laptop
        .sidecar
        .data_dir()
        .join("quarantine/00000000000000000001-damaged");
    fs::create_dir_all(&quarantine).unwrap();
    fs::write(quarantine.join("REASON.txt"), "a segment does not verify").unwrap();
    laptop.sidecar.restart().await;
    laptop.edit("phase: MigrateInternals", "phase: CutOver");
    laptop
        .is_blocked_by("ChainIntact", "a segment does not verify")
        .await;
    fs::remove_dir_all(&quarantine).unwrap();
    laptop.obeys(3).await;
}

#[tokio::test]
async fn tables_retention_and_the_secret_are_obeyed_when_they_change() {
    let supabase = Supabase::start().await;
    let laptop = Laptop::start(Some(&supabase)).await;
    let key = supabase.jwt_key();
    laptop.edit(&key, "a-key-that-is-refused");
    laptop.sidecar.try_ingest("agent_health", &health(0)).await;
    let refused =
        || async { lane(&laptop.sidecar, "agent_health").await["state"] == "auth_failed" };
    wait_until(GUARD, refused, || laptop.told()).await;
    laptop.edit("a-key-that-is-refused", &key);
    let all = || async { mirrored(&supabase).0 == 1 };
    wait_until(GUARD, all, || laptop.told()).await;
    laptop.edit(
        "{ackTimeout: 500ms}",
        "{tables: {agent_health: {table: other}}}\n  retention: {maxAge: 2h}\n  storage: {size: 1Gi}",
    );
    let moved = || async { lane(&laptop.sidecar, "agent_health").await["table"] == "other" };
    wait_until(GUARD, moved, || laptop.told()).await;
    let two_hours = 2 * 3_600_000;
    laptop
        .shows(|it| it["retention"]["max_age_ms"] == two_hours)
        .await;
    let unused = laptop.sidecar.log().matches("spec.storage").count();
    assert_eq!(unused, 1, "{}", laptop.sidecar.log());
}
