//! Which changes make an Event, and which can wait.

use boboyka_crds::{
    BackfillStatus, Change, Finalized, GateName, LegacyList, LegalHold, Phase, TakenForce,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use serde_json::json;

use super::*;
use crate::controller::status::tests::cases;

fn condition(kind: ConditionType, status: &str, reason: &str) -> Condition {
    Condition {
        type_: kind.to_string(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: format!("{kind} is {status}"),
        observed_generation: None,
        last_transition_time: Time(Timestamp::UNIX_EPOCH),
    }
}

fn with(conditions: Vec<Condition>) -> IntegrationStatus {
    IntegrationStatus {
        conditions,
        ..IntegrationStatus::default()
    }
}

/// The Events of a change, each as `TYPE REASON`.
fn told(before: &IntegrationStatus, after: &IntegrationStatus) -> Vec<String> {
    let events = events(before, after, &Lists::default()).into_iter();
    let told = events.map(|event| format!("{:?} {}", event.type_, event.reason));
    told.collect()
}

#[test]
fn every_reason_makes_an_event_when_its_condition_changes_for_the_worse() {
    let quiet = ["MirrorCaughtUp", "Reconciling"];
    for (kind, holds, reason, status) in cases() {
        if quiet.contains(&kind.as_str()) || reason == Reason::PhaseGateClosed {
            continue;
        }
        let is_good = holds && kind != ConditionType::Stalled;
        let told = told(&IntegrationStatus::default(), &status);
        let type_ = if ORDINARY.contains(&reason) {
            "Normal"
        } else {
            "Warning"
        };
        let event = format!("{type_} {reason}");
        assert_eq!(told.contains(&event), !is_good, "{kind} {reason}: {told:?}");
        let mut once = told.clone();
        once.sort();
        once.dedup();
        assert_eq!(once.len(), told.len(), "{kind} {reason}: {told:?}");
    }
}

#[test]
fn every_condition_that_is_true_again_makes_an_event() {
    for kind in ConditionType::ALL {
        let was = with(vec![condition(*kind, "False", "Bad")]);
        let is = with(vec![condition(*kind, "True", Reason::AsExpected.as_str())]);
        let told = told(&was, &is);
        match kind {
            ConditionType::MirrorCaughtUp | ConditionType::Reconciling => {
                assert_eq!(told, [] as [&str; 0], "{kind} changes with every batch");
            }
            // Nothing is good about being stalled.
            ConditionType::Stalled => assert_eq!(told, ["Warning AsExpected"]),
            ConditionType::Ready
            | ConditionType::ChainIntact
            | ConditionType::CredentialsAccepted
            | ConditionType::SupabaseReachable
            | ConditionType::RetentionEnforced
            | ConditionType::ClockInStep
            | ConditionType::CheckpointsCosigned
            | ConditionType::Archived
            | ConditionType::StorageDurable
            | ConditionType::StrandsUnfenced
            | ConditionType::WorkloadsSelected
            | ConditionType::LegacyProjectsRead
            | ConditionType::SidecarsUpToDate => {
                assert_eq!(told, [format!("Normal {kind}Again")]);
            }
        }
    }
}

#[test]
fn a_condition_that_is_true_for_another_reason_keeps_that_reason() {
    let was = with(vec![condition(ConditionType::Ready, "True", "AsExpected")]);
    let is = with(vec![condition(ConditionType::Ready, "True", "NoPods")]);
    assert_eq!(told(&was, &is), ["Normal NoPods"]);
}

#[test]
fn a_good_beginning_and_a_new_message_are_no_news() {
    let good = with(vec![condition(ConditionType::Ready, "True", "AsExpected")]);
    assert!(told(&IntegrationStatus::default(), &good).is_empty());
    let mut reworded = good.clone();
    reworded.conditions[0].message = "another".to_owned();
    assert!(told(&good, &reworded).is_empty());
}

#[test]
fn each_fence_makes_an_event() {
    let fenced = |message: &str| {
        let mut one = condition(ConditionType::StrandsUnfenced, "False", "Fenced");
        one.message = message.to_owned();
        with(vec![one])
    };
    let none = with(vec![condition(
        ConditionType::StrandsUnfenced,
        "True",
        "AsExpected",
    )]);
    let (one, two) = (fenced("a: fenced"), fenced("a: fenced, b: fenced"));
    assert_eq!(told(&none, &one), ["Warning Fenced"]);
    assert_eq!(told(&one, &two), ["Warning Fenced"]);
    assert!(told(&two, &two).is_empty());
    assert_eq!(told(&two, &none), ["Normal StrandsUnfencedAgain"]);
}

#[test]
fn what_happened_is_news_each_time_and_what_stands_so_is_counted() {
    let of = |reason: Reason| event(EventType::Normal, TRANSITION, reason.as_str(), "a note");
    for reason in [
        Reason::PhaseInForce,
        Reason::LegacyProjectsChanged,
        Reason::LegalHold,
        Reason::Fenced,
        Reason::BackfillFailed,
    ] {
        assert!(is_news_each_time(&of(reason)), "{reason}");
    }
    assert!(!is_news_each_time(&of(Reason::PhaseGateClosed)));
}

#[test]
fn a_change_of_the_list_and_a_project_that_became_migrated_make_an_event_each_once() {
    let status = |listed: &[&str], state: &str| {
        let names = || listed.iter().map(ToString::to_string);
        let legacy = json!({"generation": 2, "digest": LegacyList::of(names(), false).digest(), "listed": listed.len(),
            "since": "2026-01-01T00:00:00Z", "migrated": usize::from(state == "Migrated")});
        let project = json!({"name": "b", "state": state, "since": "2026-01-01T00:00:00Z"});
        let migration = json!({"legacy": legacy, "projects": [project]});
        let status: IntegrationStatus =
            serde_json::from_value(json!({ "migration": migration })).unwrap();
        status
    };
    let (both, one) = (status(&["a", "b"], "Legacy"), status(&["a"], "Migrating"));
    let done = status(&["a"], "Migrated");
    assert_eq!(told(&both, &one), ["Normal LegacyProjectsChanged"]);
    assert_eq!(told(&one, &done), ["Normal LegacyProjectMigrated"]);
    assert!(told(&done, &done).is_empty());
}

#[test]
fn a_change_of_phase_makes_an_event() {
    let of = |phase| IntegrationStatus {
        phase,
        ..IntegrationStatus::default()
    };
    let (first, second) = (
        of(Some(Phase::DualWrite)),
        of(Some(Phase::MigrateInternals)),
    );
    assert_eq!(told(&first, &second), ["Normal PhaseInForce"]);
    let event = events(&first, &second, &Lists::default()).remove(0);
    let note = "the phase changed from DualWrite to MigrateInternals";
    assert_eq!(event.note.as_deref(), Some(note));
    assert!(
        told(&of(None), &first).is_empty(),
        "a beginning is no change"
    );
    assert!(told(&first, &first).is_empty());
}

/// A status whose transition waits for these gates.
fn waiting(closed: &[&str]) -> IntegrationStatus {
    let gate = |name: &str, passed| Gate {
        name: name.to_owned(),
        passed,
        forced: false,
        message: format!("about {name}"),
    };
    let mut gates: Vec<Gate> = closed.iter().map(|name| gate(name, false)).collect();
    gates.push(gate("Reported", true));
    IntegrationStatus {
        transition: Some(Transition {
            from: Phase::DualWrite,
            to: Phase::MigrateInternals,
            generation: 2,
            gates,
            ..Transition::default()
        }),
        ..IntegrationStatus::default()
    }
}

#[test]
fn closed_gates_make_an_event_when_they_are_others_than_before() {
    let (nothing, one, two) = (
        IntegrationStatus::default(),
        waiting(&["Drained"]),
        waiting(&["Drained", "ChainIntact"]),
    );
    assert_eq!(told(&nothing, &one), ["Warning PhaseGateClosed"]);
    assert!(told(&one, &one).is_empty());
    assert_eq!(told(&one, &two), ["Warning PhaseGateClosed"]);
    let note = events(&one, &two, &Lists::default())
        .remove(0)
        .note
        .unwrap();
    assert_eq!(
        note,
        "MigrateInternals waits: Drained: about Drained; ChainIntact: about ChainIntact"
    );
    assert!(told(&one, &nothing).is_empty(), "the phase tells");
}

#[test]
fn a_note_is_no_longer_than_the_api_server_accepts() {
    let mut bad = condition(ConditionType::ChainIntact, "False", "ChainBroken");
    bad.message = "é".repeat(5000);
    let event = events(
        &IntegrationStatus::default(),
        &with(vec![bad]),
        &Lists::default(),
    )
    .remove(0);
    assert_eq!(event.note.unwrap().chars().count(), NOTE_MAX);
}

#[test]
fn counters_wait_for_their_pace_and_anything_else_does_not() {
    let pace = Duration::from_secs(10);
    let since = Some(Duration::from_secs(4));
    let before = with(vec![condition(
        ConditionType::MirrorCaughtUp,
        "True",
        "AsExpected",
    )]);
    let counted = IntegrationStatus {
        records: 9,
        backlog: 3,
        lag: Some("3s".to_owned()),
        conditions: vec![condition(ConditionType::MirrorCaughtUp, "False", "Backlog")],
        ..IntegrationStatus::default()
    };
    let left = Some(Duration::from_secs(6));
    assert_eq!(wait(&before, &counted, since, pace), left);
    assert_eq!(wait(&before, &counted, None, pace), None, "never written");
    assert_eq!(wait(&before, &counted, Some(pace * 2), pace), None, "due");
    let dead = with(vec![condition(
        ConditionType::MirrorCaughtUp,
        "False",
        "DeadLetters",
    )]);
    assert_eq!(wait(&before, &dead, since, pace), None);
    let unready = with(vec![condition(
        ConditionType::Ready,
        "False",
        "SidecarsNotReady",
    )]);
    assert_eq!(wait(&before, &unready, since, pace), None);
    let phase = IntegrationStatus {
        phase: Some(Phase::CutOver),
        ..before.clone()
    };
    assert_eq!(wait(&before, &phase, since, pace), None);
}

#[test]
fn a_pause_a_force_and_the_end_are_told_once_each() {
    let paused = |paused| {
        let mut status = waiting(&[]);
        status.transition.as_mut().unwrap().paused = paused;
        status
    };
    assert_eq!(
        told(&paused(false), &paused(true)),
        ["Warning MigrationPaused"]
    );
    assert!(told(&paused(true), &paused(true)).is_empty());
    let mut closed = waiting(&["Drained"]);
    assert_eq!(told(&paused(true), &closed), ["Warning PhaseGateClosed"]);
    closed.transition.as_mut().unwrap().paused = true;
    assert!(
        told(&paused(true), &closed).is_empty(),
        "the pause was told"
    );

    let mut ends = waiting(&[]);
    ends.transition.as_mut().unwrap().notice = Some("there will be no way back".to_owned());
    let event = events(&waiting(&[]), &ends, &Lists::default()).remove(0);
    assert_eq!(event.reason, "MigrationEnds");
    assert!(event.note.unwrap().contains("no way back"));

    let gate = Gate {
        name: "Parity".to_owned(),
        passed: false,
        forced: true,
        message: "1 missing".to_owned(),
    };
    let force = TakenForce {
        generation: 2,
        gates: vec![GateName::Parity],
        reason: "known".to_owned(),
        by: Some("bob".to_owned()),
    };
    let changed = IntegrationStatus {
        phase: Some(Phase::CutOver),
        last_change: Some(Change {
            from: Phase::MigrateInternals,
            to: Phase::CutOver,
            finalized: false,
            generation: 2,
            at: Time(Timestamp::UNIX_EPOCH),
            by: Some("alice".to_owned()),
            gates: vec![gate],
            force: Some(force),
            evidence: "ab".to_owned(),
        }),
        ..IntegrationStatus::default()
    };
    let before = IntegrationStatus {
        phase: Some(Phase::MigrateInternals),
        ..IntegrationStatus::default()
    };
    let events = events(&before, &changed, &Lists::default());
    let notes: Vec<_> = events.iter().filter_map(|it| it.note.as_deref()).collect();
    assert_eq!(
        notes,
        [
            "the phase changed from MigrateInternals to CutOver, requested by alice",
            "bob forced CutOver (known) although Parity: 1 missing",
        ]
    );
    let mut ended = changed.clone();
    ended.finalized = Some(Finalized {
        generation: 2,
        at: Time(Timestamp::UNIX_EPOCH),
        by: Some("alice".to_owned()),
        evidence: "ab".to_owned(),
    });
    assert_eq!(told(&changed, &ended), ["Warning MigrationFinalized"]);
}

#[test]
fn whoever_lifts_a_legal_hold_is_named() {
    let hold = |active| IntegrationStatus {
        legal_hold: Some(LegalHold {
            active,
            generation: 3,
            since: Time(Timestamp::UNIX_EPOCH),
            by: Some("ann".to_owned()),
        }),
        ..IntegrationStatus::default()
    };
    assert_eq!(told(&hold(true), &hold(false)), ["Warning LegalHoldLifted"]);
    let event = events(&hold(true), &hold(false), &Lists::default()).remove(0);
    let note = "ann lifted the legal hold (spec.retention.hold): retention prunes again";
    assert_eq!(event.note.as_deref(), Some(note));
    assert!(told(&IntegrationStatus::default(), &hold(false)).is_empty());
}

fn backfilled(backfill: BackfillStatus) -> IntegrationStatus {
    IntegrationStatus {
        migration: Some(MigrationStatus {
            backfill: Some(backfill),
            ..MigrationStatus::default()
        }),
        ..IntegrationStatus::default()
    }
}

#[test]
fn a_backfill_tells_once_that_it_is_done_and_what_stands_in_its_way() {
    let going = |rows: i64| BackfillStatus {
        rows: [("audit_log".to_owned(), rows)].into(),
        ..BackfillStatus::default()
    };
    let failed = |why: &str| BackfillStatus {
        problem: Some(why.to_owned()),
        ..going(5)
    };
    let done = backfilled(BackfillStatus {
        done: true,
        refused: 1,
        ..going(7)
    });
    let no = |status: &IntegrationStatus| told(&IntegrationStatus::default(), status);
    assert_eq!(no(&backfilled(going(5))), [] as [&str; 0]);
    assert_eq!(no(&backfilled(failed("a"))), ["Warning BackfillFailed"]);
    let (a, b) = (backfilled(failed("a")), backfilled(failed("b")));
    assert_eq!(told(&a, &a), [] as [&str; 0]);
    assert_eq!(told(&a, &b), ["Warning BackfillFailed"]);
    assert_eq!(told(&a, &done), ["Normal BackfillDone"]);
    assert_eq!(told(&done, &done), [] as [&str; 0]);
    let note = events(&a, &done, &Lists::default())[0]
        .note
        .clone()
        .unwrap();
    assert_eq!(
        note,
        "the backfill is done: the history has 7 rows of Supabase; no record can hold 1 row, which it names"
    );
    // Rows alone can wait.
    let pace = Duration::from_secs(5);
    let (more, less) = (backfilled(going(6)), backfilled(going(5)));
    assert_eq!(wait(&less, &more, Some(Duration::ZERO), pace), Some(pace));
    assert_eq!(wait(&more, &done, Some(Duration::ZERO), pace), None);
}
