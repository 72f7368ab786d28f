//! What a strand shows for a change of phase. Pure.

use kube::ResourceExt as _;

use crate::phase::Phase;
use crate::strand::{BoboykaStrand, Boundary, LaneStatus, StrandStatus};

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
    /// The phase that its sidecar obeys.
    pub obeys: Option<Phase>,
    /// Records that Supabase does not have yet.
    pub backlog: i64,
    /// Why the first lane with a backlog does not go on, if it says so.
    pub obstacle: Option<String>,
    /// Records that Supabase refuses.
    pub dead_letters: i64,
    /// What is wrong with its chain.
    pub problem: Option<P>,
    /// The boundary that its sidecar fixed.
    pub boundary: Option<Boundary>,
}

impl<P> Default for Evidence<P> {
    fn default() -> Self {
        Self {
            name: String::new(),
            held: false,
            report: Report::Never,
            obeys: None,
            backlog: 0,
            obstacle: None,
            dead_letters: 0,
            problem: None,
            boundary: None,
        }
    }
}

impl<P> Evidence<P> {
    /// Reads a strand's status; the caller judges whether it is `fresh`, and its chain.
    pub fn of(strand: &BoboykaStrand, fresh: bool, problem: Option<P>) -> Self {
        let report = if fresh { Report::Fresh } else { Report::Old };
        let held = strand.spec.holder.is_some();
        Self::reported(&strand.name_any(), held, report, strand.report(), problem)
    }

    /// Reads what a sidecar reports, if anything was heard of the strand.
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
            obeys: status.phase,
            backlog: status.backlog,
            obstacle: obstacle(&status.lanes),
            dead_letters: status.dead_letters,
            boundary: status.boundary.clone(),
            ..new
        }
    }

    /// Whether the strand's sidecar is ready; `strand` is the strand that this shows.
    pub fn is_ready(&self, strand: &BoboykaStrand) -> bool {
        self.report == Report::Fresh && strand.report().is_some_and(|status| status.ready)
    }

    /// Whether Supabase has what the strand held when this generation asked for the change.
    pub(super) fn is_drained(&self, generation: i64) -> bool {
        let fixed = self.boundary.as_ref();
        let fixed = fixed.filter(|boundary| boundary.generation == generation);
        self.backlog == 0 || (self.held && fixed.is_some_and(|boundary| boundary.drained))
    }
}

fn obstacle(lanes: &[LaneStatus]) -> Option<String> {
    let mut waiting = lanes.iter().filter(|lane| lane.backlog > 0);
    let (lane, reason) = waiting.find_map(|lane| Some((lane, lane.reason.as_ref()?)))?;
    let reason: String = reason.chars().take(OBSTACLE_MAX).collect();
    Some(format!("{}: {reason}", lane.record_type))
}
