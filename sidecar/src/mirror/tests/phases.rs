//! Lanes obey the phase: nothing from behind the boundary is ever sent, and a return sends it all.

use std::collections::BTreeSet;

use boboyka_crds::Phase;

use super::*;
use crate::integration::InForce;

impl Running {
    fn put_in_force(&self, phase: Phase, generation: i64) {
        let in_force = Some(InForce { phase, generation });
        self.integration
            .send_modify(|integration| integration.in_force = in_force);
    }

    async fn obeys(&self, phase: Phase) -> Option<Seq> {
        let mut watch = self.store.watch_phase();
        let state = watch
            .wait_for(|state| state.is_some_and(|state| state.phase == phase))
            .await
            .unwrap()
            .unwrap();
        state.mirror_until
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
        let change = async {
            let begun = running.store.head().seq;
            let mut head = running.store.watch_head();
            head.wait_for(|head| head.seq > begun + 70).await.unwrap();
            running.put_in_force(Phase::MigrateInternals, 2 * round + 1);
            running.obeys(Phase::MigrateInternals).await.unwrap()
        };
        let ((), until) = tokio::join!(ingest, change);
        let lane = running
            .wait_for("an end", |lane| lane.state == LaneState::Closed)
            .await;
        let reason = format!("the phase MigrateInternals mirrors nothing after seq {until}");
        assert_eq!(lane.reason, Some(reason));
        assert_eq!((lane.backlog, lane.lag_ms), (0, 0));
        assert!(!running.mirror.enabled() && running.mirror.configured());
        let after = running.ingest(["late".to_owned()]).await;
        let told = running.mirror.outcome(LANE, after).await;
        assert_eq!(told, Outcome::Disabled);
        assert_eq!(rows(&table), running.hashes_to(until));
        // Another phase that mirrors nothing keeps the boundary.
        running.put_in_force(Phase::CutOver, 2 * round + 1);
        assert_eq!(running.obeys(Phase::CutOver).await, Some(until));

        running.put_in_force(Phase::DualWrite, 2 * round + 2);
        assert_eq!(running.obeys(Phase::DualWrite).await, None);
        running.wait_until_drained().await;
        let head = running.store.head().seq;
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
    running.put_in_force(Phase::MigrateInternals, 1);
    assert_eq!(running.obeys(Phase::MigrateInternals).await, Some(seq));
    running.ingest(agents("after", 30)).await;
    let lane = running
        .wait_for("a backlog", |lane| lane.state != LaneState::Mirroring)
        .await;
    assert_eq!(lane.backlog, 30);
    let told = running.mirror.outcome(LANE, seq).await;
    assert!(matches!(told, Outcome::Queued { .. }), "{told:?}");
    table.lock().always = None;
    running
        .wait_for("an end", |lane| lane.state == LaneState::Closed)
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
    let running = Running::obeying(folder, source, Integration::unknown()).await;
    for n in 0..10 {
        let seq = running.ingest([format!("a{n}")]).await;
        let reason = "queued: the phase of the integration is not known yet".to_owned();
        assert_eq!(running.outcome(seq).await, Outcome::Queued { reason });
    }
    assert_eq!(running.lane().state, LaneState::Closed);
    assert_eq!(table.lock().requests, 0);
    running.put_in_force(Phase::DualWrite, 1);
    running.wait_until_drained().await;
    assert_eq!(table.count(), 10);
    running.stop().await;
}

#[tokio::test]
async fn a_boundary_is_fixed_when_the_change_is_seen_and_drained_when_the_lanes_came_so_far() {
    let table = FakeTable::start().await;
    table.lock().always = Some(Fault::Answer(503, ""));
    let mut running = Running::to(&table).await;
    let seq = running.ingest(agents("before", 30)).await;
    assert_eq!(*running.boundary.borrow(), None);
    let ask = |generation| {
        running
            .integration
            .send_modify(|integration| integration.transition = generation);
    };
    ask(Some(7));
    let mut boundary = running.boundary.clone();
    let fixed = *boundary.wait_for(Option::is_some).await.unwrap();
    let expected = Boundary {
        generation: 7,
        seq,
        drained: false,
    };
    assert_eq!(fixed, Some(expected));
    table.lock().always = None;
    running.mirror.retry(None).await.unwrap();
    let drained = |shown: &Option<Boundary>| shown.is_some_and(|boundary| boundary.drained);
    let shown = *boundary.wait_for(drained).await.unwrap();
    assert_eq!(shown.unwrap().seq, seq, "it stays where it was");
    running.ingest(agents("after", 3)).await;
    ask(Some(8));
    let next = |shown: &Option<Boundary>| shown.is_some_and(|boundary| boundary.generation == 8);
    let shown = *boundary.wait_for(next).await.unwrap();
    assert_eq!(shown.unwrap().seq, seq + 3);
    ask(None);
    running.boundary.wait_for(Option::is_none).await.unwrap();
    running.stop().await;
}

#[tokio::test]
async fn settings_that_change_count_from_the_next_batch_and_the_next_ingest_on() {
    let table = FakeTable::start().await;
    let running = Running::to(&table).await;
    running.ingest(agents("a", 100)).await;
    running.wait_until_drained().await;
    let requests = || running.mirror.counters(LANE).requests(Class::Done);
    let before = requests();
    running.acknowledges_within(FOREVER);
    running
        .integration
        .send_modify(|integration| integration.batch_rows = 10);
    running.ingest(agents("b", 100)).await;
    running.wait_until_drained().await;
    assert_eq!(requests() - before, 10);

    table.lock().always = Some(Fault::Hang);
    let seq = running.ingest(["late".to_owned()]).await;
    let asked = Instant::now();
    running.acknowledges_within(Duration::from_millis(100));
    let told = running.outcome(seq).await;
    assert!(matches!(told, Outcome::Queued { .. }), "{told:?}");
    let waited = asked.elapsed();
    assert!(waited >= Duration::from_millis(100), "{waited:?}");
    running
        .integration
        .send_modify(|integration| integration.batch_rows = 500);
    table.lock().always = None;
}
