//! Wall clocks that jump, of the sidecar and of the database, through a whole migration of a laptop: no gate passes early, none
//! stays closed for ever, and each seq is mirrored as the phase in force there promised.

use std::time::{Duration, Instant};

use boboyka_tests::process::{GUARD, wait_until};
use boboyka_tests::promises::{Record, Rows, Strand};
use boboyka_tests::{Preload, Supabase};
use serde_json::Value;

use crate::laptop::Laptop;
use crate::laptop_legacy::boundary;

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
/// Far shorter than the jumps.
const SOAK: Duration = Duration::from_secs(6);
const ASKED: &str = "soak: 6s";

impl Laptop {
    /// Waits until the soak has held for a while. There is no transition before the file is read either, so that says nothing.
    async fn soaks(&self, seconds: i64) {
        self.shows(|it| {
            let soak = &it["integration"]["transition"]["soak"];
            let phase = it["integration_phase"].as_str().unwrap();
            phase.starts_with("Phase 2") || soak["held_seconds"].as_i64() >= Some(seconds)
        })
        .await;
    }

    /// Has the tables compared and the foreign rows counted until a phase is in force.
    async fn obeys_evidence(&self, number: u8) {
        let begin = format!("Phase {number}");
        let obeys = || async {
            self.sidecar.post("/v1/boboyka/mirror/check", "").await;
            let phase = self.status().await["integration_phase"].clone();
            phase.as_str().unwrap().starts_with(&begin)
        };
        wait_until(GUARD, obeys, || self.told()).await;
    }
}

fn has_foreign_row(status: &Value) -> bool {
    let gates = status["integration"]["transition"]["gates"].as_array();
    gates.is_some_and(|gates| {
        let mut gates = gates.iter();
        gates.any(|it| {
            // It is also closed as long as nobody looked, and open when the row is as old as the soak.
            let message = it["message"].as_str().unwrap();
            let told = ["has 1 rows that no strand wrote", "1 older rows"];
            it["name"] == "NoForeignWrites" && told.iter().any(|it| message.contains(it))
        })
    })
}

/// Supabase has what was promised of the records, and nothing else.
async fn is_kept(laptop: &Laptop, supabase: &Supabase, strand: &Strand) {
    laptop.drained().await;
    let (rows, strands) = (Rows::of(supabase, false), [strand.clone()]);
    assert_eq!(rows.missing(&strands), Vec::<String>::new());
    assert_eq!(rows.too_many(&strands), Vec::<String>::new());
}

#[tokio::test]
async fn clocks_that_jump_pass_no_gate_early_and_close_none_for_ever() {
    let clock = Preload::new();
    let supabase = Supabase::start_in(clock.clocked()).await;
    let mut laptop = Laptop::start(Some(&supabase)).await;
    laptop.sidecar.kill_9();
    laptop.sidecar.restart_in(clock.clocked()).await;
    let mut strand = Strand::default();
    strand.promise.until = u64::MAX;
    let first = both_clocks_turn(&clock, &laptop, &supabase).await;
    strand.records.extend(first);
    laptop.load(&mut strand).await;

    // Ahead by an hour in the middle of the soak, then back by a day, over a start.
    let begun = Instant::now();
    laptop.list("MigrateInternals", ASKED);
    laptop.soaks(1).await;
    clock.turn(HOUR);
    laptop.load(&mut strand).await;
    laptop.soaks(2).await;
    clock.turn(-DAY);
    laptop.load(&mut strand).await;
    laptop.sidecar.kill_9();
    laptop.sidecar.restart().await;
    laptop.obeys(2).await;
    assert!(begun.elapsed() >= SOAK, "{:?}", begun.elapsed());
    strand.promise.until = boundary(&laptop.changes("phase_changed", 1).await[0]);
    laptop.load(&mut strand).await;
    is_kept(&laptop, &supabase, &strand).await;

    // A row that no strand wrote gets no older by a jump, and is not new for ever.
    laptop.list("CutOver", &format!("{ASKED}, pause: true"));
    supabase.sql("insert into project_builds (project_id, build_id, status, payload, record_hash, strand, seq, ingested_at_ms) \
         values ('p', 'foreign', 'queued', '{}', repeat('ab', 32), gen_random_uuid(), 1, 1)");
    let written = Instant::now();
    let found = || async {
        laptop.sidecar.post("/v1/boboyka/mirror/check", "").await;
        has_foreign_row(&laptop.status().await)
    };
    wait_until(GUARD, found, || laptop.told()).await;
    laptop.list("CutOver", ASKED);
    clock.turn(HOUR);
    laptop.sidecar.post("/v1/boboyka/mirror/check", "").await;
    clock.turn(-DAY);
    laptop.load(&mut strand).await;
    laptop.obeys_evidence(3).await;
    assert!(
        written.elapsed() >= 2 * SOAK,
        "quiet, and then the soak: {:?}",
        written.elapsed()
    );
    supabase.sql("delete from project_builds where build_id = 'foreign'");
    is_kept(&laptop, &supabase, &strand).await;

    clock.turn(HOUR);
    laptop.list("DualWrite", "");
    clock.turn(-DAY);
    laptop.obeys(1).await;
    laptop.load(&mut strand).await;
    strand.promise.until = u64::MAX;
    is_kept(&laptop, &supabase, &strand).await;
    assert_eq!(laptop.sidecar.get("/v1/boboyka/verify").await["ok"], true);
}

/// The jumps reach both, without which the test would show nothing. Returns the record that shows it.
async fn both_clocks_turn(clock: &Preload, laptop: &Laptop, supabase: &Supabase) -> Option<Record> {
    let since = |now: u64| {
        let epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.saturating_sub(epoch.unwrap().as_secs())
    };
    clock.turn(HOUR);
    let data = crate::mirror::health(1);
    let receipt = laptop.sidecar.ingest("agent_health", &data).await;
    let by_sidecar = since(receipt["ingested_at_ms"].as_u64().unwrap() / 1000);
    let by_database = since(
        supabase
            .sql("select extract(epoch from now())::bigint")
            .parse()
            .unwrap(),
    );
    clock.turn(-HOUR);
    for ahead in [by_sidecar, by_database] {
        assert!(ahead > 3000, "the clock did not jump: {ahead} s");
    }
    Record::of(&receipt, &data)
}
