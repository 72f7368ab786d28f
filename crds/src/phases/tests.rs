//! Steps, gates, and what is said while one is closed.

mod evidence;
mod legacy;
mod migration;
mod source;

use k8s_openapi::jiff::Timestamp;

use super::*;
use crate::phase::Phase::{CutOver, DualWrite, MigrateInternals};
use crate::strand::Boundary;

type Evidence = super::Evidence<&'static str>;

fn strand(name: &str) -> Evidence {
    Evidence {
        name: name.to_owned(),
        held: true,
        report: Report::Fresh,
        obeys: Some(DualWrite),
        ..Evidence::default()
    }
}

fn ask(phase: Phase, generation: i64) -> Request {
    Request {
        phase,
        generation,
        has_supabase: true,
        hold: false,
        suspended: false,
        migration: None,
        names: None,
        by: Some("alice".to_owned()),
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "requests are made where they are used"
)]
fn decide<P: Display>(
    request: Request,
    before: &IntegrationStatus,
    strands: &[super::Evidence<P>],
    time: &Time,
) -> Standing {
    let now = Now {
        time: time.clone(),
        watched: None,
        asked: seen(before, time),
    };
    super::decide(&request, before, strands, &now)
}

/// For how long who decides has seen the step that waits, when nothing happened to the clocks.
fn seen(before: &IntegrationStatus, time: &Time) -> Duration {
    let since = before.transition.as_ref().and_then(|it| it.since.as_ref());
    let seen = since.map(|since| Duration::try_from(time.0.duration_since(since.0)));
    seen.and_then(Result::ok).unwrap_or_default()
}

fn status(phase: Phase) -> IntegrationStatus {
    IntegrationStatus {
        phase: Some(phase),
        phase_generation: Some(1),
        ..IntegrationStatus::default()
    }
}

fn now() -> Time {
    Time(Timestamp::from_second(1_800_000_000).unwrap())
}

type Spoil = fn(&mut Evidence);

fn blocked(standing: &Standing) -> Vec<&str> {
    let transition = standing.transition.as_ref().unwrap();
    let closed = transition.gates.iter().filter(|gate| !gate.passed);
    closed.map(|gate| gate.name.as_str()).collect()
}

const BROKEN: &str = "a segment does not verify";

#[test]
fn a_step_forward_is_let_through_when_nothing_is_left_to_mirror() {
    let standing = decide(
        ask(MigrateInternals, 2),
        &status(DualWrite),
        &[strand("a")],
        &now(),
    );
    assert_eq!((standing.phase, standing.generation), (MigrateInternals, 2));
}

#[test]
fn what_blocks_is_named() {
    let cases: [(&str, Spoil); 6] = [
        ("Reported", |s| s.report = Report::Old),
        ("Reported", |s| {
            (s.held, s.report) = (false, Report::Never);
        }),
        ("Reported", |s| s.obeys = None),
        ("Drained", |s| s.backlog = 3),
        ("NoDeadLetters", |s| s.dead_letters = 1),
        ("ChainIntact", |s| s.problem = Some(BROKEN)),
    ];
    for (gate, spoil) in cases {
        let mut bad = strand("bad");
        spoil(&mut bad);
        let standing = decide(
            ask(MigrateInternals, 2),
            &status(DualWrite),
            &[strand("a"), bad],
            &now(),
        );
        assert_eq!(standing.phase, DualWrite);
        assert_eq!(blocked(&standing), [gate]);
        let transition = standing.transition.unwrap();
        let gate = transition.gates.iter().find(|gate| !gate.passed).unwrap();
        assert!(
            gate.message.contains("bad") && !gate.message.contains("a ("),
            "{gate:?}"
        );
    }
}

#[test]
fn a_busy_strand_passes_by_the_boundary_that_its_sidecar_fixed_for_this_generation() {
    let mut busy = strand("busy");
    busy.backlog = 12;
    for (generation, drained, passes) in [(2, true, true), (2, false, false), (1, true, false)] {
        busy.boundary = Some(Boundary {
            generation,
            seq: 100,
            drained,
        });
        let standing = decide(
            ask(MigrateInternals, 2),
            &status(DualWrite),
            &[busy.clone()],
            &now(),
        );
        assert_eq!(standing.phase == MigrateInternals, passes);
    }
    busy.held = false;
    busy.boundary = Some(Boundary {
        generation: 2,
        seq: 100,
        drained: true,
    });
    let standing = decide(
        ask(MigrateInternals, 2),
        &status(DualWrite),
        &[busy],
        &now(),
    );
    assert_eq!(
        blocked(&standing),
        ["Drained"],
        "nobody mirrors what it holds"
    );
}

#[test]
fn two_steps_are_taken_one_by_one_and_back_is_at_once() {
    let first = decide(ask(CutOver, 3), &status(DualWrite), &[strand("a")], &now());
    assert_eq!(first.phase, MigrateInternals);
    let second = decide(
        ask(CutOver, 3),
        &status(MigrateInternals),
        &[strand("a")],
        &now(),
    );
    assert_eq!(
        blocked(&second),
        ["Reported"],
        "it still obeys the phase before"
    );
    let mut spoiled = strand("a");
    spoiled.backlog = 9;
    spoiled.problem = Some(BROKEN);
    let back = decide(ask(DualWrite, 4), &status(CutOver), &[spoiled], &now());
    assert_eq!((back.phase, back.transition), (DualWrite, None));
}

#[test]
fn without_supabase_nothing_must_be_drained() {
    let mut full = strand("a");
    full.backlog = 100;
    let request = Request {
        has_supabase: false,
        ..ask(MigrateInternals, 2)
    };
    assert_eq!(
        decide(request, &status(DualWrite), &[full], &now()).phase,
        MigrateInternals
    );
}

#[test]
fn nothing_changes_while_suspended() {
    let request = Request {
        suspended: true,
        ..ask(MigrateInternals, 2)
    };
    let standing = decide::<String>(request, &status(DualWrite), &[], &now());
    assert_eq!((standing.phase, standing.transition), (DualWrite, None));
}

#[test]
fn a_legal_hold_is_written_with_who_set_it_also_while_suspended_and_stays_when_others_edit() {
    let (none, mut status) = (ask(DualWrite, 2), status(DualWrite));
    let decided = decide::<String>(none, &status, &[], &now());
    assert_eq!(decided.legal_hold, None);
    let set = Request {
        hold: true,
        suspended: true,
        ..ask(DualWrite, 3)
    };
    decide::<String>(set.clone(), &status, &[], &now()).write(&mut status);
    let hold = status.legal_hold.clone().unwrap();
    assert_eq!(
        (hold.active, hold.generation, hold.by.as_deref()),
        (true, 3, Some("alice"))
    );
    let edited = Request {
        generation: 4,
        by: Some("bob".to_owned()),
        ..set
    };
    let later = decide::<String>(edited, &status, &[], &now());
    assert_eq!(later.legal_hold, Some(hold));
    let lifted = decide::<String>(ask(DualWrite, 5), &status, &[], &now());
    let lifted = lifted.legal_hold.unwrap();
    assert_eq!((lifted.active, lifted.generation), (false, 5));
}

#[test]
fn a_new_integration_begins_with_what_it_asks_for_but_not_ahead_of_strands_that_are_there() {
    let none = IntegrationStatus::default();
    assert_eq!(
        decide::<String>(ask(CutOver, 1), &none, &[], &now()).phase,
        CutOver
    );
    let found = decide(ask(CutOver, 1), &none, &[strand("a")], &now());
    assert_eq!(
        found.phase, MigrateInternals,
        "one gated step from what the strands obey"
    );
}

#[test]
fn a_wait_keeps_its_beginning() {
    let mut behind = strand("a");
    behind.backlog = 1;
    let first = decide(
        ask(MigrateInternals, 2),
        &status(DualWrite),
        &[behind.clone()],
        &now(),
    );
    let later = Time(Timestamp::from_second(1_800_000_100).unwrap());
    let before = IntegrationStatus {
        transition: first.transition.clone(),
        ..status(DualWrite)
    };
    let second = decide(ask(MigrateInternals, 2), &before, &[behind], &later);
    assert_eq!(second.transition, first.transition);
}
