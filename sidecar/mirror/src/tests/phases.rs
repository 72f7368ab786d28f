//! Lanes obey the phase: nothing from behind the boundary is ever sent, and a return sends it all.

use std::collections::BTreeSet;

use boboyka_crds::Phase;

use super::*;

impl Running {
    /// The health lane's requests that did what was asked.
    fn requests_done(&self) -> u64 {
        let mut counters = self.mirror.counters();
        let (_, counters) = counters.find(|(of, _)| *of == LANE).unwrap();
        counters.requests(crate::Class::Done)
    }

    /// The hashes of the health lane's records up to a seq.
    fn hashes_to(&self, seq: Seq) -> BTreeSet<String> {
        let hashes = (1..=seq).filter_map(|seq| {
            let block = self.store.block(seq).unwrap().unwrap();
            let hash = block.hash.to_string();
            (block.header.record_type == LANE).then_some(hash)
        });
        hashes.collect()
    }
}

/// The hashes of the rows in the table that are of the health lane.
fn rows(table: &FakeTable) -> BTreeSet<String> {
    let table = table.lock();
    let rows = table.rows.iter();
    let of_lane = rows.filter(|(_, (row, _))| row.get("status").is_some());
    of_lane.map(|(hash, _)| hash.clone()).collect()
}

#[tokio::test]
async fn a_lane_ends_exactly_at_the_boundary_and_a_return_sends_the_rest() {
    let table = FakeTable::start().await;
    let running = Running::to(&table).await;
    for round in 0..3 {
        let ingest = async {
            for n in 0..40 {
                running.ingest(agents(&format!("r{round}-{n}"), 7)).await;
            }
        };
        let begun = running.store.view().head.seq;
        let change = async {
            let mut head = running.store.watch_head();
            let under_way = head.wait_for(|head| head.seq >= begun + 70).await;
            drop(under_way.unwrap());
            running
                .put_in_force(Phase::MigrateInternals, 2 * round + 1)
                .await
                .unwrap()
        };
        let ((), until) = tokio::join!(ingest, change);
        let lane = running
            .wait_for("an end", |lane| lane.state == LaneState::Closed)
            .await;
        let reason = format!("the phase MigrateInternals mirrors nothing after seq {until}");
        assert_eq!(lane.reason, Some(reason));
        assert_eq!((lane.backlog, lane.lag_ms), (0, 0));
        assert!(!running.mirror.enabled(&running.store.view()) && running.mirror.configured());
        let after = running.ingest(["late".to_owned()]).await;
        let told = running.mirror.outcome(LANE, after).await;
        assert_eq!(told, Outcome::Disabled);
        assert_eq!(rows(&table), running.hashes_to(until));
        // Another phase that mirrors nothing keeps the boundary.
        let kept = running.put_in_force(Phase::CutOver, 2 * round + 1).await;
        assert_eq!(kept, Some(until));

        let until = running.put_in_force(Phase::DualWrite, 2 * round + 2).await;
        assert_eq!(until, None);
        running.wait_until_drained().await;
        let head = running.store.view().head.seq;
        assert_eq!(rows(&table), running.hashes_to(head));
        let told = running.mirror.outcome(LANE, after).await;
        assert_eq!(told, Outcome::Mirrored);
    }
    table.count();
    running.stop().await;
}

#[tokio::test]
async fn what_waited_before_the_boundary_is_still_sent_after_an_outage() {
    let table = FakeTable::start().await;
    table.lock().always = Some(Fault::Answer(503, ""));
    let running = Running::to(&table).await;
    let seq = running.ingest(agents("before", 30)).await;
    let until = running.put_in_force(Phase::MigrateInternals, 1).await;
    assert_eq!(until, Some(seq));
    running.ingest(agents("after", 30)).await;
    let lane = running
        .wait_for("a backlog", |lane| lane.state != LaneState::Mirroring)
        .await;
    assert_eq!(lane.backlog, 30);
    let told = running.mirror.outcome(LANE, seq).await;
    assert!(matches!(told, Outcome::Queued { .. }), "{told:?}");
    table.lock().always = None;
    running
        .wait_for("an end", |lane| {
            lane.state == LaneState::Closed && lane.backlog == 0
        })
        .await;
    assert_eq!(rows(&table), running.hashes_to(seq));
    running.stop().await;
}

#[tokio::test]
async fn while_the_phase_is_not_known_nothing_is_sent_and_the_lane_says_why() {
    let table = FakeTable::start().await;
    let credentials = Credentials::new(&table.url(), "key").unwrap();
    let source = SupabaseSource::Fixed(credentials);
    let folder = tempfile::tempdir().unwrap();
    let running = Running::without_phase(folder, source);
    let seq = running.ingest(agents("a", 10)).await;
    let reason = "queued: the phase of the integration is not known yet".to_owned();
    assert_eq!(
        running.mirror.outcome(LANE, seq).await,
        Outcome::Queued { reason }
    );
    assert_eq!(running.lane().state, LaneState::Closed);
    // Every lane has looked at its records once more when this returns.
    running.mirror.retry(None).await.unwrap();
    assert_eq!(table.lock().requests, 0);
    running.put_in_force(Phase::DualWrite, 1).await;
    running.wait_until_drained().await;
    assert_eq!(table.count(), 10);
    running.stop().await;
}

#[tokio::test]
async fn a_phase_that_comes_into_force_before_a_lanes_first_turn_is_no_reason_to_look_at_its_table_twice()
 {
    let table = FakeTable::start().await;
    let credentials = Credentials::new(&table.url(), "key").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let running = Running::without_phase(folder, SupabaseSource::Fixed(credentials));
    // The lanes run on this test's thread, which waits for another one.
    let store = running.store.clone();
    let put_in_force = std::thread::spawn(move || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build().unwrap();
        let changed = runtime.block_on(store.set_phase(Phase::DualWrite, 0));
        changed.unwrap().phase
    });
    assert_eq!(put_in_force.join().unwrap(), Phase::DualWrite);
    running.ingest(agents("a", 10)).await;
    running.wait_until_drained().await;
    running.ingest(agents("b", 10)).await;
    running.wait_until_drained().await;
    // The look at the table and both batches.
    assert_eq!(running.requests_done(), 3);
    running.stop().await;
}

#[tokio::test]
async fn settings_that_change_count_from_the_next_batch_and_the_next_ingest_on() {
    let table = FakeTable::start().await;
    let running = Running::to(&table).await;
    running.ingest(agents("a", 100)).await;
    running.wait_until_drained().await;
    let before = running.requests_done();
    running
        .settings
        .send_modify(|settings| settings.batch_rows = 10);
    running.ingest(agents("b", 100)).await;
    running.wait_until_drained().await;
    assert_eq!(running.requests_done() - before, 10);

    table.lock().always = Some(Fault::Hang);
    let seq = running.ingest(["late".to_owned()]).await;
    let asked = Instant::now();
    let told = running.outcome(seq, Duration::from_millis(100)).await;
    assert!(matches!(told, Outcome::Queued { .. }), "{told:?}");
    assert!(asked.elapsed() >= Duration::from_millis(80));
    running
        .settings
        .send_modify(|settings| settings.batch_rows = 500);
    table.lock().always = None;
}

/// Ticks of a hundredth of a second, and times that it began to wait, of this test's own thread, which is
/// the one that its lanes run on.
fn taken() -> (u64, u64) {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
    let after_name = stat.rsplit(')').next().unwrap();
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let waits = status
        .lines()
        .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))
        .unwrap();
    (ticks, waits.trim().parse().unwrap())
}

/// Lanes with nothing to do take no CPU and hardly wake, watched for three seconds.
async fn rest(state: &str) {
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = taken();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let after = taken();
    let (ticks, waits) = (after.0 - before.0, after.1 - before.1);
    assert!(
        ticks <= 5 && waits <= 20,
        "{state}: {ticks} ticks, {waits} waits"
    );
}

#[tokio::test]
async fn a_lane_rests_while_no_phase_is_known_while_the_phase_is_closed_and_after_a_restart() {
    let table = FakeTable::start().await;
    let source = || SupabaseSource::Fixed(Credentials::new(&table.url(), "key").unwrap());
    let running = Running::without_phase(tempfile::tempdir().unwrap(), source());
    running.ingest(agents("a", 10)).await;
    rest("no phase known").await;
    running.put_in_force(Phase::DualWrite, 1).await;
    running.wait_until_drained().await;
    rest("all mirrored").await;
    running.put_in_force(Phase::MigrateInternals, 2).await;
    running.ingest(agents("b", 10)).await;
    rest("closed").await;
    let folder = running.stop().await;
    let running = Running::without_phase(folder, source());
    rest("closed and restarted").await;
    running.put_in_force(Phase::DualWrite, 3).await;
    running.wait_until_drained().await;
    let folder = running.stop().await;
    let running = Running::without_phase(folder, source());
    rest("all mirrored and restarted").await;
    table.lock().always = Some(Fault::Answer(503, ""));
    running.ingest(agents("c", 10)).await;
    running
        .wait_for("an open breaker", |lane| lane.state == LaneState::Open)
        .await;
    rest("supabase down").await;
    running.stop().await;
}
