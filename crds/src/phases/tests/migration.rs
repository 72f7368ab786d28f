//! A soak, force, pause, the end.

use super::evidence::{asked, at, found_for, gate, proven, proven_strand};
use super::*;
use crate::migration::{Force, GateName, Migration};

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
            asked: seen(&before, &at(second)),
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
    let bad = Evidence {
        obeys: Some(MigrateInternals),
        ..found_for(3, bad)
    };
    let spent = proven(CutOver, 3, force("known"));
    let standing = decide(spent.clone(), &before, std::slice::from_ref(&bad), &at(3));
    standing.write(&mut before);
    let standing = decide(spent, &before, std::slice::from_ref(&bad), &at(4));
    assert_eq!(blocked(&standing), ["Parity"]);
    standing.write(&mut before);
    let anew = proven(CutOver, 4, force("known too"));
    let standing = decide(
        anew,
        &before,
        &[Evidence {
            obeys: Some(MigrateInternals),
            lanes: bad.lanes.clone(),
            ..found_for(3, proven_strand(5))
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
        ..found_for(5, proven_strand(second))
    };
    let mut before = status(CutOver);
    // No gate is closed, and yet it is said first.
    let forced = proven(CutOver, 5, |it| {
        it.finalized = true;
        it.force = Some(Force {
            gates: vec![GateName::Parity, GateName::NoForeignWrites],
            reason: "nothing can be as new as the request".to_owned(),
        });
    });
    let standing = decide(forced, &before, &[strand(0)], &at(0));
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
