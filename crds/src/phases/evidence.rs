//! What a strand shows for a change of phase. Pure.

use std::time::Duration;

use kube::ResourceExt as _;

use crate::migration::LegacyReport;
use crate::phase::Phase;
use crate::strand::{BoboykaStrand, Boundary, ForeignWrites, LaneStatus, StrandStatus};

/// Of an obstacle, which repeats what Supabase answered.
const OBSTACLE_MAX: usize = 200;

/// What was heard of a strand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Report {
    /// Nothing: it is new, or it was deleted and created again.
    #[default]
    Never,
    /// Its last report is old.
    Old,
    /// Its holder has reported recently.
    Fresh,
}

/// What one strand shows for a change of phase.
///
/// `P` is what is wrong with a chain; it is written into messages.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence<P> {
    /// The strand's name.
    pub name: String,
    /// Whether a pod holds it.
    pub held: bool,
    /// What was heard of it.
    pub report: Report,
    /// How old the last report is, by the clock of who decides; `None` while nobody knows.
    pub age: Option<Duration>,
    /// The phase that its sidecar obeys.
    pub obeys: Option<Phase>,
    /// The seq of its head.
    pub head: i64,
    /// Records that Supabase does not have yet.
    pub backlog: i64,
    /// Why the first lane with a backlog does not go on, if it says so.
    pub obstacle: Option<String>,
    /// Records that Supabase refuses.
    pub dead_letters: i64,
    /// Records that a return to `DualWrite` would mirror, if the sidecar says so.
    pub unmirrored: Option<i64>,
    /// What the files of the segments take that hold them, in bytes, if the sidecar says so.
    pub unmirrored_bytes: Option<i64>,
    /// What is wrong with its chain.
    pub problem: Option<P>,
    /// The seq up to which the scrub has read it again.
    pub scrubbed_to: Option<i64>,
    /// Its lanes, with their parity.
    pub lanes: Vec<LaneStatus>,
    /// The foreign writes that its sidecar counted for all.
    pub foreign_writes: Option<ForeignWrites>,
    /// Why its sidecar could not count them.
    pub foreign_writes_unknown: Option<String>,
    /// The boundary that its sidecar fixed.
    pub boundary: Option<Boundary>,
    /// The list of legacy projects that its sidecar obeys.
    pub legacy: Option<LegacyReport>,
}

impl<P> Default for Evidence<P> {
    fn default() -> Self {
        Self {
            name: String::new(),
            held: false,
            report: Report::Never,
            age: None,
            obeys: None,
            head: 0,
            backlog: 0,
            obstacle: None,
            dead_letters: 0,
            unmirrored: None,
            unmirrored_bytes: None,
            problem: None,
            scrubbed_to: None,
            lanes: Vec::new(),
            foreign_writes: None,
            foreign_writes_unknown: None,
            boundary: None,
            legacy: None,
        }
    }
}

impl<P> Evidence<P> {
    /// Reads a strand's status; the caller judges whether it is `fresh`, its `age`, and its chain.
    pub fn of(
        strand: &BoboykaStrand,
        fresh: bool,
        age: Option<Duration>,
        problem: Option<P>,
    ) -> Self {
        let report = if fresh { Report::Fresh } else { Report::Old };
        let held = strand.spec.holder.is_some();
        let status = strand.report();
        let read = Self::reported(&strand.name_any(), held, report, status, problem);
        // Nobody mirrors it until the fence is lifted.
        let fence = strand.fence().filter(|_| !held).map(ToString::to_string);
        Self {
            age,
            obstacle: fence.or(read.obstacle),
            ..read
        }
    }

    /// Reads what a sidecar reports, if anything was heard of the strand. The report is as old as nothing.
    pub fn reported(
        name: &str,
        held: bool,
        report: Report,
        status: Option<&StrandStatus>,
        problem: Option<P>,
    ) -> Self {
        let new = Self {
            name: name.to_owned(),
            held,
            problem,
            ..Self::default()
        };
        let Some(status) = status else {
            return new;
        };
        Self {
            report,
            age: Some(Duration::ZERO),
            obeys: status.phase,
            head: status.head.as_ref().map_or(0, |head| head.seq),
            backlog: status.backlog,
            obstacle: obstacle(&status.lanes),
            dead_letters: status.dead_letters,
            unmirrored: status.unmirrored,
            unmirrored_bytes: status.unmirrored_bytes,
            scrubbed_to: status.chain.as_ref().and_then(|chain| chain.scrubbed_to),
            lanes: status.lanes.clone(),
            foreign_writes: status.foreign_writes.clone(),
            foreign_writes_unknown: status.foreign_writes_unknown.clone(),
            boundary: status.boundary.clone(),
            legacy: status.legacy.clone(),
            ..new
        }
    }

    /// Whether the strand's sidecar is ready; `strand` is the strand that this shows.
    pub fn is_ready(&self, strand: &BoboykaStrand) -> bool {
        self.report == Report::Fresh && strand.report().is_some_and(|status| status.ready)
    }

    /// Whether Supabase has what the strand held when this generation asked for the change.
    pub(super) fn is_drained(&self, generation: i64) -> bool {
        self.backlog == 0 || self.fixed(generation).is_some_and(|it| it.drained)
    }

    /// The seq up to which the strand must be proven: its boundary or, before that is fixed, its head.
    pub(super) fn end(&self, generation: i64) -> i64 {
        self.fixed(generation).map_or(self.head, |it| it.seq)
    }

    fn fixed(&self, generation: i64) -> Option<&Boundary> {
        let fixed = self.boundary.as_ref().filter(|_| self.held);
        fixed.filter(|boundary| boundary.generation == generation)
    }
}

fn obstacle(lanes: &[LaneStatus]) -> Option<String> {
    let mut waiting = lanes.iter().filter(|lane| lane.backlog > 0);
    let (lane, reason) = waiting.find_map(|lane| Some((lane, lane.reason.as_ref()?)))?;
    let reason: String = reason.chars().take(OBSTACLE_MAX).collect();
    Some(format!("{}: {reason}", lane.record_type))
}
