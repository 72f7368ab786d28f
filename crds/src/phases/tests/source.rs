//! The list of legacy projects where its names are read from a ConfigMap.

use super::*;
use crate::migration::{
    ConfigMapKeyReference, DepartedProject, LegacyList, LegacyProjectsFrom, LegacyReport,
    LegacyStatus, Migration, ProjectState,
};

fn names(of: &[&str]) -> Vec<String> {
    of.iter().map(ToString::to_string).collect()
}

/// A request whose names are read elsewhere, or can't be read.
fn read(generation: i64, of: Option<&[&str]>) -> Request {
    let from = LegacyProjectsFrom {
        config_map_key_ref: ConfigMapKeyReference::default(),
    };
    Request {
        migration: Some(Migration {
            legacy_projects_from: Some(from),
            ..Migration::default()
        }),
        names: of.map(names),
        ..ask(MigrateInternals, generation)
    }
}

/// A request with the names in the specification.
fn specified(generation: i64, of: &[&str]) -> Request {
    Request {
        migration: Some(Migration {
            legacy_projects: names(of),
            ..Migration::default()
        }),
        ..ask(MigrateInternals, generation)
    }
}

/// One look of the operator, which has seen the generation afterwards.
fn look(request: Request, before: &mut IntegrationStatus, strands: &[Evidence]) -> LegacyStatus {
    let generation = request.generation;
    decide(request, before, strands, &now()).write(before);
    before.observed_generation = Some(generation);
    before.migration.clone().unwrap().legacy.unwrap()
}

fn state_of_a(status: &IntegrationStatus) -> ProjectState {
    let projects = &status.migration.as_ref().unwrap().projects;
    projects.iter().find(|it| it.name == "a").unwrap().state
}

#[test]
fn the_names_that_were_read_stand_in_the_status_and_stay_while_nobody_can_read_them() {
    let before = &mut status(MigrateInternals);
    let first = look(read(2, Some(&["b", "a"])), before, &[]);
    assert_eq!((&first.names, first.listed), (&names(&["a", "b"]), 2));
    assert_eq!((first.by.as_deref(), first.revision), (Some("alice"), 1));
    let stays = look(read(2, None), before, &[]);
    assert_eq!(stays, first, "a ConfigMap that is gone changes nothing");
    assert_eq!(look(read(3, None), before, &[]), first, "nor does an edit");
    assert_eq!(state_of_a(before), ProjectState::Legacy, "it is known");
    let second = look(read(3, Some(&["b"])), before, &[]);
    assert_eq!((second.names, second.generation), (names(&["b"]), 3));
    assert_eq!((second.by, second.revision), (None, 2), "nobody signs that");
}

#[test]
fn the_list_moves_between_specification_and_config_map_without_a_change() {
    let before = &mut status(MigrateInternals);
    let first = look(specified(2, &["a"]), before, &[]);
    assert_eq!(first.names, names(&[]), "the specification has them");
    let moved = look(read(3, Some(&["a"])), before, &[]);
    let with_names = LegacyStatus {
        names: names(&["a"]),
        ..first.clone()
    };
    assert_eq!(moved, with_names);
    assert_eq!(look(specified(4, &["a"]), before, &[]), first);
    let gone = look(read(5, None), before, &[]);
    assert_eq!(gone, first, "what can't be read never was in force");
    let mut paused = specified(7, &["c"]);
    look(read(6, Some(&["a"])), before, &[]);
    paused.migration.as_mut().unwrap().pause = true;
    assert_eq!(look(paused, before, &[]), with_names, "it is still needed");
}

#[test]
fn a_report_of_the_same_list_of_the_same_generation_from_before_shows_nothing() {
    let before = &mut status(MigrateInternals);
    let obeys = |revision| Evidence {
        obeys: Some(MigrateInternals),
        legacy: Some(LegacyReport {
            digest: LegacyList::of(names(&["b"]), false).digest(),
            generation: 2,
            revision,
            departed: vec![DepartedProject {
                name: "a".to_owned(),
                boundary: 7,
                waits_for: None,
            }],
            migrated: 1,
            ..LegacyReport::default()
        }),
        ..strand("one")
    };
    look(read(2, Some(&["a", "b"])), before, &[]);
    look(read(2, Some(&["b"])), before, &[obeys(2)]);
    assert_eq!(state_of_a(before), ProjectState::Migrated);
    look(read(2, Some(&["a", "b"])), before, &[obeys(2)]);
    look(read(2, Some(&["b"])), before, &[obeys(2)]);
    assert_eq!(state_of_a(before), ProjectState::Migrating);
    look(read(2, Some(&["b"])), before, &[obeys(4)]);
    assert_eq!(state_of_a(before), ProjectState::Migrated);
}

#[test]
fn a_step_out_of_dual_write_waits_for_a_list_that_nobody_can_read() {
    let before = &mut status(DualWrite);
    let drained = |before: &mut IntegrationStatus, names: Option<&[&str]>| {
        let standing = decide(read(2, names), before, &[strand("one")], &now());
        standing.write(before);
        let gates = standing.transition.unwrap().gates;
        let gate = gates.into_iter().find(|gate| gate.name == "Drained");
        let gate = gate.unwrap();
        (gate.passed, gate.message)
    };
    let (passed, why) = drained(before, None);
    assert!(!passed && why.contains("legacyProjectsFrom"), "{why}");
    assert!(drained(before, Some(&["a"])).0, "it was read");
    // The list in force is another than the one that is asked for.
    assert!(!drained(before, None).0);
    let later = &mut status(MigrateInternals);
    let on = Request {
        phase: CutOver,
        ..read(2, None)
    };
    let obeys = Evidence {
        obeys: Some(MigrateInternals),
        ..strand("one")
    };
    let standing = decide(on, later, &[obeys], &now());
    assert!(
        !blocked(&standing).contains(&"Drained"),
        "it stays as it is"
    );
}

#[test]
fn the_first_list_comes_with_the_first_phase_also_while_nothing_may_change() {
    let paused = |mut request: Request| {
        request.migration.as_mut().unwrap().pause = true;
        request
    };
    let suspended = |request: Request| Request {
        suspended: true,
        ..request
    };
    for request in [
        paused(specified(1, &["a"])),
        suspended(read(1, Some(&["a"]))),
    ] {
        let before = &mut IntegrationStatus::default();
        assert_eq!(look(request, before, &[]).listed, 1);
        assert_eq!(before.phase, Some(MigrateInternals));
        let later = look(paused(specified(2, &["a", "b"])), before, &[]);
        assert_eq!(later.listed, 1, "the pause keeps it");
    }
}
