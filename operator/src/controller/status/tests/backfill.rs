//! What the status says of a backfill, and that no gate and no counter is about the history.

use boboyka_crds::BackfillStatus;

use super::*;

fn asking() -> Value {
    let mut spec = mirrored();
    spec["migration"] = json!({"backfill": {"tables": ["audit_log"]}});
    spec
}

/// A history with this report of its backfill.
fn history(backfill: &Value) -> BoboykaStrand {
    let mut history = reporting(|status| {
        *status = serde_json::from_value(json!({
            "reportedAt": now(), "ready": false, "records": 70, "recordsByType": {"audit_log": 70}, "phase": "CutOver",
            "backlog": 9, "deadLetters": 3,
        }))
        .unwrap();
        status.backfill = serde_json::from_value(backfill.clone()).unwrap();
    });
    history.metadata.name = Some("boboyka-history".to_owned());
    history.spec.claim_name = None;
    history
}

fn status_with(
    spec: Value,
    history: Option<BoboykaStrand>,
    before: IntegrationStatus,
) -> IntegrationStatus {
    let day = Day {
        spec,
        history,
        before,
        ..day()
    };
    day.status()
}

fn of(status: &IntegrationStatus) -> Option<&BackfillStatus> {
    status.migration.as_ref()?.backfill.as_ref()
}

fn told(spec: Value, history: Option<BoboykaStrand>) -> BackfillStatus {
    let status = status_with(spec, history, IntegrationStatus::default());
    of(&status).unwrap().clone()
}

fn report(done: bool, problem: &Value) -> Value {
    json!({"until": "2026-01-31T12:00:00Z", "problem": problem,
        "tables": {"audit_log": {"table": "agent_audit_log", "rows": 64, "refused": 2, "done": done}}})
}

#[test]
fn rows_are_counted_by_record_type_until_it_is_done() {
    let begun = told(asking(), None);
    assert_eq!(begun, BackfillStatus::default());
    let going = told(asking(), Some(history(&report(false, &json!(null)))));
    assert_eq!((going.rows["audit_log"], going.refused), (64, 2));
    assert!(!going.done && going.problem.is_none() && going.until.is_some());
    assert!(told(asking(), Some(history(&report(true, &json!(null))))).done);
    let without = status_with(mirrored(), None, IntegrationStatus::default());
    assert!(without.migration.is_none());
}

#[test]
fn what_stands_in_the_way_is_told_until_a_run_gets_further() {
    let refused = history(&report(
        false,
        &json!("could not read table agent_audit_log"),
    ));
    let failed = status_with(asking(), Some(refused), IntegrationStatus::default());
    let why = of(&failed).unwrap().problem.as_deref();
    assert_eq!(why, Some("could not read table agent_audit_log"));
    let again = status_with(asking(), Some(history(&json!(null))), failed.clone());
    assert_eq!(
        of(&again),
        of(&failed),
        "the next run has not got further yet"
    );
    let further = history(&report(false, &json!(null)));
    let further = status_with(asking(), Some(further), failed.clone());
    assert_eq!(of(&further).unwrap().problem, None);
    let removed = status_with(mirrored(), Some(history(&json!(null))), failed);
    let removed = of(&removed).unwrap();
    assert_eq!(
        (removed.problem.as_ref(), removed.rows["audit_log"]),
        (None, 64)
    );

    let mut nowhere = asking();
    nowhere.as_object_mut().unwrap().remove("supabase");
    let why = told(nowhere, None).problem.unwrap();
    assert!(
        why.contains("no Supabase to import from: spec.supabase names none"),
        "{why}"
    );
    let mut fenced = history(&report(false, &json!(null)));
    fenced.spec.fenced = Some(Fence::default());
    let why = told(asking(), Some(fenced)).problem.unwrap();
    assert!(why.starts_with("strand boboyka-history: "), "{why}");
}

#[test]
fn that_the_history_is_damaged_is_told_also_when_everything_was_imported_and_nobody_asks() {
    let damaged = || {
        let mut damaged = history(&report(true, &json!(null)));
        let chain = json!({"intact": false, "reason": "a segment does not verify"});
        let status = damaged.status.as_mut().unwrap();
        status.chain = serde_json::from_value(chain).unwrap();
        Some(damaged)
    };
    for spec in [asking(), mirrored()] {
        let told = told(spec, damaged());
        let why = told.problem.unwrap();
        assert_eq!(why, "strand boboyka-history: a segment does not verify");
    }
}

#[test]
fn a_job_that_failed_without_a_word_is_named_and_is_no_drain() {
    let job: Job = serde_json::from_value(json!({
        "metadata": {"name": "j", "labels": {"boboyka.sapixdb.com/drain": "boboyka-history"}},
        "status": {"conditions": [{"type": "Failed", "status": "True", "message": "BackoffLimitExceeded"}]},
    }))
    .unwrap();
    let day = Day {
        spec: asking(),
        history: Some(history(&json!(null))),
        jobs: vec![job],
        ..day()
    };
    let status = day.status();
    let why = of(&status).unwrap().problem.clone().unwrap();
    assert!(
        why.starts_with("Job j failed") && why.contains("BackoffLimitExceeded"),
        "{why}"
    );
    let caught_up = condition(&status, ConditionType::MirrorCaughtUp);
    assert_eq!(caught_up, Some(because(true, Reason::AsExpected)));
}

#[test]
fn neither_counters_nor_conditions_nor_gates_are_about_the_history() {
    let mut spec = asking();
    spec["phase"] = json!("MigrateInternals");
    let before = IntegrationStatus {
        phase: Some(Phase::DualWrite),
        ..IntegrationStatus::default()
    };
    let without = status_with(spec.clone(), None, before.clone());
    let held = {
        let mut held = history(&report(false, &json!("no")));
        held.spec.holder = strand(|_| {}).spec.holder;
        held
    };
    let with = status_with(spec, Some(held), before);
    assert!(of(&with).unwrap().problem.is_some());
    assert!(with.transition.is_some(), "the step waits for its gates");
    let apart = |status: &IntegrationStatus| IntegrationStatus {
        migration: None,
        ..status.clone()
    };
    assert_eq!(apart(&with), apart(&without));
}
