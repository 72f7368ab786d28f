//! Lanes send the records of legacy projects after the boundary, and no others; receipts say so.

use std::collections::BTreeSet;

use boboyka_crds::LegacyList;
use boboyka_store::{ListChange, PhaseChange};

use super::*;

const BUILDS: RecordType = RecordType::ProjectBuild;

impl Running {
    async fn put_list_in_force(&self, phase: Phase, generation: i64, names: &[&str], shared: bool) {
        let list = LegacyList::of(names.iter().map(ToString::to_string), shared);
        let change = PhaseChange {
            list: Some(ListChange {
                list,
                ..ListChange::default()
            }),
            ..PhaseChange::to(phase, generation)
        };
        self.store.change_phase(change).await.unwrap();
    }

    async fn ingest_build(&self, project: &str) -> Seq {
        let data = json!({"project_id": project, "build_id": "b", "status": "queued"});
        let record = Record::from_json(BUILDS, &data.to_string()).unwrap();
        let new = NewRecord { record, key: None };
        self.store.append(vec![new]).await.unwrap()[0].unwrap().seq
    }
}

/// The hashes of the rows that the table has.
fn hashes(table: &FakeTable) -> BTreeSet<String> {
    table.lock().rows.keys().cloned().collect()
}

#[tokio::test]
async fn a_receipt_says_by_the_project_whether_a_record_is_mirrored() {
    let table = FakeTable::start().await;
    let running = Running::to(&table).await;
    let phase = Phase::MigrateInternals;
    running.put_list_in_force(phase, 2, &["a"], false).await;
    running
        .settings
        .send_modify(|settings| settings.ack_timeout = GUARD);
    let of_list = running.ingest_build("a").await;
    let told = running.mirror.outcome(BUILDS, of_list).await;
    assert_eq!(told, Outcome::Mirrored);
    let other = running.ingest_build("x").await;
    let last = running.ingest_build("a").await;
    assert_eq!(
        running.mirror.outcome(BUILDS, last).await,
        Outcome::Mirrored
    );
    // The lane has passed over it by now.
    assert_eq!(running.mirror.outcome_now(BUILDS, other), Outcome::Disabled);
    let health = running.ingest(agents("h", 1)).await;
    assert_eq!(
        running.mirror.outcome(LANE, health).await,
        Outcome::Disabled
    );
    assert_eq!(hashes(&table).len(), 2);
    running.put_list_in_force(phase, 3, &[], false).await;
    let after = running.ingest_build("a").await;
    assert_eq!(
        running.mirror.outcome(BUILDS, after).await,
        Outcome::Disabled
    );
    let lanes = running.mirror.lanes(&running.store.view());
    let lane = lanes
        .iter()
        .find(|lane| lane.record_type == BUILDS)
        .unwrap();
    assert_eq!(lane.state, LaneState::Closed);
    running.stop().await;
}

#[tokio::test]
async fn under_load_and_restarts_the_table_has_what_the_list_at_each_seq_promised() {
    let table = FakeTable::start().await;
    let mut running = Running::to(&table).await;
    let phase = Phase::MigrateInternals;
    let lists: [&[&str]; 4] = [&["a", "b"], &["b"], &[], &["a"]];
    for (round, names) in (2..).zip(lists) {
        running.put_list_in_force(phase, round, names, false).await;
        let ingest = async {
            for n in 0..60 {
                running.ingest_build(["a", "b", "x"][n % 3]).await;
            }
        };
        ingest.await;
        // What was not sent yet is sent after a restart.
        let folder = running.stop().await;
        let credentials = Credentials::new(&table.url(), "key").unwrap();
        running = Running::without_phase(folder, SupabaseSource::Fixed(credentials));
    }
    let drained = async {
        let mut changes = running.store.watch_view();
        while running.store.view().backlog(BUILDS) > 0 {
            changes.changed().await.unwrap();
        }
    };
    tokio::time::timeout(GUARD, drained).await.unwrap();
    // Sixty records a round, twenty of each project.
    assert_eq!(hashes(&table).len(), 20 * (2 + 1 + 1));
    running.put_in_force(Phase::DualWrite, 9).await;
    let drained = async {
        let mut changes = running.store.watch_view();
        while !running.store.view().is_settled() {
            changes.changed().await.unwrap();
        }
    };
    tokio::time::timeout(GUARD, drained).await.unwrap();
    let all = running.store.view().head.seq;
    assert_eq!(hashes(&table).len() as u64, all);
    running.stop().await;
}
