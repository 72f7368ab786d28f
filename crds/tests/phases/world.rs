//! An integration with its strands, who decides about it, and the time.

use std::time::{Duration, Instant};

use boboyka_crds::phases::{Evidence, Now, Report, Request, Standing, Watch, decide};
use boboyka_crds::{
    ConfigMapKeyReference, IntegrationStatus, LegacyProjectsFrom, Migration, Phase,
};

use crate::step::{STRANDS, Step};
use crate::strand::{ListInForce, Strand, time};

pub(crate) struct World {
    pub(crate) strands: Vec<Strand>,
    pub(crate) request: Request,
    pub(crate) written: IntegrationStatus,
    /// Seconds that have passed.
    pub(crate) ticks: i64,
    /// How far the wall clock of who decides is ahead.
    pub(crate) ahead: i64,
    pub(crate) begun: Instant,
    pub(crate) watch: Watch,
    /// Whether somebody else writes, really; and as it was counted, at what time.
    pub(crate) foreign: bool,
    pub(crate) counted: Option<(bool, i64)>,
    /// When the step that waits was asked for, and for how many seconds its gates were seen to hold.
    pub(crate) asked_at: i64,
    pub(crate) held: i64,
    /// The same when the status was written last: all that a killed process leaves.
    pub(crate) kept: i64,
    /// When they were seen to hold, at the last look.
    pub(crate) held_at: Option<i64>,
    pub(crate) counted_change: Option<boboyka_crds::Change>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            strands: vec![Strand::default(); STRANDS],
            request: Request {
                phase: Phase::DualWrite,
                generation: 1,
                has_supabase: true,
                hold: false,
                suspended: false,
                migration: None,
                names: None,
                by: None,
            },
            written: IntegrationStatus::default(),
            ticks: 0,
            ahead: 0,
            begun: Instant::now(),
            watch: Watch::default(),
            foreign: false,
            counted: None,
            asked_at: 0,
            held: 0,
            kept: 0,
            held_at: None,
            counted_change: None,
        }
    }

    pub(crate) fn edit(&mut self, edit: impl FnOnce(&mut Request)) {
        edit(&mut self.request);
        self.request.generation += 1;
    }

    pub(crate) fn take(&mut self, step: &Step) {
        self.ticks += 1;
        match *step {
            Step::Ask(phase) => self.edit(|request| request.phase = phase),
            Step::Suspend(suspended) => self.edit(|request| request.suspended = suspended),
            Step::NameSupabase(has) => self.edit(|request| request.has_supabase = has),
            Step::Migrate(ref migration) => self.migrate(migration.as_ref()),
            Step::List(bits) => self.list(bits),
            Step::ListElsewhere(bits) => self.list_elsewhere(bits),
            Step::ListAndBack(one, bits, is_obeyed) => self.list_and_back(one, bits, is_obeyed),
            Step::Pause(pause) => self.edit(|request| {
                if let Some(migration) = &mut request.migration {
                    migration.pause = pause;
                }
            }),
            Step::Pass => self.ticks += 4,
            Step::Jump(seconds) => self.ahead += seconds,
            Step::Restart => {
                (self.watch, self.held_at, self.held) = (Watch::default(), None, self.kept);
            }
            Step::Scrub(one) => self.strands[one].scrubbed = self.strands[one].head,
            Step::Compare(one) => self.compare(one),
            Step::Unknow(one) => self.strands[one].compared = None,
            Step::Differ(one) => self.strands[one].differs.0 = true,
            Step::WriteForeign => self.foreign = true,
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
            Step::Obey(one) => self.obey(one),
            Step::Report(one) => self.report(one),
            Step::Silence(one) => {
                let known = &mut self.strands[one].known;
                if known.report == Report::Fresh {
                    known.report = Report::Old;
                }
            }
            Step::Kill(one) => self.strands[one].fixed = None,
            Step::Free(one) => self.strands[one].known.held = false,
            Step::Forget(one) => self.strands[one].known = Evidence::default(),
            Step::Settle(one) => self.settle(one),
            Step::Flow(seconds) => {
                for _ in 0..seconds {
                    self.ticks += 1;
                    (0..STRANDS).for_each(|one| self.settle(one));
                    self.decide(true);
                }
            }
            Step::Decide => self.decide(true),
            Step::Lose => self.decide(false),
        }
    }

    fn list(&mut self, bits: u8) {
        self.edit(|request| {
            if let Some(migration) = request.migration.as_mut().filter(|it| !it.finalized) {
                migration.legacy_projects = named(bits);
                migration.legacy_projects_from = None;
            }
        });
    }

    /// The names come from a ConfigMap, which changes within a generation, and which nobody can read while it has none.
    fn list_elsewhere(&mut self, bits: u8) {
        self.request.names = Some(named(bits)).filter(|names| !names.is_empty());
        let migration = self.request.migration.as_ref();
        if migration.is_none_or(|it| it.finalized || it.reads().is_some()) {
            return;
        }
        self.edit(|request| {
            let migration = request.migration.as_mut().unwrap();
            migration.legacy_projects.clear();
            migration.legacy_projects_from = Some(LegacyProjectsFrom {
                config_map_key_ref: ConfigMapKeyReference::default(),
            });
        });
    }

    fn list_and_back(&mut self, one: usize, bits: u8, is_obeyed: bool) {
        let migration = self.request.migration.as_ref();
        let asked = migration.filter(|it| it.reads().is_none());
        let asked = asked.map(|it| it.legacy_projects.clone());
        if asked.is_none() {
            return self.list_elsewhere_and_back(one, bits, is_obeyed);
        }
        self.list(bits);
        self.decide(true);
        if is_obeyed {
            self.obey(one);
            self.strands[one].head += 3;
        }
        self.edit(|request| {
            if let (Some(migration), Some(asked)) = (&mut request.migration, asked) {
                migration.legacy_projects = asked;
            }
        });
        self.decide(true);
        if is_obeyed {
            self.obey(one);
        }
    }

    /// The same by a ConfigMap, within a generation.
    fn list_elsewhere_and_back(&mut self, one: usize, bits: u8, is_obeyed: bool) {
        let names = self.request.names.replace(named(bits));
        self.decide(true);
        if is_obeyed {
            self.obey(one);
            self.strands[one].head += 3;
        }
        self.request.names = names;
        self.decide(true);
        if is_obeyed {
            self.obey(one);
        }
    }

    fn migrate(&mut self, migration: Option<&Migration>) {
        self.edit(|request| {
            let kept = request.migration.take().unwrap_or_default();
            let ends = migration.is_some_and(|it| it.finalized);
            let (legacy_projects, legacy_projects_from) = if ends {
                (Vec::new(), None)
            } else {
                (kept.legacy_projects, kept.legacy_projects_from)
            };
            request.migration = migration.map(|migration| Migration {
                legacy_projects,
                legacy_projects_from,
                ..migration.clone()
            });
        });
    }

    pub(crate) fn settle(&mut self, one: usize) {
        let strand = &mut self.strands[one];
        (strand.dead_letters, strand.broken, strand.differs.0) = (0, false, false);
        self.foreign = false;
        strand.mirrored = strand.head;
        strand.scrubbed = strand.head;
        self.obey(one);
        self.compare(one);
        self.report(one);
    }

    /// The sidecar sees the phase in force, and the list if it is the one of the specification.
    fn obey(&mut self, one: usize) {
        let asked = self.request.migration.clone().unwrap_or_default();
        let asked = asked.legacy(None);
        let legacy = self
            .written
            .migration
            .as_ref()
            .and_then(|it| it.legacy.as_ref());
        let list = match legacy {
            None => Some(ListInForce::default()),
            Some(it) => it.list(asked.as_ref()).map(|list| ListInForce {
                list,
                generation: it.generation,
                revision: it.revision,
            }),
        };
        let list = list.filter(|_| self.written.phase.is_some());
        let strand = &mut self.strands[one];
        strand.obey(&self.written, self.ticks);
        strand.obey_list(list, self.ticks);
    }

    pub(crate) fn compare(&mut self, one: usize) {
        self.strands[one].compare(self.ticks);
        self.counted = Some((self.foreign, self.ticks));
    }

    pub(crate) fn report(&mut self, one: usize) {
        self.strands[one].report(one, self.ticks, self.counted);
    }

    pub(crate) fn asked(
        &self,
        request: &Request,
        watched: Option<Duration>,
        seen: Duration,
    ) -> Standing {
        let known = self.strands.iter().map(|one| one.known(self.ticks));
        let known: Vec<_> = known.collect();
        let now = Now {
            time: time(self.ticks + self.ahead),
            watched,
            asked: seen,
        };
        decide(request, &self.written, &known, &now)
    }
}

/// The projects that these bits stand for.
fn named(bits: u8) -> Vec<String> {
    let all = ["a", "b", "c"].into_iter().enumerate();
    let named = all.filter(|(at, _)| bits >> at & 1 == 1);
    named.map(|(_, name)| name.to_owned()).collect()
}
