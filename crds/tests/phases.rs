//! Random requests, reports, delays and crashes against the machine of phases. `PHASE_STEPS` sets how many (10 000).

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that panics says where"
)]

use boboyka_crds::phases::{Evidence, Report, Request, Standing, decide};
use boboyka_crds::{Boundary, IntegrationStatus, Phase};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// The steps of one walk.
const WALK: usize = 100;
const STRANDS: usize = 3;
const PHASES: [Phase; 3] = [Phase::DualWrite, Phase::MigrateInternals, Phase::CutOver];

#[derive(Clone, Debug)]
enum Step {
    Ask(Phase),
    Suspend(bool),
    NameSupabase(bool),
    Append(usize),
    Mirror(usize),
    Refuse(usize),
    Repair(usize),
    Break(usize),
    /// The sidecar sees the phase in force, and the change under way.
    Obey(usize),
    /// What the strand shows now becomes known.
    Report(usize),
    /// The last report grows old.
    Silence(usize),
    /// The sidecar is killed: the boundary that it fixed is gone.
    Kill(usize),
    /// The pod is gone.
    Free(usize),
    /// Nobody has ever heard of the strand.
    Forget(usize),
    /// All goes well for a while: what is wrong is repaired, everything is mirrored, obeyed and reported.
    Settle(usize),
    /// The process that decides is killed, and reads back what was written.
    Decide,
}

/// A strand as it is.
#[derive(Clone, Debug, Default)]
struct Strand {
    head: i64,
    mirrored: i64,
    dead_letters: i64,
    broken: bool,
    obeys: Option<Phase>,
    fixed: Option<(i64, i64)>,
    /// What is known of it, and the head that it had then.
    known: Evidence<String>,
    known_head: i64,
}

struct World {
    strands: Vec<Strand>,
    request: Request,
    written: IntegrationStatus,
    ticks: i64,
}

fn step() -> impl Strategy<Value = Step> {
    let one = || 0..STRANDS;
    prop_oneof![
        3 => prop::sample::select(&PHASES[..]).prop_map(Step::Ask),
        1 => prop::sample::select(vec![true, false, false]).prop_map(Step::Suspend),
        1 => any::<bool>().prop_map(Step::NameSupabase),
        4 => one().prop_map(Step::Append),
        6 => one().prop_map(Step::Mirror),
        1 => one().prop_map(Step::Refuse),
        2 => one().prop_map(Step::Repair),
        1 => one().prop_map(Step::Break),
        8 => one().prop_map(Step::Obey),
        12 => one().prop_map(Step::Report),
        2 => one().prop_map(Step::Silence),
        1 => one().prop_map(Step::Kill),
        1 => one().prop_map(Step::Free),
        1 => one().prop_map(Step::Forget),
        12 => one().prop_map(Step::Settle),
        16 => Just(Step::Decide),
    ]
}

impl Strand {
    fn obey(&mut self, written: &IntegrationStatus) {
        let wanted = written.transition.as_ref().map(|change| change.generation);
        self.fixed = wanted.map(|wanted| match self.fixed {
            Some((generation, seq)) if generation == wanted => (generation, seq),
            _ => (wanted, self.head),
        });
        self.obeys = written.phase;
    }

    fn report(&mut self, name: usize) {
        self.known_head = self.head;
        self.known = Evidence {
            name: format!("strand-{name}"),
            held: true,
            report: Report::Fresh,
            obeys: self.obeys,
            backlog: self.head - self.mirrored,
            obstacle: None,
            dead_letters: self.dead_letters,
            problem: self.broken.then(|| "broken".to_owned()),
            boundary: self.fixed.map(|(generation, seq)| Boundary {
                generation,
                seq,
                drained: self.mirrored >= seq,
            }),
        };
    }
}

impl World {
    fn new() -> Self {
        Self {
            strands: vec![Strand::default(); STRANDS],
            request: Request {
                phase: Phase::DualWrite,
                generation: 1,
                has_supabase: true,
                suspended: false,
            },
            written: IntegrationStatus::default(),
            ticks: 0,
        }
    }

    fn edit(&mut self, edit: impl FnOnce(&mut Request)) {
        edit(&mut self.request);
        self.request.generation += 1;
    }

    fn take(&mut self, step: &Step) {
        self.ticks += 1;
        match *step {
            Step::Ask(phase) => self.edit(|request| request.phase = phase),
            Step::Suspend(suspended) => self.edit(|request| request.suspended = suspended),
            Step::NameSupabase(has) => self.edit(|request| request.has_supabase = has),
            Step::Append(one) => self.strands[one].head += 3,
            Step::Mirror(one) => {
                let strand = &mut self.strands[one];
                strand.mirrored = strand.head.min(strand.mirrored + 4);
            }
            Step::Refuse(one) => self.strands[one].dead_letters += 1,
            Step::Repair(one) => {
                let strand = &mut self.strands[one];
                (strand.dead_letters, strand.broken) = (0, false);
            }
            Step::Break(one) => self.strands[one].broken = true,
            Step::Obey(one) => self.strands[one].obey(&self.written),
            Step::Report(one) => self.strands[one].report(one),
            Step::Silence(one) => {
                let known = &mut self.strands[one].known;
                if known.report == Report::Fresh {
                    known.report = Report::Old;
                }
            }
            Step::Kill(one) => self.strands[one].fixed = None,
            Step::Free(one) => self.strands[one].known.held = false,
            Step::Forget(one) => self.strands[one].known = Evidence::default(),
            Step::Settle(one) => {
                let strand = &mut self.strands[one];
                (strand.dead_letters, strand.broken) = (0, false);
                strand.mirrored = strand.head;
                strand.obey(&self.written);
                strand.report(one);
            }
            Step::Decide => self.decide(),
        }
    }

    fn asked(&self, request: Request) -> Standing {
        let known: Vec<_> = self.strands.iter().map(|one| one.known.clone()).collect();
        let now = Time(Timestamp::from_second(1_800_000_000 + self.ticks).unwrap());
        decide(request, &self.written, &known, &now)
    }

    fn decide(&mut self) {
        let standing = self.asked(self.request);
        assert_eq!(
            self.asked(self.request),
            standing,
            "it depends on nothing else"
        );
        if let Some(before) = self.written.phase {
            self.check(before, &standing);
        }
        self.check_the_way_back();
        self.written = IntegrationStatus {
            phase: Some(standing.phase),
            phase_generation: Some(standing.generation),
            transition: standing.transition,
            ..IntegrationStatus::default()
        };
    }

    fn check(&self, before: Phase, standing: &Standing) {
        let (after, request) = (standing.phase, self.request);
        if after > before {
            assert_eq!(
                before.step_to(request.phase),
                Some(after),
                "one step at a time"
            );
            assert!(!request.suspended);
            self.strands
                .iter()
                .for_each(|one| one.may_pass(before, request));
        }
        if after < before {
            assert_eq!((after, request.suspended), (request.phase, false));
        }
        let Some(waits) = &standing.transition else {
            return assert!(after == request.phase || after != before || request.suspended);
        };
        assert_eq!((waits.from, waits.generation), (before, request.generation));
        assert!(waits.to > before, "nothing waits on the way back");
        assert!(
            waits.gates.iter().any(|gate| !gate.passed),
            "it says what blocks"
        );
        if let Some(was) = &self.written.transition
            && (was.to, was.generation) == (waits.to, waits.generation)
        {
            assert_eq!(was.since, waits.since, "a wait keeps its beginning");
        }
    }

    /// Whatever is known or not.
    fn check_the_way_back(&self) {
        let back = Request {
            phase: Phase::DualWrite,
            generation: self.request.generation + 1,
            suspended: false,
            ..self.request
        };
        if self.written.phase.is_some() {
            let standing = self.asked(back);
            assert_eq!((standing.phase, standing.transition), (back.phase, None));
        }
    }
}

impl Strand {
    /// Whether what is known allows a step forward from `phase`, judged by what the strand really holds.
    fn may_pass(&self, phase: Phase, request: Request) {
        let known = &self.known;
        if known.held {
            assert_eq!(known.report, Report::Fresh, "silence is no evidence");
            assert_eq!(known.obeys, Some(phase));
        }
        assert_eq!(known.problem, None);
        if !request.has_supabase {
            return;
        }
        assert_ne!(
            known.report,
            Report::Never,
            "what was never heard is no evidence"
        );
        assert_eq!(known.dead_letters, 0);
        let fixed = known.boundary.as_ref();
        let boundary = match known.backlog {
            0 => self.known_head,
            _ => {
                fixed
                    .filter(|it| it.generation == request.generation)
                    .unwrap()
                    .seq
            }
        };
        assert!(
            self.mirrored >= boundary,
            "records up to the boundary are missing"
        );
    }
}

#[test]
fn no_walk_passes_a_gate_on_missing_evidence_or_closes_the_way_back() {
    let steps = std::env::var("PHASE_STEPS").map_or(10_000, |steps| steps.parse().unwrap());
    let cases = u32::try_from(steps / WALK).unwrap();
    let mut runner = TestRunner::new(Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    });
    let mut passed = [0_u32; 2];
    let walk = proptest::collection::vec(step(), WALK);
    let counted = std::cell::RefCell::new(&mut passed);
    let outcome = runner.run(&walk, |steps| {
        let mut world = World::new();
        for step in &steps {
            let before = world.written.phase;
            world.take(step);
            if let (Some(before), Some(after)) = (before, world.written.phase) {
                counted.borrow_mut()[0] += u32::from(after > before);
                counted.borrow_mut()[1] += u32::from(after < before);
            }
        }
        Ok(())
    });
    outcome.unwrap();
    assert!(
        passed.iter().all(|count| *count >= cases / 10),
        "the walks lead nowhere: {passed:?}"
    );
}
