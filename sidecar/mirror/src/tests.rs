//! The lanes with a real store and a table that answers as it is told.

mod fake_table;
mod legacy;
mod phases;

use std::path::Path;
use std::time::{Duration, Instant};

use boboyka_crds::Phase;
use boboyka_store::{NewRecord, Options, Store};
use boboyka_strand::{Record, RecordType, Seq};
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::fake_table::{FakeTable, Fault};
use crate::{Credentials, LaneState, LaneStatus, Mirror, Outcome, Settings, SupabaseSource};

const LANE: RecordType = RecordType::AgentHealth;

/// Longer than anything takes on a busy machine; a test that gets here has failed.
const GUARD: Duration = Duration::from_mins(5);
/// Longer than the guard: what waits for it makes the test fail.
const FOREVER: Duration = Duration::from_hours(1);

struct Running {
    store: Store,
    settings: watch::Sender<Settings>,
    mirror: Mirror,
    task: tokio::task::JoinHandle<()>,
    shutdown: CancellationToken,
    folder: TempDir,
}

impl Running {
    async fn start(source: SupabaseSource) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), source).await
    }

    async fn start_in(folder: TempDir, source: SupabaseSource) -> Self {
        let running = Self::without_phase(folder, source);
        running.put_in_force(Phase::DualWrite, 0).await;
        running
    }

    /// One whose strand has recorded no phase yet, if it is a new one.
    fn without_phase(folder: TempDir, source: SupabaseSource) -> Self {
        // Only the first test gets to install it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let store = Store::open(Options::new(folder.path())).unwrap();
        let shutdown = CancellationToken::new();
        let (settings, obeyed) = watch::channel(Settings::default());
        let (mirror, task) = Mirror::start(store.clone(), source, obeyed, shutdown.clone());
        Self {
            store,
            settings,
            mirror,
            task,
            shutdown,
            folder,
        }
    }

    async fn to(table: &FakeTable) -> Self {
        let credentials = Credentials::new(&table.url(), "key").unwrap();
        Self::start(SupabaseSource::Fixed(credentials)).await
    }

    async fn put_in_force(&self, phase: Phase, generation: i64) -> Option<Seq> {
        let state = self.store.set_phase(phase, generation).await.unwrap();
        assert_eq!(state.phase, phase);
        state.mirror_until
    }

    async fn ingest(&self, agents: impl IntoIterator<Item = String>) -> Seq {
        let records = agents.into_iter().map(|agent| {
            let data = json!({"agent_id": agent, "status": "healthy"}).to_string();
            NewRecord {
                record: Record::from_json(LANE, &data).unwrap(),
                key: None,
            }
        });
        let appended = self.store.append(records.collect()).await.unwrap();
        appended.last().unwrap().as_ref().unwrap().seq
    }

    fn lane(&self) -> LaneStatus {
        self.mirror
            .lanes(&self.store.view())
            .into_iter()
            .find(|lane| lane.record_type == LANE)
            .unwrap()
    }

    async fn wait_for(&self, what: &str, is_so: impl Fn(&LaneStatus) -> bool) -> LaneStatus {
        let deadline = Instant::now() + GUARD;
        loop {
            let lane = self.lane();
            if is_so(&lane) {
                return lane;
            }
            assert!(Instant::now() < deadline, "{what} did not come: {lane:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// What becomes of an ingest that may wait this long.
    async fn outcome(&self, seq: Seq, ack_timeout: Duration) -> Outcome {
        self.settings
            .send_modify(|settings| settings.ack_timeout = ack_timeout);
        let outcome = self.mirror.outcome(LANE, seq);
        let outcome = tokio::time::timeout(GUARD, outcome).await;
        outcome.expect("the ingest waits no longer than it may")
    }

    async fn wait_until_drained(&self) -> LaneStatus {
        self.wait_for("an empty backlog", |lane| lane.backlog == 0)
            .await
    }

    async fn stop(self) -> TempDir {
        self.shutdown.cancel();
        self.task.await.unwrap();
        tokio::task::spawn_blocking(move || self.store.close())
            .await
            .unwrap();
        self.folder
    }
}

fn agents(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{prefix}-{n}")).collect()
}

fn write_folder(folder: &Path, url: &str, key: &str) {
    std::fs::write(folder.join("url"), url).unwrap();
    std::fs::write(folder.join("key"), key).unwrap();
}

#[tokio::test]
async fn an_ingest_learns_that_its_row_is_in_the_table() {
    let table = FakeTable::start().await;
    let running = Running::to(&table).await;
    let seq = running.ingest(["a".to_owned()]).await;
    assert_eq!(running.outcome(seq, GUARD).await, Outcome::Mirrored);
    assert_eq!(table.count(), 1);
    let lane = running.wait_until_drained().await;
    assert_eq!(
        (lane.state, lane.mark, lane.mirrored),
        (LaneState::Mirroring, seq, 1)
    );
    assert!(lane.idempotent && lane.lost_columns.is_empty() && lane.lag_ms == 0);
    running.stop().await;
}

#[tokio::test]
async fn troubles_that_pass_lose_and_double_nothing() {
    let table = FakeTable::start().await;
    table.lock().faults.extend([
        Fault::Answer(520, "<html>"),
        Fault::SlowDown("0"),
        Fault::Answer(503, r#"{"code":"PGRST001"}"#),
        Fault::StoredThenLost,
        Fault::Answer(500, r#"{"code":"40001"}"#),
    ]);
    let running = Running::to(&table).await;
    running.ingest(agents("a", 700)).await;
    let lane = running.wait_until_drained().await;
    assert_eq!(
        (table.count(), lane.mirrored, lane.dead_lettered),
        (700, 700, 0)
    );
    running.stop().await;
}

#[tokio::test]
async fn an_answer_that_is_lost_after_the_rows_were_stored_doubles_nothing() {
    let table = FakeTable::start().await;
    let running = Running::to(&table).await;
    let seq = running.ingest(["first".to_owned()]).await;
    running.mirror.outcome(LANE, seq).await;
    table
        .lock()
        .faults
        .extend([Fault::StoredThenLost, Fault::StoredThenLost]);
    running.ingest(agents("a", 40)).await;
    running.wait_until_drained().await;
    assert_eq!(table.count(), 41);
    running.stop().await;
}

#[tokio::test]
async fn only_the_bad_row_becomes_a_dead_letter_and_a_retry_brings_it_home() {
    let table = FakeTable::start().await;
    table.lock().refused_agents.push("a-123".to_owned());
    let running = Running::to(&table).await;
    let seq = running.ingest(agents("a", 300)).await;
    let lane = running.wait_until_drained().await;
    assert_eq!(
        (table.count(), lane.mirrored, lane.dead_lettered),
        (299, 299, 1)
    );
    let letter = running.store.dead_letters(LANE, 0, 10).unwrap().remove(0);
    assert_eq!((letter.seq, letter.code.as_str()), (seq - 176, "23514"));
    assert_eq!(letter.message, "check constraint sane");
    let told = running.mirror.outcome_now(LANE, letter.seq);
    assert_eq!(
        told,
        Outcome::DeadLettered {
            reason: "refused by supabase: 23514".to_owned()
        }
    );

    let again = running.mirror.retry(Some(LANE)).await.unwrap();
    assert_eq!(
        (again.retried, again.mirrored, again.dead_lettered),
        (1, 0, 1)
    );
    assert_eq!(
        running
            .store
            .dead_letter(LANE, letter.seq)
            .unwrap()
            .unwrap()
            .attempts,
        2
    );

    table.lock().refused_agents.clear();
    let again = running.mirror.retry(None).await.unwrap();
    assert_eq!(
        (again.retried, again.mirrored, again.dead_lettered),
        (1, 1, 0)
    );
    assert_eq!(
        running.mirror.outcome_now(LANE, letter.seq),
        Outcome::Mirrored
    );
    assert_eq!((table.count(), running.lane().dead_lettered), (300, 0));
    running.stop().await;
}

#[tokio::test]
async fn a_table_that_refuses_everything_stops_its_lane_before_all_is_dead() {
    let table = FakeTable::start().await;
    let all = agents("a", 400);
    table.lock().refused_agents.clone_from(&all);
    let running = Running::to(&table).await;
    let seq = running.ingest(all).await;
    let lane = running
        .wait_for("a refusal", |lane| lane.state == LaneState::Refused)
        .await;
    assert_eq!((lane.dead_lettered, lane.backlog), (100, 300));
    assert_eq!(
        lane.reason.unwrap(),
        "table agent_health refuses every record (23514)"
    );
    let reason = "queued: table agent_health refuses every record (23514)".to_owned();
    assert_eq!(
        running.mirror.outcome(LANE, seq).await,
        Outcome::Queued { reason }
    );

    // Nothing has changed: the lane tries, and stays as it is.
    running.mirror.retry(Some(LANE)).await.unwrap();
    let lane = running
        .wait_for("a refusal", |lane| lane.state == LaneState::Refused)
        .await;
    assert_eq!((lane.dead_lettered, lane.backlog), (100, 300));

    table.lock().refused_agents.clear();
    let report = running.mirror.retry(Some(LANE)).await.unwrap();
    assert_eq!(report.mirrored, 100);
    let lane = running.wait_until_drained().await;
    assert_eq!(
        (lane.state, lane.mirrored, table.count()),
        (LaneState::Mirroring, 400, 400)
    );
    running.stop().await;
}

#[tokio::test]
async fn a_refused_key_stops_the_lane_at_once_and_a_retry_wakes_it() {
    let table = FakeTable::start().await;
    table.lock().always = Some(Fault::Answer(401, ""));
    let running = Running::to(&table).await;
    running
        .wait_for("a refused key", |lane| lane.state == LaneState::AuthFailed)
        .await;
    let seq = running.ingest(["a".to_owned()]).await;
    let reason = "queued: supabase key refused".to_owned();
    let outcome = running.outcome(seq, FOREVER).await;
    assert_eq!(outcome, Outcome::Queued { reason });
    running.wait_for("an age", |lane| lane.lag_ms > 0).await;
    table.lock().always = None;
    running.mirror.retry(None).await.unwrap();
    running.wait_until_drained().await;
    assert_eq!(table.count(), 1);
    running.stop().await;
}

#[tokio::test]
async fn an_outage_opens_the_breaker_and_then_no_ingest_waits() {
    let table = FakeTable::start().await;
    table.lock().always = Some(Fault::Answer(503, ""));
    let running = Running::to(&table).await;
    let first = running.ingest(["a".to_owned()]).await;
    let outcome = running.outcome(first, Duration::from_millis(200)).await;
    assert!(matches!(outcome, Outcome::Queued { .. }), "{outcome:?}");
    running
        .wait_for("an open breaker", |lane| lane.state == LaneState::Open)
        .await;
    let second = running.ingest(["b".to_owned()]).await;
    let reason = "queued: supabase answered 503".to_owned();
    let outcome = running.outcome(second, FOREVER).await;
    assert_eq!(outcome, Outcome::Queued { reason });
    table.lock().always = None;
    running.wait_until_drained().await;
    assert_eq!(table.count(), 2);
    running.stop().await;
}

#[tokio::test]
async fn a_table_with_fewer_columns_gets_what_fits() {
    let table = FakeTable::start().await;
    {
        let mut table = table.lock();
        table.missing_columns = vec!["cpu_pct", "seq"];
        table.has_unique_key = false;
    }
    let running = Running::to(&table).await;
    running.ingest(agents("a", 3)).await;
    let lane = running.wait_until_drained().await;
    let lost: Vec<&str> = lane.lost_columns.iter().map(|name| &**name).collect();
    assert_eq!(lost, ["cpu_pct", "seq"]);
    assert!(!lane.idempotent);
    assert_eq!(table.count(), 3);
    running.stop().await;
}

#[tokio::test]
async fn what_is_too_large_is_halved_and_a_single_row_that_still_is_becomes_a_dead_letter() {
    let table = FakeTable::start().await;
    table.lock().body_max = 20_000;
    let running = Running::to(&table).await;
    let mut all = agents("a", 500);
    all.insert(250, "x".repeat(30_000));
    running.ingest(all).await;
    let lane = running.wait_until_drained().await;
    assert_eq!((table.count(), lane.dead_lettered), (500, 1));
    let letter = running.store.dead_letters(LANE, 0, 10).unwrap().remove(0);
    assert_eq!(letter.code, "HTTP 413");
    running.stop().await;
}

#[tokio::test]
async fn records_from_before_are_caught_up_once_a_folder_names_a_supabase() {
    let table = FakeTable::start().await;
    let secrets = tempfile::tempdir().unwrap();
    let running = Running::start(SupabaseSource::Folder(secrets.path().to_owned())).await;
    let seq = running.ingest(agents("a", 1200)).await;
    assert!(!running.mirror.enabled(&running.store.view()));
    assert_eq!(running.mirror.outcome(LANE, seq).await, Outcome::Disabled);
    let lane = running.lane();
    assert_eq!(lane.state, LaneState::Disabled);
    assert_eq!(lane.reason.unwrap(), "the supabase folder has no file url");
    write_folder(secrets.path(), &table.url(), "key");
    running.wait_until_drained().await;
    assert!(running.mirror.enabled(&running.store.view()));
    assert_eq!(running.mirror.supabase_url(), Some(table.url()));
    assert_eq!(running.outcome(seq, GUARD).await, Outcome::Mirrored);
    assert_eq!(table.count(), 1200);
    // Emptied, the folder switches the mirror off again; what is mirrored stays so.
    write_folder(secrets.path(), "", "");
    running
        .wait_for("the end", |lane| lane.state == LaneState::Disabled)
        .await;
    assert_eq!(running.mirror.outcome_now(LANE, seq), Outcome::Mirrored);
    running.stop().await;
}

#[tokio::test]
async fn new_credentials_do_not_wait_for_a_request_that_hangs() {
    let (stuck, table) = (FakeTable::start().await, FakeTable::start().await);
    stuck.lock().always = Some(Fault::Hang);
    let secrets = tempfile::tempdir().unwrap();
    write_folder(secrets.path(), &stuck.url(), "key");
    let running = Running::start(SupabaseSource::Folder(secrets.path().to_owned())).await;
    running.ingest(agents("a", 3)).await;
    write_folder(secrets.path(), &table.url(), "key");
    let asked = Instant::now();
    running.wait_until_drained().await;
    // The request itself would hang for thirty seconds.
    assert!(asked.elapsed() < Duration::from_secs(25));
    assert_eq!(table.count(), 3);
    running.stop().await;
}

#[tokio::test]
async fn a_lane_goes_on_from_its_mark_after_a_restart() {
    let table = FakeTable::start().await;
    let running = Running::to(&table).await;
    running.ingest(agents("a", 30)).await;
    running.wait_until_drained().await;
    let folder = running.stop().await;
    let requests = table.lock().requests;
    let credentials = Credentials::new(&table.url(), "key").unwrap();
    let running = Running::start_in(folder, SupabaseSource::Fixed(credentials)).await;
    assert_eq!(running.lane().mirrored, 30);
    let seq = running.ingest(["late".to_owned()]).await;
    assert_eq!(running.outcome(seq, GUARD).await, Outcome::Mirrored);
    assert_eq!(table.count(), 31);
    // Three questions for each lane and the new row; of the old ones nothing was sent again.
    assert!(table.lock().requests <= requests + 13);
    running.stop().await;
}

#[tokio::test]
async fn lanes_end_at_once_although_they_were_asked_to_wait_for_minutes() {
    let table = FakeTable::start().await;
    table.lock().always = Some(Fault::SlowDown("300"));
    let running = Running::to(&table).await;
    running.ingest(agents("a", 10)).await;
    running
        .wait_for("trouble", |lane| lane.state == LaneState::BackingOff)
        .await;
    let stopped = tokio::time::timeout(GUARD, running.stop()).await;
    assert!(stopped.is_ok(), "the lanes wait although they are to end");
}
