//! `spec.migration` in a file: evidence and soak, pause, force, the end, and who asked for each.

use std::fs;

use boboyka_tests::Supabase;
use boboyka_tests::process::{GUARD, wait_until};
use serde_json::{Value, json};

use crate::laptop::Laptop;
use crate::mirror::health;

/// The line that tests edit.
const LINE: &str = "phase: DualWrite";

impl Laptop {
    /// Asks for a phase, with these fields of `spec.migration`.
    fn migrate(&self, phase: &str, migration: &str) {
        let text = self.text();
        let begin = text.find("  phase:").unwrap();
        let end = text.find("  # edit this line").unwrap();
        let line = format!("  phase: {phase}\n  migration: {{{migration}}}");
        let kept = text[..begin].to_owned();
        let before = kept
            .rfind("  migration:")
            .map_or(kept.as_str(), |at| &kept[..at]);
        let new = self.file().with_extension("new");
        fs::write(&new, format!("{before}{line}{}", &text[end..])).unwrap();
        fs::rename(new, self.file()).unwrap();
    }

    async fn transition(&self, what: impl Fn(&Value) -> bool) -> Value {
        let shown = self
            .shows(|it| what(&it["integration"]["transition"]))
            .await;
        shown["integration"]["transition"].clone()
    }

    /// The strand's own records of this event, oldest first.
    async fn records(&self, event: &str) -> Vec<Value> {
        let path = "/v1/boboyka/events?limit=100&include=data&record_type=audit_log";
        let events = self.sidecar.get(path).await;
        let all = events["events"].as_array().unwrap().iter().rev();
        let found = all.filter(|it| it["data"]["event"] == event);
        found.map(|it| it["data"]["metadata"].clone()).collect()
    }
}

fn gate<'a>(transition: &'a Value, name: &str) -> Option<&'a Value> {
    let mut gates = transition["gates"].as_array()?.iter();
    gates.find(|gate| gate["name"] == name)
}

#[tokio::test]
async fn a_soak_blocks_survives_a_kill_and_lets_the_step_through() {
    let mut laptop = Laptop::start(None).await;
    laptop.sidecar.ingest("agent_health", &health(1)).await;
    laptop.migrate("MigrateInternals", "soak: 4s");
    let soaks = |it: &Value| it["soak"]["held_seconds"].as_i64() >= Some(1);
    let before = laptop.transition(soaks).await;
    let soak = gate(&before, "Soak").unwrap();
    let message = soak["message"].as_str().unwrap();
    assert!(
        soak["passed"] == false && message.contains("of 4s, since "),
        "{message}"
    );
    let chain = gate(&before, "ChainIntact").unwrap();
    assert!(
        chain["message"]
            .as_str()
            .unwrap()
            .contains("the scrub has read"),
        "{chain}"
    );
    laptop.sidecar.kill_9();
    laptop.sidecar.restart().await;
    laptop.obeys(2).await;
    let change = laptop
        .shows(|it| it["integration"]["last_change"].is_object())
        .await;
    let change = &change["integration"]["last_change"];
    assert_eq!(change["by"], "root", "the file's owner");
    assert_eq!(change["gates"].as_array().unwrap().len(), 3, "{change}");
    let records = laptop.records("phase_changed").await;
    assert_eq!(records.len(), 1);
    let record = &records[0];
    assert_eq!(
        (&record["to"], &record["by"]),
        (&json!("MigrateInternals"), &json!("root"))
    );
    assert_eq!(
        (&record["evidence"], &record["generation"]),
        (&change["evidence"], &change["generation"])
    );
    assert!(record["boundary_seq"].is_u64());
}

#[tokio::test]
async fn a_kill_in_a_soak_takes_nothing_back_and_adds_nothing() {
    let mut laptop = Laptop::start(None).await;
    laptop.migrate("MigrateInternals", "soak: 1h");
    let soaks = |it: &Value| it["soak"]["since"].is_string();
    let before = laptop.transition(soaks).await;
    laptop.sidecar.kill_9();
    laptop.sidecar.restart().await;
    let after = laptop.transition(soaks).await;
    // A chain that the new process has not read yet may close a gate; then the soak begins anew, and never earlier.
    assert!(after["soak"]["since"].as_str() >= before["soak"]["since"].as_str());
    assert_eq!(after["generation"], before["generation"]);
    assert!(after["soak"]["held_seconds"].as_i64() < Some(60));
}

#[tokio::test]
async fn what_is_paused_stands_and_goes_on_where_it_stood() {
    let laptop = Laptop::start(None).await;
    laptop.migrate("MigrateInternals", "pause: true");
    let shown = laptop.transition(|it| it["paused"] == true).await;
    assert_eq!(
        (&shown["from"], &shown["to"]),
        (&json!("DualWrite"), &json!("MigrateInternals"))
    );
    let told = || async { laptop.status_file().contains("MigrationPaused") };
    wait_until(GUARD, told, || laptop.told()).await;
    let open = |it: &Value| {
        let gates = it["gates"].as_array().unwrap();
        gates.iter().all(|gate| gate["passed"] == true)
    };
    laptop.transition(open).await;
    laptop.obeys(1).await;
    laptop.migrate("MigrateInternals", "pause: false");
    laptop.obeys(2).await;
    // Back stands as well.
    laptop.migrate("DualWrite", "pause: true");
    laptop
        .transition(|it| it["paused"] == true && it["to"] == "DualWrite")
        .await;
    laptop.obeys(2).await;
    laptop.migrate("DualWrite", "");
    laptop.obeys(1).await;
}

#[tokio::test]
async fn a_force_names_its_gates_counts_once_and_is_recorded() {
    let mut supabase = Supabase::start().await;
    let laptop = Laptop::start(Some(&supabase)).await;
    supabase.stop_postgres();
    laptop.sidecar.ingest("agent_health", &health(1)).await;
    laptop.migrate("MigrateInternals", "");
    for closed in ["Drained", "Parity", "NoForeignWrites"] {
        laptop.is_blocked_by(closed, "").await;
    }
    let some = "force: {gates: [Drained, Parity], reason: \"the rows were moved by hand\"}";
    laptop.migrate("MigrateInternals", some);
    laptop
        .transition(|it| gate(it, "Parity").is_some_and(|gate| gate["forced"] == true))
        .await;
    laptop.is_blocked_by("NoForeignWrites", "").await;
    laptop.obeys(1).await;
    let all = "force: {gates: [Drained, Parity, NoForeignWrites], reason: \"the rows were moved by hand\"}";
    laptop.migrate("MigrateInternals", all);
    laptop.obeys(2).await;
    let records = laptop.records("phase_changed").await;
    let force = &records[0]["force"];
    assert_eq!(force["reason"], "the rows were moved by hand");
    assert_eq!(
        (&force["gates"][2], &force["by"]),
        (&json!("NoForeignWrites"), &json!("root"))
    );
    let told = laptop.sidecar.log();
    assert!(told.contains("the rows were moved by hand"), "{told}");
    // It counted for one generation.
    laptop.migrate("CutOver", all);
    laptop.is_blocked_by("Parity", "").await;
    laptop.obeys(2).await;
}

#[tokio::test]
async fn the_end_is_said_first_and_is_final_also_without_the_status_file() {
    let mut laptop = Laptop::start(None).await;
    laptop.sidecar.ingest("agent_health", &health(1)).await;
    laptop.migrate("MigrateInternals", "");
    laptop.obeys(2).await;
    laptop.migrate("CutOver", "");
    laptop.obeys(3).await;
    laptop.migrate("CutOver", "pause: true, finalized: true");
    let said = laptop.transition(|it| it["finalizes"] == true).await;
    let notice = said["notice"].as_str().unwrap();
    assert!(
        notice.contains("no way back") && notice.contains("records that Supabase does not have"),
        "{notice}"
    );
    assert!(laptop.sidecar.log().contains("no way back"));
    // Until it has come, it can be taken back.
    laptop.migrate("CutOver", "");
    laptop.transition(Value::is_null).await;
    laptop.migrate("CutOver", "finalized: true");
    laptop
        .shows(|it| it["integration"]["finalized"].is_object())
        .await;
    let recorded = || async { laptop.records("migration_finalized").await.len() == 1 };
    wait_until(GUARD, recorded, || laptop.told()).await;
    let record = laptop.records("migration_finalized").await.remove(0);
    assert_eq!(
        (&record["by"], &record["to"]),
        (&json!("root"), &json!("CutOver"))
    );
    laptop.migrate("CutOver", "finalized: false");
    is_refused(&laptop, "spec.migration.finalized: can't be taken back").await;
    laptop.migrate("DualWrite", "finalized: true");
    is_refused(&laptop, "spec.phase: must be CutOver while").await;
    laptop.sidecar.kill_9();
    fs::remove_file(laptop.file().with_extension("status.yaml")).unwrap();
    laptop.migrate("DualWrite", "");
    laptop.sidecar.restart().await;
    is_refused(&laptop, "spec.migration.finalized: can't be taken back").await;
    laptop.obeys(3).await;
    laptop.sidecar.ingest("agent_health", &health(2)).await;
    assert_eq!(laptop.records("migration_finalized").await.len(), 1, "once");
}

/// Waits until the file is refused for this reason, with its line.
async fn is_refused(laptop: &Laptop, why: &str) {
    let said = |status: &Value| {
        let error = status["integration"]["error"].as_str();
        error.is_some_and(|error| error.starts_with("line ") && error.contains(why))
    };
    laptop.shows(said).await;
}

#[tokio::test]
async fn a_wrong_migration_is_refused_with_its_field() {
    let laptop = Laptop::start(None).await;
    for (migration, why) in [
        (
            "soak: 1d",
            "spec.migration.soak: must be a duration from 0s to 8760h",
        ),
        ("soak: 9000h", "spec.migration.soak: must be"),
        ("pauze: true", "spec.migration.pauze: is not a field"),
        (
            "force: {gates: [], reason: x}",
            "spec.migration.force.gates: must name at least one gate",
        ),
        (
            "force: {gates: [Nope], reason: x}",
            "spec.migration.force.gates[0]: unknown variant `Nope`",
        ),
        (
            "force: {gates: [Parity], reason: \" \"}",
            "spec.migration.force.reason: must say why",
        ),
        ("finalized: true", "spec.phase: must be CutOver"),
    ] {
        laptop.migrate("DualWrite", migration);
        is_refused(&laptop, why).await;
    }
    assert!(laptop.text().contains(LINE));
    laptop.obeys(1).await;
}
