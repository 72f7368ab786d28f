//! Which list of legacy projects is in force, and when a project that left it is migrated.

use super::*;
use crate::migration::{
    DepartedProject, LegacyList, LegacyReport, Migration, MigrationStatus, ProjectState,
};

fn list(names: &[&str]) -> Migration {
    Migration {
        legacy_projects: names.iter().map(ToString::to_string).collect(),
        ..Migration::default()
    }
}

fn request(generation: i64, names: &[&str]) -> Request {
    Request {
        migration: Some(list(names)),
        ..ask(MigrateInternals, generation)
    }
}

fn digest(names: &[&str]) -> String {
    LegacyList::of(names.iter().map(ToString::to_string), false).digest()
}

/// A strand that obeys the list of a generation, from which projects went away. Each generation from the second on has another
/// list.
fn obeys(
    name: &str,
    generation: i64,
    names: &[&str],
    departed: &[(&str, Option<&str>)],
) -> Evidence {
    let waiting = departed.iter().filter(|(_, waits_for)| waits_for.is_some());
    let migrating = i64::try_from(waiting.count()).unwrap();
    let migrated = i64::try_from(departed.len()).unwrap() - migrating;
    let departed = departed.iter().map(|(name, waits_for)| DepartedProject {
        name: (*name).to_owned(),
        boundary: 7,
        waits_for: waits_for.map(ToOwned::to_owned),
    });
    Evidence {
        obeys: Some(MigrateInternals),
        legacy: Some(LegacyReport {
            digest: digest(names),
            generation,
            revision: generation - 1,
            since: 8,
            departed: departed.collect(),
            migrating,
            migrated,
        }),
        ..strand(name)
    }
}

fn look(request: Request, before: &mut IntegrationStatus, strands: &[Evidence]) -> MigrationStatus {
    decide(request, before, strands, &now()).write(before);
    before.migration.clone().unwrap()
}

fn state_of(status: &MigrationStatus, name: &str) -> Option<(ProjectState, Option<String>)> {
    let mut projects = status.projects.iter();
    let found = projects.find(|it| it.name == name)?;
    Some((found.state, found.message.clone()))
}

#[test]
fn a_project_is_migrated_when_every_strand_obeys_the_list_and_has_shown_its_part() {
    let before = &mut status(MigrateInternals);
    let both = ["a", "b"];
    let one = || obeys("one", 2, &both, &[]);
    let shown = look(request(2, &both), before, &[one()]);
    let legacy = shown.legacy.clone().unwrap();
    assert_eq!(
        (legacy.digest, legacy.listed, legacy.generation),
        (digest(&both), 2, 2)
    );
    assert_eq!(legacy.by.as_deref(), Some("alice"));
    assert_eq!(state_of(&shown, "a"), Some((ProjectState::Legacy, None)));

    let waits = |strands: &[Evidence], before: &mut IntegrationStatus| {
        let shown = look(request(3, &["b"]), before, strands);
        let (state, why) = state_of(&shown, "a").unwrap();
        (state, why.unwrap_or_default(), shown.legacy.unwrap())
    };
    let after = |departed: &[(&str, Option<&str>)]| obeys("one", 3, &["b"], departed);
    for (strands, why) in [
        (vec![one()], "one has not taken up the list yet"),
        (
            vec![after(&[("a", Some("project_build: 3 records wait"))])],
            "one: project_build: 3 records wait",
        ),
        (
            vec![after(&[("a", None)]), obeys("two", 2, &both, &[])],
            "two has not taken up the list yet",
        ),
        (
            vec![
                after(&[("a", None)]),
                Evidence {
                    name: "three".to_owned(),
                    ..Evidence::default()
                },
            ],
            "three has never reported",
        ),
    ] {
        let (state, told, legacy) = waits(&strands, before);
        assert_eq!((state, told.as_str()), (ProjectState::Migrating, why));
        assert_eq!(
            (legacy.migrating, legacy.migrated, legacy.listed),
            (1, 0, 1)
        );
    }
    let (state, _, legacy) = waits(&[after(&[("a", None)])], before);
    assert_eq!(
        (state, legacy.migrated, legacy.migrating),
        (ProjectState::Migrated, 1, 0)
    );
    let again = after(&[("a", Some("parity is not known: restarted"))]);
    let (state, _, _) = waits(&[again], before);
    assert_eq!(state, ProjectState::Migrated, "what was shown stays so");
    let shown = look(request(4, &both), before, &[after(&[])]);
    assert_eq!(
        state_of(&shown, "a"),
        Some((ProjectState::Legacy, None)),
        "back on the list"
    );
}

#[test]
fn the_end_waits_until_every_project_is_migrated() {
    let before = &mut status(CutOver);
    let waiting = |generation, why| Evidence {
        obeys: Some(CutOver),
        ..obeys("one", generation, &[], &[("a", why)])
    };
    let listed = |generation, names: &[&str], finalized| {
        let mut asked = request(generation, names);
        asked.phase = CutOver;
        asked.migration.as_mut().unwrap().finalized = finalized;
        asked
    };
    look(listed(2, &["a"], false), before, &[waiting(2, None)]);
    let strands = [waiting(3, Some("project_build: 3 records wait"))];
    look(listed(3, &[], true), before, &strands);
    look(listed(3, &[], true), before, &strands);
    let waits = before.transition.clone().unwrap();
    let drained = waits.closed().find(|gate| gate.name == "Drained").unwrap();
    assert!(
        drained
            .message
            .starts_with("1 legacy projects are not migrated yet")
    );
    look(listed(3, &[], true), before, &[waiting(3, None)]);
    look(listed(3, &[], true), before, &[waiting(3, None)]);
    let waits = before.transition.clone().unwrap();
    assert!(waits.closed().all(|gate| gate.name != "Drained"));
}

#[test]
fn the_end_waits_for_a_list_that_a_pause_has_kept() {
    let before = &mut status(CutOver);
    let strands = [Evidence {
        obeys: Some(CutOver),
        ..obeys("one", 2, &["a"], &[])
    }];
    let asked = |generation, names: &[&str], finalized, pause| {
        let mut asked = request(generation, names);
        asked.phase = CutOver;
        let migration = asked.migration.as_mut().unwrap();
        (migration.finalized, migration.pause) = (finalized, pause);
        asked
    };
    let is_closed = |status: &IntegrationStatus| {
        let waits = status.transition.clone().unwrap();
        waits.closed().any(|gate| gate.name == "Drained")
    };
    look(asked(2, &["a"], false, false), before, &strands);
    for _ in 0..2 {
        look(asked(3, &[], true, true), before, &strands);
        assert!(is_closed(before), "the list is in force");
    }
    look(asked(4, &[], true, false), before, &strands);
    assert!(is_closed(before), "the list was in force until now");
    let shown = look(asked(4, &[], true, false), before, &strands);
    assert_eq!(shown.legacy.unwrap().migrating, 1);
    assert!(is_closed(before), "nothing has shown that it is migrated");
}

#[test]
fn a_pause_keeps_the_list_and_dual_write_has_no_projects() {
    let before = &mut status(MigrateInternals);
    look(request(2, &["a"]), before, &[obeys("one", 2, &["a"], &[])]);
    let mut paused = request(3, &[]);
    paused.migration.as_mut().unwrap().pause = true;
    let shown = look(paused, before, &[obeys("one", 2, &["a"], &[])]);
    assert_eq!(shown.legacy.unwrap().digest, digest(&["a"]));
    assert_eq!(shown.projects.len(), 1);
    let back = Request {
        phase: DualWrite,
        ..request(4, &["a"])
    };
    let shown = look(back, before, &[obeys("one", 2, &["a"], &[])]);
    assert_eq!((shown.projects.len(), shown.legacy.unwrap().listed), (0, 1));
}

#[test]
fn a_list_that_is_new_while_the_migration_pauses_is_not_in_force() {
    let mut paused = request(3, &["a"]);
    paused.migration.as_mut().unwrap().pause = true;
    let none = decide(
        paused.clone(),
        &status(MigrateInternals),
        &[obeys("one", 4, &[], &[])],
        &now(),
    );
    assert_eq!(none.migration, None, "it was never in force");
}

#[test]
fn without_a_list_nothing_is_said_and_of_thousands_a_few_hundred_are_named() {
    let mut before = status(MigrateInternals);
    decide(request(1, &[]), &before, &[strand("one")], &now()).write(&mut before);
    assert_eq!(before.migration, None);
    let names: Vec<String> = (0..5000).map(|n| format!("proj_{n:04}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let shown = look(
        request(2, &names),
        &mut before,
        &[obeys("one", 2, &names, &[])],
    );
    assert_eq!(
        (shown.projects.len(), shown.legacy.unwrap().listed),
        (300, 5000)
    );
    let shown = look(request(3, &[]), &mut before, &[obeys("one", 3, &[], &[])]);
    let legacy = shown.legacy.unwrap();
    assert_eq!((legacy.listed, legacy.migrating), (0, 0));
    assert!(
        shown
            .projects
            .iter()
            .all(|it| it.state == ProjectState::Migrated)
    );
}

/// A list that fills the status leaves no place for the names of what was migrated, which strands go on naming.
#[test]
fn what_is_migrated_is_counted_once_and_a_full_status_stays_as_it_is() {
    let gone = ["one", "two", "three"];
    let departed = gone.map(|name| (name, None));
    for listed in [299, 301] {
        let names: Vec<String> = (0..listed).map(|at| format!("p{at:03}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let before = &mut status(MigrateInternals);
        look(request(2, &gone), before, &[obeys("s", 2, &gone, &[])]);
        let strands = [obeys("s", 3, &names, &departed)];
        let first = look(request(3, &names), before, &strands);
        assert_eq!(first.legacy.as_ref().unwrap().migrated, 3, "{listed}");
        for second in 1..4 {
            let later = Time(Timestamp::from_second(1_800_000_000 + second).unwrap());
            decide(request(3, &names), before, &strands, &later).write(before);
            assert_eq!(before.migration.as_ref(), Some(&first), "{listed}");
        }
    }
}

#[test]
fn projects_that_no_report_has_room_to_name_are_counted() {
    let before = &mut status(MigrateInternals);
    look(request(2, &["a"]), before, &[obeys("s", 2, &["a"], &[])]);
    let counts = |migrating, migrated, before: &mut IntegrationStatus, why| {
        let mut strand = obeys("s", 3, &["b"], &[("a", why)]);
        let report = strand.legacy.as_mut().unwrap();
        (report.migrating, report.migrated) = (migrating, migrated);
        let shown = look(request(3, &["b"]), before, &[strand]);
        let legacy = shown.legacy.unwrap();
        (legacy.migrating, legacy.migrated)
    };
    let waits = Some("it waits");
    assert_eq!(counts(5, 0, before, waits), (5, 0));
    assert_eq!(counts(0, 5, before, None), (0, 5));
    // The sidecar has restarted: what was shown stays so, of the others nobody knows.
    assert_eq!(counts(5, 0, before, waits), (4, 1));
    // What a strand says is not trusted to be small.
    assert_eq!(counts(i64::MAX, i64::MAX, before, None).0, i64::MAX);
    let standing = decide(request(3, &["b"]), before, &[] as &[Evidence], &now());
    let said = Standing {
        migration: before.migration.clone(),
        ..standing
    };
    assert_eq!(said.migrating(), Some(i64::MAX));
}

#[test]
fn a_report_from_before_the_list_was_in_force_again_shows_nothing() {
    let before = &mut status(MigrateInternals);
    let old = obeys("one", 3, &[], &[("a", None)]);
    look(request(2, &["a"]), before, &[obeys("one", 2, &["a"], &[])]);
    look(request(3, &[]), before, std::slice::from_ref(&old));
    look(request(4, &["a"]), before, std::slice::from_ref(&old));
    let shown = look(request(5, &[]), before, &[old]);
    let why = "one has not taken up the list yet".to_owned();
    let waits = (ProjectState::Migrating, Some(why));
    assert_eq!(state_of(&shown, "a"), Some(waits));
    let new = obeys("one", 5, &[], &[("a", None)]);
    let shown = look(request(5, &[]), before, &[new]);
    assert_eq!(state_of(&shown, "a"), Some((ProjectState::Migrated, None)));
}

#[test]
fn a_strand_that_has_not_shown_its_part_keeps_projects_from_being_migrated() {
    let free = |strand: Evidence| Evidence {
        held: false,
        report: Report::Old,
        ..strand
    };
    let before_lists = |unmirrored| Evidence {
        obeys: Some(MigrateInternals),
        unmirrored,
        ..strand("s")
    };
    let refused = Evidence {
        dead_letters: 2,
        ..free(obeys("s", 2, &["a"], &[]))
    };
    let behind = Evidence {
        backlog: 2,
        ..free(obeys("s", 2, &["a"], &[]))
    };
    let unlisted = "s has not reported which list it obeys; sidecars before this version can't";
    for (strand, why) in [
        (before_lists(Some(0)), Some(unlisted)),
        (free(before_lists(Some(1))), Some(unlisted)),
        (free(before_lists(None)), Some(unlisted)),
        (refused, Some("s has no pod, and 2 records are refused")),
        (behind, Some("s has not taken up the list yet")),
        (strand("s"), Some("s has not taken up the list yet")),
        (free(before_lists(Some(0))), None),
        (free(strand("s")), None),
        (free(obeys("s", 2, &["a"], &[])), None),
    ] {
        let before = &mut status(MigrateInternals);
        look(request(2, &["a"]), before, &[obeys("s", 2, &["a"], &[])]);
        let shown = look(request(3, &[]), before, &[strand]);
        let (state, told) = state_of(&shown, "a").unwrap();
        assert_eq!(told.as_deref(), why);
        assert_eq!(state == ProjectState::Migrated, why.is_none());
    }
}
