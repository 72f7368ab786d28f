//! What a migration asks for: evidence, a soak, force, pause, the end.

use super::*;
use crate::migration::{Force, Gate, GateName, Migration};
use crate::strand::{ForeignTable, ForeignWrites, LaneStatus, Parity};

/// A request with a migration.
fn proven(phase: Phase, generation: i64, edit: impl FnOnce(&mut Migration)) -> Request {
    let mut migration = Migration::default();
    edit(&mut migration);
    Request {
        migration: Some(migration),
        ..ask(phase, generation)
    }
}

/// A strand with all the evidence there is, reported at this second.
fn proven_strand(second: i64) -> Evidence {
    let parity = Parity {
        up_to: 9,
        checked_at: at(second),
        missing: 0,
        changed: 0,
        extra: 0,
        doubled: 0,
    };
    Evidence {
        head: 9,
        age: Some(Duration::ZERO),
        reported_at: Some(at(second)),
        scrubbed_to: Some(9),
        lanes: vec![LaneStatus {
            record_type: "audit_log".to_owned(),
            state: "mirroring".to_owned(),
            reason: None,
            mark: 9,
            backlog: 0,
            dead_letters: 0,
            parity: Some(parity),
            parity_unknown: None,
        }],
        foreign_writes: Some(ForeignWrites {
            since: at(-100),
            checked_at: at(second),
            tables: Vec::new(),
        }),
        unmirrored: Some(4),
        ..strand("proven")
    }
}

fn at(second: i64) -> Time {
    Time(Timestamp::from_second(1_800_000_000 + second).unwrap())
}

/// The status after a first look, at second 0.
fn asked(request: &Request, phase: Phase) -> IntegrationStatus {
    let mut before = status(phase);
    let strands = [Evidence {
        obeys: Some(phase),
        reported_at: Some(at(-1)),
        ..proven_strand(-5)
    }];
    let standing = decide(request.clone(), &before, &strands, &at(0));
    assert!(
        standing.transition.is_some(),
        "it was compared before the step was asked for"
    );
    standing.write(&mut before);
    before
}

fn gate<'a>(standing: &'a Standing, name: &str) -> &'a Gate {
    let gates = &standing.transition.as_ref().unwrap().gates;
    gates.iter().find(|gate| gate.name == name).unwrap()
}

#[test]
fn a_migration_passes_on_evidence_that_is_newer_than_the_request_and_records_it() {
    let request = proven(MigrateInternals, 2, |_| {});
    let before = asked(&request, DualWrite);
    let standing = decide(request, &before, &[proven_strand(1)], &at(2));
    assert_eq!(standing.phase, MigrateInternals);
    let change = standing.last_change.unwrap();
    assert_eq!(
        (change.by.as_deref(), change.gates.len()),
        (Some("alice"), 6)
    );
    assert_eq!(change.evidence, digest(&change.gates));
}

#[test]
fn what_is_not_known_blocks_and_so_does_every_difference() {
    fn parity(strand: &mut Evidence) -> &mut Parity {
        strand.lanes[0].parity.as_mut().unwrap()
    }
    let cases: [(&str, &str, Spoil); 15] = [
        ("ChainIntact", "not read it up to seq 9", |s| {
            s.scrubbed_to = None;
        }),
        ("ChainIntact", "up to seq 8, and not yet", |s| {
            s.scrubbed_to = Some(8);
        }),
        ("Parity", "sidecars before this version", |s| {
            s.lanes[0].parity = None;
        }),
        ("Parity", "parity is not known: no function", |s| {
            s.lanes[0].parity = None;
            s.lanes[0].parity_unknown = Some("no function".to_owned());
        }),
        ("Parity", "reports no lanes", |s| s.lanes.clear()),
        ("Parity", "audit_log: 1 missing in Supabase", |s| {
            parity(s).missing = 1;
        }),
        ("Parity", "1 changed", |s| parity(s).changed = 1),
        ("Parity", "1 extra", |s| parity(s).extra = 1),
        ("Parity", "2 doubled", |s| parity(s).doubled = 2),
        ("Parity", "up to seq 3, and not yet up to 9", |s| {
            parity(s).up_to = 3;
        }),
        ("Parity", "not compared again yet", |s| {
            parity(s).checked_at = at(-2);
        }),
        ("NoForeignWrites", "sidecars before this version", |s| {
            s.foreign_writes = None;
        }),
        ("NoForeignWrites", "not known: no right", |s| {
            s.foreign_writes = None;
            s.foreign_writes_unknown = Some("no right".to_owned());
        }),
        ("NoForeignWrites", "not looked for again yet", |s| {
            s.foreign_writes.as_mut().unwrap().checked_at = at(-2);
        }),
        (
            "NoForeignWrites",
            "builds has 2 rows that no strand wrote, such as id=7",
            |s| {
                s.foreign_writes.as_mut().unwrap().tables = vec![foreign_rows(1)];
            },
        ),
    ];
    for (name, why, spoil) in cases {
        let request = proven(MigrateInternals, 2, |_| {});
        let before = asked(&request, DualWrite);
        let mut bad = proven_strand(1);
        spoil(&mut bad);
        let standing = decide(request, &before, &[bad], &at(2));
        assert_eq!(blocked(&standing), [name], "{why}");
        let message = &gate(&standing, name).message;
        assert!(message.contains(why), "{message}");
    }
}

fn foreign_rows(newest: i64) -> ForeignTable {
    ForeignTable {
        table: "builds".to_owned(),
        rows: 2,
        newest_at: Some(at(newest)),
        sample: vec!["id=7".to_owned()],
    }
}

#[test]
fn nobody_can_know_of_foreign_writes_where_no_sidecar_runs() {
    let request = proven(MigrateInternals, 2, |_| {});
    let standing = decide::<String>(request, &status(DualWrite), &[], &at(0));
    assert_eq!(blocked(&standing), ["NoForeignWrites"]);
}

#[test]
fn a_report_that_was_seen_long_ago_is_as_old_as_that() {
    let request = proven(MigrateInternals, 2, |_| {});
    let before = asked(&request, DualWrite);
    let mut late = proven_strand(1);
    late.age = Some(Duration::from_mins(1));
    let standing = decide(request, &before, &[late], &at(20));
    assert_eq!(blocked(&standing), ["Parity", "NoForeignWrites"]);
}

#[test]
fn foreign_rows_older_than_the_soak_are_no_writes_any_more() {
    let request = proven(MigrateInternals, 2, |it| it.soak = "1h".to_owned());
    let before = asked(&request, DualWrite);
    for (newest, closed) in [
        (-3500, vec!["NoForeignWrites", "Soak"]),
        (-3700, vec!["Soak"]),
    ] {
        let mut strand = proven_strand(1);
        strand.foreign_writes.as_mut().unwrap().tables = vec![foreign_rows(newest)];
        let standing = decide(request.clone(), &before, &[strand], &at(2));
        assert_eq!(blocked(&standing), closed);
    }
}

#[test]
fn the_gates_must_hold_as_long_as_the_soak_says_and_without_a_break() {
    let request = proven(MigrateInternals, 2, |it| it.soak = "10s".to_owned());
    let mut before = asked(&request, DualWrite);
    let mut look = |second, watched, bad: bool| {
        let mut strand = proven_strand(second);
        strand.dead_letters = i64::from(bad);
        let now = Now {
            time: at(second),
            watched: Some(Duration::from_secs(watched)),
        };
        let standing = crate::phases::decide(&request, &before, &[strand], &now);
        standing.write(&mut before);
        standing
    };
    assert!(
        gate(&look(1, 0, false), "Soak")
            .message
            .contains("0s of 10s")
    );
    assert!(
        gate(&look(9000, 6, false), "Soak")
            .message
            .contains("6s of 10s"),
        "no wall clock counts"
    );
    assert_eq!(blocked(&look(9001, 1, true)), ["NoDeadLetters", "Soak"]);
    assert!(
        gate(&look(9002, 9, false), "Soak")
            .message
            .contains("0s of 10s"),
        "from the beginning"
    );
    assert!(
        gate(&look(9003, 9, false), "Soak")
            .message
            .contains("9s of 10s")
    );
    assert_eq!(look(9004, 1, false).phase, MigrateInternals);
}

#[test]
fn a_force_counts_for_the_generation_in_which_it_was_set_and_is_recorded() {
    let force = |reason: &str| {
        let force = Force {
            gates: vec![GateName::Parity, GateName::Drained],
            reason: reason.to_owned(),
        };
        move |it: &mut Migration| it.force = Some(force)
    };
    let mut bad = proven_strand(1);
    bad.lanes[0].parity = None;
    let request = proven(MigrateInternals, 2, force("known"));
    let mut before = asked(&request, DualWrite);
    let standing = decide(request, &before, std::slice::from_ref(&bad), &at(2));
    assert_eq!(standing.phase, MigrateInternals);
    let change = standing.last_change.clone().unwrap();
    let taken = change.force.unwrap();
    assert_eq!((taken.reason.as_str(), taken.generation), ("known", 2));
    let forced: Vec<_> = change.gates.iter().filter(|it| it.forced).collect();
    assert_eq!(
        (forced.len(), forced[0].name.as_str()),
        (1, "Parity"),
        "{forced:?}"
    );

    standing.write(&mut before);
    bad.obeys = Some(MigrateInternals);
    let spent = proven(CutOver, 3, force("known"));
    let standing = decide(spent, &before, std::slice::from_ref(&bad), &at(3));
    assert_eq!(blocked(&standing), ["Parity"]);
    standing.write(&mut before);
    let anew = proven(CutOver, 4, force("known too"));
    let standing = decide(
        anew,
        &before,
        &[Evidence {
            obeys: Some(MigrateInternals),
            lanes: bad.lanes.clone(),
            ..proven_strand(5)
        }],
        &at(6),
    );
    assert_eq!(standing.phase, CutOver);
}

#[test]
fn what_is_paused_stands_forward_and_back_and_shows_what_it_waits_for() {
    let request = proven(MigrateInternals, 2, |it| it.pause = true);
    let before = asked(&request, DualWrite);
    let standing = decide(request, &before, &[proven_strand(1)], &at(2));
    let waits = standing.transition.unwrap();
    assert_eq!((standing.phase, waits.paused), (DualWrite, true));
    assert_eq!(waits.closed().count(), 0);
    assert!(waits.why().contains("spec.migration.pause"));
    let back = proven(DualWrite, 3, |it| it.pause = true);
    let standing = decide(back, &status(CutOver), &[proven_strand(1)], &at(2));
    assert_eq!(standing.phase, CutOver);
    assert!(
        standing
            .transition
            .is_some_and(|it| it.paused && it.to == DualWrite)
    );
}

#[test]
fn another_edit_of_the_specification_leaves_a_step_that_waits_as_it_is() {
    let request = proven(MigrateInternals, 2, |_| {});
    let before = asked(&request, DualWrite);
    let edited = Request {
        by: Some("bob".to_owned()),
        ..proven(MigrateInternals, 7, |it| it.soak = "1h".to_owned())
    };
    let standing = decide(edited, &before, &[proven_strand(1)], &at(2));
    let waits = standing.transition.unwrap();
    assert_eq!((waits.generation, waits.by.as_deref()), (2, Some("alice")));
    let other = ask(MigrateInternals, 8);
    let waits = decide(
        other,
        &before,
        &[Evidence {
            backlog: 3,
            ..proven_strand(1)
        }],
        &at(2),
    );
    assert_eq!(
        waits.transition.unwrap().generation,
        8,
        "it asks for other gates"
    );
}

#[test]
fn the_end_is_said_before_it_comes_passes_gates_and_is_final() {
    let request = proven(CutOver, 5, |it| it.finalized = true);
    let strand = |second| Evidence {
        obeys: Some(CutOver),
        ..proven_strand(second)
    };
    let mut before = status(CutOver);
    // All gates pass already, and yet it is said first.
    let mut early = strand(0);
    early.lanes[0].parity.as_mut().unwrap().checked_at = at(0);
    let standing = decide(request.clone(), &before, &[early], &at(0));
    let waits = standing.transition.as_ref().unwrap();
    assert!(waits.finalizes && standing.finalized.is_none());
    assert_eq!(waits.closed().count(), 0);
    assert!(
        waits
            .notice
            .as_ref()
            .unwrap()
            .contains("4 records that Supabase does not have")
    );
    standing.write(&mut before);
    let blocked_by = decide(
        request.clone(),
        &before,
        &[Evidence {
            dead_letters: 1,
            ..strand(1)
        }],
        &at(2),
    );
    assert_eq!(blocked(&blocked_by), ["NoDeadLetters"]);
    let standing = decide(request, &before, &[strand(1)], &at(2));
    assert_eq!(standing.finalized.as_ref().unwrap().generation, 5);
    assert!(standing.last_change.as_ref().unwrap().finalized);
    standing.write(&mut before);
    for phase in [DualWrite, MigrateInternals] {
        let standing = decide(ask(phase, 6), &before, &[strand(3)], &at(4));
        assert_eq!((standing.phase, standing.transition), (CutOver, None));
        assert!(standing.finalized.is_some());
    }
}
