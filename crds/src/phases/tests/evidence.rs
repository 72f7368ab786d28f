//! The evidence that a migration asks for.

use super::*;
use crate::migration::{Gate, Migration};
use crate::strand::{ForeignTable, ForeignWrites, LaneStatus, Parity};

/// A request with a migration.
pub(super) fn proven(phase: Phase, generation: i64, edit: impl FnOnce(&mut Migration)) -> Request {
    let mut migration = Migration::default();
    edit(&mut migration);
    Request {
        migration: Some(migration),
        ..ask(phase, generation)
    }
}

/// A strand with all the evidence there is, reported at this second.
pub(super) fn proven_strand(second: i64) -> Evidence {
    let parity = Parity {
        up_to: 9,
        checked_at: at(second),
        generation: Some(2),
        missing: 0,
        changed: 0,
        extra: 0,
        doubled: 0,
        unchecked_columns: Vec::new(),
    };
    Evidence {
        head: 9,
        age: Some(Duration::ZERO),
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
            generation: Some(2),
            tables: Vec::new(),
        }),
        unmirrored: Some(4),
        ..strand("proven")
    }
}

/// The same, found for the step that this generation asks for.
pub(super) fn found_for(generation: i64, strand: Evidence) -> Evidence {
    let mut found = strand;
    for lane in &mut found.lanes {
        let parity = lane.parity.iter_mut();
        parity.for_each(|parity| parity.generation = Some(generation));
    }
    let writes = found.foreign_writes.iter_mut();
    writes.for_each(|writes| writes.generation = Some(generation));
    found
}

pub(super) fn at(second: i64) -> Time {
    Time(Timestamp::from_second(1_800_000_000 + second).unwrap())
}

/// The status after a first look, at second 0.
pub(super) fn asked(request: &Request, phase: Phase) -> IntegrationStatus {
    let mut before = status(phase);
    let strands = [Evidence {
        obeys: Some(phase),
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

pub(super) fn gate<'a>(standing: &'a Standing, name: &str) -> &'a Gate {
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
    let cases: [(&str, &str, Spoil); 17] = [
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
            parity(s).generation = Some(1);
        }),
        ("Parity", "not compared again yet", |s| {
            parity(s).generation = None;
        }),
        ("NoForeignWrites", "sidecars before this version", |s| {
            s.foreign_writes = None;
        }),
        ("NoForeignWrites", "not known: no right", |s| {
            s.foreign_writes = None;
            s.foreign_writes_unknown = Some("no right".to_owned());
        }),
        ("NoForeignWrites", "not looked for again yet", |s| {
            s.foreign_writes.as_mut().unwrap().generation = Some(1);
        }),
        ("NoForeignWrites", "not looked for again yet", |s| {
            s.foreign_writes.as_mut().unwrap().generation = None;
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
        quiet_seconds: Some(1 - newest),
        sample: vec!["id=7".to_owned()],
    }
}

#[test]
fn nobody_can_know_of_foreign_writes_where_no_sidecar_runs() {
    let request = proven(MigrateInternals, 2, |_| {});
    let standing = decide::<String>(request, &status(DualWrite), &[], &at(0));
    assert_eq!(blocked(&standing), ["NoForeignWrites"]);
    let message = &gate(&standing, "NoForeignWrites").message;
    assert!(message.contains("no sidecar runs"), "{message}");
}

#[test]
fn a_strand_without_a_pod_is_named_with_what_to_do_and_the_soak_stands_still() {
    let request = proven(MigrateInternals, 2, |it| it.soak = "1h".to_owned());
    let mut before = asked(&request, DualWrite);
    let transition = before.transition.as_mut().unwrap();
    let soak = transition.soak.insert(Soak {
        held_seconds: 1800,
        since: Some(at(0)),
    });
    let held = soak.clone();
    // It was compared for the step, and lost its pod; the operator was restarted after that, and knows less.
    let left = |age| Evidence {
        name: "left".to_owned(),
        held: false,
        report: Report::Old,
        age,
        ..proven_strand(1)
    };
    let decided = |strand| {
        let now = Now {
            time: at(2000),
            watched: Some(Duration::ZERO),
            asked: Duration::from_secs(100),
        };
        crate::phases::decide(&request, &before, &[proven_strand(1), strand], &now)
    };
    let known = decided(left(Some(Duration::from_secs(50))));
    assert_eq!(blocked(&known), ["Soak"]);
    for age in [None, Some(Duration::from_mins(30))] {
        let mut strand = left(age);
        let standing = decided(strand.clone());
        assert_eq!(blocked(&standing), ["Parity", "Soak"]);
        assert_eq!(
            gate(&standing, "Parity").message,
            "1 of the strands: left (audit_log: not compared again yet since the change was requested; \
             no pod holds it, so nothing gathers that: give it a pod or, if nobody needs it, remove it)"
        );
        let soak = standing.transition.as_ref().unwrap().soak.clone();
        assert_eq!(soak.as_ref(), Some(&held), "it stands still");
        strand.scrubbed_to = Some(8);
        let standing = decided(strand);
        let chain = &gate(&standing, "ChainIntact").message;
        assert!(
            chain.contains("left (the scrub has read it up to seq 8"),
            "{chain}"
        );
        assert!(chain.contains("no pod holds it"), "{chain}");
    }
}

#[test]
fn a_wall_clock_makes_evidence_neither_new_nor_old() {
    let request = proven(MigrateInternals, 2, |it| it.soak = "1h".to_owned());
    let mut before = asked(&request, DualWrite);
    let decade = 315_360_000;
    // The clock of who decides was a decade ahead when the step was asked for, or is now; and so was that of the sidecar.
    for since in [0, decade] {
        before.transition.as_mut().unwrap().since = Some(at(since));
        for checked in [1, -decade, decade] {
            let strand = proven_strand(checked);
            for wall in [2, decade, -decade] {
                let now = Now {
                    time: at(wall),
                    watched: None,
                    asked: Duration::from_secs(2),
                };
                let standing =
                    crate::phases::decide(&request, &before, std::slice::from_ref(&strand), &now);
                assert_eq!(blocked(&standing), ["Soak"], "{since} {checked} {wall}");
                let mut old = found_for(1, strand.clone());
                let standing = crate::phases::decide(&request, &before, &[old.clone()], &now);
                assert!(blocked(&standing).starts_with(&["Parity", "NoForeignWrites"]));
                old = strand.clone();
                old.foreign_writes.as_mut().unwrap().tables = vec![foreign_rows(-decade)];
                let tables = &mut old.foreign_writes.as_mut().unwrap().tables;
                tables[0].quiet_seconds = Some(3599);
                let standing = crate::phases::decide(&request, &before, &[old], &now);
                assert_eq!(
                    blocked(&standing)[0],
                    "NoForeignWrites",
                    "it was just written"
                );
            }
        }
    }
}

#[test]
fn a_clock_that_jumps_ahead_makes_no_comparison_newer() {
    let request = proven(MigrateInternals, 2, |_| {});
    let before = asked(&request, DualWrite);
    let mut old = found_for(1, proven_strand(-50));
    old.age = Some(Duration::from_mins(1));
    let standing = decide(request, &before, &[old], &at(1000));
    assert_eq!(blocked(&standing), ["Parity", "NoForeignWrites"]);
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
fn columns_that_cannot_be_compared_are_named_where_parity_passes() {
    let request = proven(MigrateInternals, 2, |it| it.soak = "1h".to_owned());
    let before = asked(&request, DualWrite);
    let message = |columns: &[&str]| {
        let strands = [proven_strand(1), proven_strand(1)].map(|mut strand| {
            let parity = strand.lanes[0].parity.as_mut().unwrap();
            parity.unchecked_columns = columns.iter().map(ToString::to_string).collect();
            strand
        });
        let standing = decide(request.clone(), &before, &strands, &at(2));
        let parity = gate(&standing, "Parity");
        assert!(parity.passed, "{parity:?}");
        parity.message.clone()
    };
    assert!(!message(&[]).contains("can't be compared"));
    assert!(message(&["at"]).ends_with("the same; columns that can't be compared: audit_log.at"));
    let many = message(&["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"]);
    assert!(many.ends_with("audit_log.h and 2 more"), "{many}");
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
