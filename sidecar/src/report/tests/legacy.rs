//! What is reported of the list of legacy projects.

use boboyka_crds::{DepartedProject, LegacyList, LegacyReport};
use boboyka_mirror::LaneParity;
use boboyka_store::{Departed, ListChange, Mark};

use super::*;
use crate::report::Wanted;
use crate::report::legacy::Listed;

fn parity(up_to: u64, missing: u64, list_since: u64) -> Parity {
    Parity::Known(LaneParity {
        up_to,
        checked_at_ms: 0,
        checked: Instant::now(),
        list_since,
        missing,
        changed: 0,
        extra: 0,
        doubled: 0,
        differences: Vec::new(),
        unchecked_columns: Vec::new(),
    })
}

/// What a project waits for that left the list at seq 8, and how many do.
fn told(strand: &View, parity: &Parity, refused: u64, has_supabase: bool) -> (Option<String>, i64) {
    let lanes = RecordType::MIRRORED.map(|kind| LaneStatus {
        parity: parity.clone(),
        dead_lettered: refused,
        ..lane(kind, LaneState::Mirroring, 0)
    });
    let listed = Listed {
        strand,
        lanes: &lanes,
        has_supabase,
    };
    let departed = Departed {
        project: "a".to_owned(),
        boundary: 8,
    };
    let report = listed.report((3, 2), &LegacyList::default(), vec![departed]);
    assert_eq!(report.migrating + report.migrated, 1);
    (report.departed[0].waits_for.clone(), report.migrating)
}

#[test]
fn a_project_that_left_the_list_waits_until_supabase_is_known_to_have_all_of_it() {
    let mut strand = strand();
    let fresh = parity(9, 0, 0);
    let waits = told(&strand, &fresh, 0, true);
    assert_eq!(waits.0.unwrap(), "project_build: 4 records wait");
    for (kind, count) in strand.counts {
        strand.marks[kind] = Mark {
            seq: 7,
            mirrored: count,
            dead_lettered: 0,
        };
    }
    assert_eq!(told(&strand, &fresh, 0, true), (None, 0));
    let unknown = Parity::Unknown("down".into());
    for (parity, refused, why) in [
        (&unknown, 0, "parity is not known: down"),
        (
            &parity(7, 0, 0),
            0,
            "compared up to seq 7, and not yet up to 8",
        ),
        (&parity(9, 2, 0), 0, "the table differs from the strand"),
        (
            &parity(9, 0, 3),
            0,
            "not compared again yet since the list changed",
        ),
        (&fresh, 3, "3 records are refused"),
    ] {
        let waits = told(&strand, parity, refused, true);
        assert_eq!(waits, (Some(format!("project_build: {why}")), 1));
    }
    let nowhere = told(&strand, &unknown, 0, false);
    assert_eq!(nowhere, (None, 0), "there is no table to wait for");
}

#[test]
fn that_a_project_waits_is_told_at_once_and_for_what_in_its_turn() {
    let waiting = |waits_for: Option<&str>| {
        let departed = DepartedProject {
            name: "a".to_owned(),
            boundary: 8,
            waits_for: waits_for.map(ToOwned::to_owned),
        };
        let legacy = LegacyReport {
            departed: vec![departed],
            ..LegacyReport::default()
        };
        health(&StrandStatus {
            legacy: Some(legacy),
            ..StrandStatus::default()
        })
    };
    let three = waiting(Some("3 records wait"));
    assert_eq!(three, waiting(Some("2 records wait")));
    assert_ne!(three, waiting(None));
}

#[test]
fn a_report_is_of_the_generation_and_revision_that_brought_the_list_into_force_if_the_strand_obeys_that_list()
 {
    let list = |names: &[&str]| LegacyList::of(names.iter().map(ToString::to_string), false);
    let wanted = |names: &[&str], generation| Wanted {
        has_supabase: true,
        held_since: None,
        legacy: Some(ListChange {
            list: list(names),
            generation,
            revision: 2,
            by: None,
        }),
    };
    let obeyed = list(&["a"]);
    assert_eq!(wanted(&["a"], 7).in_force(&obeyed), (7, 2));
    assert_eq!(wanted(&["a", "b"], 7).in_force(&obeyed), (0, 0));
    assert_eq!(Wanted::default().in_force(&obeyed), (0, 0));
}
