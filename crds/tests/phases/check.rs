//! What every decision must keep to.

use std::time::Duration;

use boboyka_crds::phases::{Report, Request, Standing, digest};
use boboyka_crds::{Boundary, MigrationStatus, Phase, ProjectState};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::strand::Strand;
use crate::world::World;

/// The soak of the walks, in seconds.
const SOAK: i64 = 20;

impl World {
    pub(crate) fn decide(&mut self, is_written: bool) {
        let uptime = Duration::from_secs(u64::try_from(self.ticks).unwrap());
        let watched = self.watch.look(&self.written, self.begun + uptime);
        let seen = self.watch.asked(&self.written, self.begun + uptime);
        let standing = self.asked(&self.request, watched, seen);
        assert_eq!(
            self.asked(&self.request, watched, seen),
            standing,
            "it depends on nothing else"
        );
        self.watch.note(standing.transition.as_ref());
        if let Some(before) = self.written.phase {
            self.check(before, &standing);
            self.check_the_migration(before, &standing);
            self.check_the_projects(&standing);
        }
        self.check_the_way_back();
        self.hold(&standing, is_written);
        if is_written {
            standing.write(&mut self.written);
        }
    }

    /// Adds up how long the gates of a step were seen to hold, from one look to the next.
    pub(crate) fn hold(&mut self, standing: &Standing, is_written: bool) {
        let waits = standing.transition.as_ref();
        let was = self.written.transition.as_ref();
        let key = |it: &boboyka_crds::Transition| (it.to, it.finalizes, it.generation);
        if is_written && waits.map(key) != was.map(key) {
            (self.asked_at, self.held) = (self.ticks, 0);
        }
        let holds = waits.is_some_and(|it| it.closed().all(|gate| gate.name == "Soak"));
        if let Some(at) = self.held_at {
            self.held += self.ticks - at;
        }
        self.held_at = holds.then_some(self.ticks);
        let soak = waits.and_then(|it| it.soak.as_ref());
        if waits.is_some_and(|it| self.has_evidence_against(it)) {
            self.held = 0;
            assert!(soak.is_none_or(|soak| (soak.held_seconds, &soak.since) == (0, &None)));
        }
        if let Some(soak) = soak {
            assert!(soak.held_seconds <= self.held, "{soak:?} of {}", self.held);
        }
        if is_written {
            self.kept = self.held;
        }
    }

    fn has_evidence_against(&self, waits: &boboyka_crds::Transition) -> bool {
        let is_asked = |name: &str| waits.gates.iter().any(|it| it.name == name && !it.forced);
        self.strands.iter().any(|one| {
            let known = &one.known;
            let mut parities = known.lanes.iter().filter_map(|lane| lane.parity.as_ref());
            let mut foreign = known.foreign_writes.iter();
            known.problem.is_some()
                || known.held && known.report != Report::Fresh
                || is_asked("NoDeadLetters") && known.dead_letters > 0
                || is_asked("Parity") && parities.any(|it| it.missing > 0)
                || is_asked("NoForeignWrites") && foreign.any(|it| !it.tables.is_empty())
        })
    }

    pub(crate) fn check_the_migration(&self, before: Phase, standing: &Standing) {
        let migration = self.request.migration.clone().unwrap_or_default();
        let has_ended = self.written.finalized.is_some();
        if migration.pause || has_ended {
            assert_eq!(standing.phase, before, "what is paused or final stands");
            assert_eq!(standing.finalized, self.written.finalized);
        }
        if has_ended {
            return assert_eq!(standing.phase, Phase::CutOver, "the end is final");
        }
        let ends = standing.finalized.is_some();
        if ends {
            let said = self.written.transition.as_ref();
            assert!(said.is_some_and(|it| it.finalizes), "it is said first");
            assert!(migration.finalized && before == Phase::CutOver);
        }
        if standing.phase > before || ends {
            let change = standing.last_change.as_ref().unwrap();
            assert_eq!((change.to, change.finalized), (standing.phase, ends));
            assert_eq!(change.evidence, digest(&change.gates));
            self.check_forced(standing);
            let soak = change.gates.iter().find(|gate| gate.name == "Soak");
            assert_eq!(soak.is_some(), migration.soak != "0s");
            if soak.is_some_and(|gate| !gate.forced) {
                let last = self.held_at.map_or(0, |at| self.ticks - at);
                let held = self.held + last;
                assert!(held >= SOAK, "they held {held} s");
            }
        }
        if ends {
            let strands = self.strands.iter();
            strands.for_each(|one| one.may_pass(before, self, standing));
        }
    }

    /// A list comes into force when nothing keeps it, and a project is migrated when every strand that was heard has shown it.
    fn check_the_projects(&self, standing: &Standing) {
        let migration = self.request.migration.clone().unwrap_or_default();
        let digest = |it: Option<&MigrationStatus>| {
            let legacy = it.and_then(|it| it.legacy.as_ref());
            legacy.map(|legacy| legacy.digest.clone())
        };
        let (was, is) = (self.written.migration.as_ref(), standing.migration.as_ref());
        let stays = migration.pause || self.request.suspended || standing.finalized.is_some();
        let asked = migration.legacy(self.request.names.as_deref());
        let Some(asked) = asked.filter(|_| !stays) else {
            return assert_eq!(digest(was), digest(is), "the list stands");
        };
        assert!(is.is_none() && asked.is_empty() || digest(is) == Some(asked.digest()));
        let projects = is.map_or(&[][..], |it| &it.projects);
        let known = was.map_or(&[][..], |it| &it.projects);
        for project in projects {
            let (name, state) = (&project.name, project.state);
            assert_eq!(state == ProjectState::Legacy, asked.contains(name));
            let same = known
                .iter()
                .find(|it| it.name == *name && it.state == state);
            if same.is_some() || state != ProjectState::Migrated {
                continue;
            }
            for strand in &self.strands {
                let known = &strand.known;
                assert_ne!(known.report, Report::Never);
                if known.held || known.backlog > 0 || known.dead_letters > 0 {
                    let (list, departed) = (&strand.legacy.list, &strand.legacy.departed);
                    assert_eq!(list.as_ref(), Some(&asked), "it obeys another list");
                    let boundary = departed.get(name).map_or(0, |(boundary, _)| *boundary);
                    assert!(strand.mirrored >= boundary, "records of {name} are missing");
                }
                let departed = known.legacy.iter().flat_map(|it| &it.departed);
                let mut waits = departed.filter(|it| it.name == *name && it.waits_for.is_some());
                assert!(waits.next().is_none(), "{name} was not shown");
            }
        }
    }

    /// Forced gates are those of a force of this generation, and recorded.
    pub(crate) fn check_forced(&self, standing: &Standing) {
        let change = standing.last_change.as_ref().unwrap();
        let mut forced = change.gates.iter().filter(|gate| gate.forced).peekable();
        assert_eq!(change.force.is_some(), forced.peek().is_some());
        if let Some(force) = &change.force {
            assert_eq!(force.generation, self.request.generation);
            let names: Vec<_> = force.gates.iter().map(ToString::to_string).collect();
            assert!(forced.all(|gate| names.contains(&gate.name)));
        }
    }

    pub(crate) fn check(&self, before: Phase, standing: &Standing) {
        let (after, request) = (standing.phase, &self.request);
        if after > before {
            assert_eq!(
                before.step_to(request.phase),
                Some(after),
                "one step at a time"
            );
            assert!(!request.suspended);
            self.strands
                .iter()
                .for_each(|one| one.may_pass(before, self, standing));
        }
        if after < before {
            assert_eq!((after, request.suspended), (request.phase, false));
        }
        let Some(waits) = &standing.transition else {
            let has_ended = self.written.finalized.is_some();
            return assert!(
                after == request.phase || after != before || request.suspended || has_ended
            );
        };
        assert_eq!(waits.from, before);
        let was = self.written.transition.as_ref();
        let goes_on = was.is_some_and(|was| {
            (was.to, was.finalizes, was.generation) == (waits.to, waits.finalizes, waits.generation)
        });
        assert!(goes_on || waits.generation == request.generation);
        assert!(
            waits.to > before || waits.finalizes || waits.paused,
            "nothing waits on the way back"
        );
        let is_said_first = waits.finalizes && !goes_on;
        assert!(
            waits.closed().next().is_some() || waits.paused || is_said_first,
            "it says what blocks"
        );
        if let Some(was) = was.filter(|_| goes_on) {
            assert_eq!(was.since, waits.since, "a wait keeps its beginning");
        }
    }

    /// Counts a change that was made in this step, by what it passed.
    pub(crate) fn count(&mut self, passed: &mut [u32]) {
        let Some(change) = self.written.last_change.clone() else {
            return;
        };
        if self.counted_change.as_ref() != Some(&change) {
            let has_soaked = change.gates.iter().any(|it| it.name == "Soak" && it.passed);
            passed[0] += u32::from(has_soaked);
            passed[1] += u32::from(change.finalized);
            passed[2] += u32::from(change.force.is_some());
            self.counted_change = Some(change);
        }
    }

    /// Whatever is known or not.
    pub(crate) fn check_the_way_back(&self) {
        let back = Request {
            phase: Phase::DualWrite,
            generation: self.request.generation + 1,
            suspended: false,
            migration: None,
            ..self.request.clone()
        };
        if self.written.phase.is_some() && self.written.finalized.is_none() {
            let standing = self.asked(&back, None, Duration::ZERO);
            assert_eq!((standing.phase, standing.transition), (back.phase, None));
        }
    }
}

impl Strand {
    /// Whether what is known allows a step forward from `phase`, judged by what the strand really holds.
    fn may_pass(&self, phase: Phase, world: &World, standing: &Standing) {
        let (known, request) = (&self.known, &world.request);
        let gates = &standing.last_change.as_ref().unwrap().gates;
        let is_forced = |name: &str| gates.iter().any(|it| it.name == name && it.forced);
        if known.held {
            assert_eq!(known.report, Report::Fresh, "silence is no evidence");
            assert_eq!(known.obeys, Some(phase));
        }
        assert_eq!(known.problem, None);
        let was = world.written.transition.as_ref();
        let generation = was.map_or(request.generation, |was| was.generation);
        let fixed = known.boundary.as_ref().filter(|_| known.held);
        let fixed = fixed.filter(|it| [generation, request.generation].contains(&it.generation));
        if request.migration.is_some() {
            self.is_proven(fixed, world, &is_forced);
        }
        if !request.has_supabase {
            return;
        }
        assert_ne!(
            known.report,
            Report::Never,
            "what was never heard is no evidence"
        );
        assert_eq!(known.dead_letters, 0);
        let boundary = match known.backlog {
            0 => self.known_head,
            _ if is_forced("Drained") => return,
            _ => fixed.unwrap().seq,
        };
        assert!(
            self.mirrored >= boundary,
            "records up to the boundary are missing"
        );
    }

    /// Whether there is the evidence that a migration asks for.
    fn is_proven(
        &self,
        fixed: Option<&Boundary>,
        world: &World,
        is_forced: &impl Fn(&str) -> bool,
    ) {
        let end = fixed.map_or(self.known_head, |it| it.seq);
        assert_ne!(self.known.report, Report::Never);
        assert!(self.scrubbed >= end, "the scrub has not read it");
        if !world.request.has_supabase {
            return;
        }
        let is_new = |at: i64| at >= world.asked_at;
        let known = world.strands[0].known.foreign_writes.as_ref();
        let counted = known.expect("foreign writes were never counted");
        assert!(counted.tables.is_empty() && is_new(since_begin(&counted.checked_at)));
        if is_forced("Parity") || self.known.lanes[0].mark == 0 {
            return;
        }
        let parity = self.known.lanes[0].parity.as_ref();
        let parity = parity.expect("it was never compared");
        assert_eq!(parity.missing, 0);
        assert!(parity.up_to >= end.min(self.known.lanes[0].mark));
        assert!(is_new(since_begin(&parity.checked_at)), "an old comparison");
    }
}

fn since_begin(at: &Time) -> i64 {
    at.0.as_second() - 1_800_000_000
}
