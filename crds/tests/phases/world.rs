//! An integration with its strands, who decides about it, and the time.

use std::time::{Duration, Instant};

use boboyka_crds::phases::{Evidence, Now, Report, Request, Standing, Watch, decide};
use boboyka_crds::{IntegrationStatus, Phase};

use crate::step::{STRANDS, Step};
use crate::strand::{Strand, time};

pub(crate) struct World {
    pub(crate) strands: Vec<Strand>,
    pub(crate) request: Request,
    pub(crate) written: IntegrationStatus,
    /// Seconds that have passed.
    pub(crate) ticks: i64,
    /// How far the wall clock of who decides is ahead.
    pub(crate) ahead: i64,
    pub(crate) has_jumped: bool,
    pub(crate) begun: Instant,
    pub(crate) watch: Watch,
    /// Whether somebody else writes, really; and as it was counted, at what time.
    pub(crate) foreign: bool,
    pub(crate) counted: Option<(bool, i64)>,
    /// When the step that waits was asked for, and for how many seconds its gates were seen to hold.
    pub(crate) asked_at: i64,
    pub(crate) held: i64,
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
                suspended: false,
                migration: None,
                by: None,
            },
            written: IntegrationStatus::default(),
            ticks: 0,
            ahead: 0,
            has_jumped: false,
            begun: Instant::now(),
            watch: Watch::default(),
            foreign: false,
            counted: None,
            asked_at: 0,
            held: 0,
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
            Step::Migrate(ref migration) => {
                self.edit(|request| request.migration.clone_from(migration));
            }
            Step::Pass => self.ticks += 4,
            Step::Jump(seconds) => {
                (self.ahead, self.has_jumped) = (self.ahead + seconds, true);
            }
            Step::Restart => (self.watch, self.held_at) = (Watch::default(), None),
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
            Step::Obey(one) => self.strands[one].obey(&self.written),
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

    pub(crate) fn settle(&mut self, one: usize) {
        let strand = &mut self.strands[one];
        (strand.dead_letters, strand.broken, strand.differs.0) = (0, false, false);
        self.foreign = false;
        strand.mirrored = strand.head;
        strand.obey(&self.written);
        strand.scrubbed = strand.head;
        self.compare(one);
        self.report(one);
    }

    pub(crate) fn compare(&mut self, one: usize) {
        self.strands[one].compare(self.ticks);
        self.counted = Some((self.foreign, self.ticks));
    }

    pub(crate) fn report(&mut self, one: usize) {
        self.strands[one].report(one, self.ticks, self.counted);
    }

    pub(crate) fn asked(&self, request: &Request, watched: Option<Duration>) -> Standing {
        let known = self.strands.iter().map(|one| one.known(self.ticks));
        let known: Vec<_> = known.collect();
        let now = Now {
            time: time(self.ticks + self.ahead),
            watched,
        };
        decide(request, &self.written, &known, &now)
    }
}
