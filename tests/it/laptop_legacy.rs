//! Legacy projects in a file, on a real Postgres and PostgREST: while records come and the sidecar is killed, Supabase gets
//! exactly what the list in force at each seq promised.

use std::fs;

use boboyka_tests::Supabase;
use boboyka_tests::process::{GUARD, wait_until};
use boboyka_tests::promises::{Promise, Record, Rows, Strand, record};
use serde_json::{Value, json};

use crate::laptop::Laptop;
use crate::mirror::lane;

/// Records of a round: one of each build and queue item.
const ROUND: u64 = 42;

impl Laptop {
    /// Asks for a phase with a list.
    pub(crate) fn list(&self, phase: &str, migration: &str) {
        let text = self.text();
        let begin = text.find("spec:\n").unwrap() + "spec:\n".len();
        let end = text.find("  supabase:\n").unwrap();
        let spec = format!("  phase: {phase}\n  migration: {{{migration}}}\n");
        let new = self.file().with_extension("new");
        fs::write(&new, format!("{}{spec}{}", &text[..begin], &text[end..])).unwrap();
        fs::rename(new, self.file()).unwrap();
    }

    pub(crate) async fn load(&self, strand: &mut Strand) {
        let begin = u64::try_from(strand.records.len()).unwrap();
        for n in begin..begin + ROUND {
            let (kind, data) = record("laptop", n);
            let receipt = self.sidecar.ingest(kind, &data).await;
            strand.records.extend(Record::of(&receipt, &data));
        }
    }

    /// The newest record of a change, once it is the n-th.
    pub(crate) async fn changes(&self, event: &str, count: usize) -> Vec<Value> {
        let path = "/v1/boboyka/events?limit=200&include=data&record_type=audit_log";
        let found = || async {
            let events = self.sidecar.get(path).await;
            let all = events["events"].as_array().unwrap().iter().rev();
            let all = all.filter(|it| it["data"]["event"] == event);
            let all = all.map(|it| it["data"]["metadata"].clone());
            all.collect::<Vec<_>>()
        };
        let there = || async { found().await.len() >= count };
        wait_until(GUARD, there, || self.told()).await;
        found().await
    }

    pub(crate) async fn drained(&self) {
        for name in ["project_build", "build_queue_item", "agent_health"] {
            let done = || async { lane(&self.sidecar, name).await["backlog"] == 0 };
            wait_until(GUARD, done, || self.told()).await;
        }
    }

    /// Both tables of projects were compared up to the last record, and have no row too few or too many.
    async fn is_compared(&self, strand: &Strand) {
        for name in ["project_build", "build_queue_item"] {
            let parity = || async {
                let parity = &lane(&self.sidecar, name).await["parity"];
                let head = strand.records.last().map(|it| it.seq);
                parity["up_to"].as_u64() >= head && parity["missing"] == 0 && parity["extra"] == 0
            };
            self.sidecar.post("/v1/boboyka/mirror/check", "").await;
            wait_until(GUARD, parity, || self.told()).await;
        }
    }

    async fn migrated(&self, project: &str) {
        let said = || async {
            let file = self.status_file();
            let begin = file.find("projects:").map_or("", |at| &file[at..]);
            let entry = begin.split("- name: ").find(|it| it.starts_with(project));
            entry.is_some_and(|entry| entry.contains("state: Migrated"))
        };
        wait_until(GUARD, said, || self.told()).await;
    }
}

pub(crate) fn boundary(change: &Value) -> u64 {
    change["boundary_seq"].as_u64().unwrap()
}

/// In a table of records each promised one; in a table of states the newest promised one of each key.
pub(crate) fn is_kept(supabase: &Supabase, strand: &Strand, latest: bool) {
    let (rows, strands) = (Rows::of(supabase, latest), [strand.clone()]);
    assert_eq!(rows.missing(&strands), Vec::<String>::new());
    assert_eq!(rows.too_many(&strands), Vec::<String>::new());
}

async fn there_and_back(latest: bool) {
    let supabase = Supabase::start().await;
    if latest {
        let unique = "create unique index one_row on project_builds (build_id)";
        supabase.sql(unique);
        // It has the guard and the rights of the mode then.
        supabase.sql_notices(include_str!("../../sidecar/supabase/schema.sql"));
        supabase.change_schema("select 1").await;
    }
    let mut laptop = Laptop::start(Some(&supabase)).await;
    let mut strand = Strand::default();
    laptop.load(&mut strand).await;
    let both = "legacyProjects: [proj_b, proj_a, proj_b]";
    laptop.list("MigrateInternals", both);
    laptop.load(&mut strand).await;
    laptop.obeys(2).await;
    let until = boundary(&laptop.changes("phase_changed", 1).await[0]);
    strand.promise = Promise {
        until,
        lists: vec![(until, vec!["proj_a", "proj_b"], false)],
    };
    laptop.load(&mut strand).await;
    laptop.sidecar.kill_9();
    laptop.sidecar.restart().await;
    laptop.load(&mut strand).await;
    laptop.list("CutOver", both);
    laptop.obeys(3).await;
    laptop.load(&mut strand).await;

    // One of them is migrated, with a kill in between.
    laptop.list("CutOver", "legacyProjects: [proj_b], legacyShared: true");
    laptop.sidecar.kill_9();
    laptop.sidecar.restart().await;
    let changes = laptop.changes("legacy_projects_changed", 1).await;
    let change = &changes[0];
    assert_eq!(change["removed"], json!(["proj_a"]));
    assert_eq!(change["by"], "root");
    let listed = (boundary(change), vec!["proj_b"], true);
    strand.promise.lists.push(listed);
    laptop.load(&mut strand).await;
    laptop.migrated("proj_a").await;
    laptop.drained().await;
    is_kept(&supabase, &strand, latest);
    laptop.is_compared(&strand).await;

    // The end is refused while a project is left.
    laptop.list("CutOver", "finalized: true, legacyProjects: [proj_b]");
    let refused = |status: &Value| {
        let error = status["integration"]["error"].as_str();
        error.is_some_and(|error| error.contains("spec.migration.legacyProjects: must be empty"))
    };
    laptop.shows(refused).await;

    // The other leaves it too, and then everything goes back to Supabase.
    laptop.list("CutOver", "");
    let changes = laptop.changes("legacy_projects_changed", 2).await;
    let listed = (boundary(&changes[1]), Vec::new(), false);
    strand.promise.lists.push(listed);
    laptop.load(&mut strand).await;
    laptop.drained().await;
    is_kept(&supabase, &strand, latest);
    laptop.list("DualWrite", "");
    laptop.sidecar.kill_9();
    laptop.sidecar.restart().await;
    laptop.obeys(1).await;
    laptop.load(&mut strand).await;
    strand.promise.until = u64::MAX;
    laptop.drained().await;
    is_kept(&supabase, &strand, latest);
}

#[tokio::test]
async fn two_legacy_projects_there_and_back_in_tables_of_records() {
    there_and_back(false).await;
}

#[tokio::test]
async fn two_legacy_projects_there_and_back_in_a_table_of_states() {
    there_and_back(true).await;
}

#[tokio::test]
async fn a_row_that_comes_for_a_migrated_project_is_a_foreign_write() {
    let supabase = Supabase::start().await;
    let laptop = Laptop::start(Some(&supabase)).await;
    let mut strand = Strand::default();
    laptop.load(&mut strand).await;
    laptop.list("MigrateInternals", "legacyProjects: [proj_a]");
    laptop.obeys(2).await;
    laptop.load(&mut strand).await;
    laptop.list("MigrateInternals", "");
    laptop.migrated("proj_a").await;
    supabase.sql("insert into project_builds (project_id, build_id, status, payload, record_hash, strand, seq, ingested_at_ms) \
         values ('proj_a', 'old', 'queued', '{}', repeat('ab', 32), gen_random_uuid(), 1, 1)");
    laptop.list("CutOver", "");
    laptop
        .is_blocked_by("NoForeignWrites", "project_builds has 1 rows")
        .await;
    laptop.obeys(2).await;
    supabase.sql("delete from project_builds where build_id = 'old'");
    laptop.sidecar.post("/v1/boboyka/mirror/check", "").await;
    laptop.obeys(3).await;
}
