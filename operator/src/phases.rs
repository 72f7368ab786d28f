//! Which phase is in force, and which gates keep the next one from coming into force. Pure.
//!
//! A step forward is one phase and passes gates; a step backward is at once. A strand's boundary is the head of its last
//! report if nothing was left to mirror then, else the boundary that its sidecar fixed for this generation. The gates
//! show that the mirror keeps up. Records that are appended until a sidecar obeys are mirrored too: it fixes the last seq
//! to mirror in the commit in which it obeys.

use boboyka_crds::{BoboykaStrand, Boundary, Gate, IntegrationStatus, Phase, Transition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;

use crate::strands::witness::ChainProblem;

/// How many strands a message names.
const NAMED_MAX: usize = 5;

/// What was heard of a strand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Report {
    /// Nothing: it is new, or it was deleted and created again.
    #[default]
    Never,
    /// Its last report is old.
    Old,
    /// Its holder has reported recently.
    Fresh,
}

/// What one strand shows for a change of phase.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Evidence {
    /// The strand's name.
    pub(crate) name: String,
    /// Whether a pod holds it.
    pub(crate) held: bool,
    /// What was heard of it.
    pub(crate) report: Report,
    /// The phase that its sidecar obeys.
    pub(crate) obeys: Option<Phase>,
    /// Records that Supabase does not have yet.
    pub(crate) backlog: i64,
    /// Records that Supabase refuses.
    pub(crate) dead_letters: i64,
    /// What is wrong with its chain.
    pub(crate) problem: Option<ChainProblem>,
    /// The boundary that its sidecar fixed.
    pub(crate) boundary: Option<Boundary>,
}

impl Evidence {
    /// Reads a strand's status; the caller judges whether it is `fresh`, and its chain.
    pub(crate) fn of(strand: &BoboykaStrand, fresh: bool, problem: Option<ChainProblem>) -> Self {
        let new = Self {
            name: strand.name_any(),
            held: strand.spec.holder.is_some(),
            problem,
            ..Self::default()
        };
        let Some(status) = strand.report() else {
            return new;
        };
        Self {
            report: if fresh { Report::Fresh } else { Report::Old },
            obeys: status.phase,
            backlog: status.backlog,
            dead_letters: status.dead_letters,
            boundary: status.boundary.clone(),
            ..new
        }
    }

    /// Whether the strand's sidecar is ready; `strand` is the strand that this shows.
    pub(crate) fn is_ready(&self, strand: &BoboykaStrand) -> bool {
        self.report == Report::Fresh && strand.report().is_some_and(|status| status.ready)
    }

    fn is_drained(&self, generation: i64) -> bool {
        let fixed = self.boundary.as_ref();
        let fixed = fixed.filter(|boundary| boundary.generation == generation);
        self.backlog == 0 || (self.held && fixed.is_some_and(|boundary| boundary.drained))
    }
}

/// The phase that an integration asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    /// The phase.
    pub(crate) phase: Phase,
    /// The generation of the integration.
    pub(crate) generation: i64,
    /// Whether the integration names a Supabase.
    pub(crate) has_supabase: bool,
    /// Whether nothing may change.
    pub(crate) suspended: bool,
}

/// The phase in force, and what the next one waits for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Standing {
    /// The phase in force.
    pub(crate) phase: Phase,
    /// The generation of the integration that brought it into force.
    pub(crate) generation: i64,
    /// The transition that waits for its gates.
    pub(crate) transition: Option<Transition>,
}

/// Decides which phase is in force, from the request, the status so far and the strands.
pub(crate) fn decide(
    request: Request,
    before: &IntegrationStatus,
    strands: &[Evidence],
    now: &Time,
) -> Standing {
    let (phase, generation) = match before.phase {
        Some(phase) => (phase, before.phase_generation.unwrap_or(request.generation)),
        None => (first_phase(request.phase, strands), request.generation),
    };
    let here = Standing {
        phase,
        generation,
        transition: None,
    };
    let next = phase.step_to(request.phase).filter(|_| !request.suspended);
    let Some(next) = next else { return here };
    let gates = if next > phase {
        gates(phase, request, strands)
    } else {
        Vec::new()
    };
    if gates.iter().all(|gate| gate.passed) {
        return Standing {
            phase: next,
            generation: request.generation,
            transition: None,
        };
    }
    let same = before.transition.as_ref();
    let same = same.filter(|was| was.to == next && was.generation == request.generation);
    let since = same
        .and_then(|was| was.since.clone())
        .unwrap_or_else(|| now.clone());
    Standing {
        transition: Some(Transition {
            from: phase,
            to: next,
            generation: request.generation,
            since: Some(since),
            gates,
        }),
        ..here
    }
}

/// The phase in force of an integration without a status: the requested phase or, if strands of an earlier integration
/// exist, the least advanced phase that they obey.
fn first_phase(requested: Phase, strands: &[Evidence]) -> Phase {
    let obeyed = strands.iter().filter_map(|strand| strand.obeys).min();
    obeyed.map_or(requested, |obeyed| obeyed.min(requested))
}

fn gates(phase: Phase, request: Request, strands: &[Evidence]) -> Vec<Gate> {
    // What no pod holds is drained, and reports then; without a Supabase there is nothing to drain.
    let silent = |strand: &&Evidence| {
        let unknown = strand.report == Report::Never && request.has_supabase;
        let obeys = strand.report == Report::Fresh && strand.obeys == Some(phase);
        unknown || strand.held && !obeys
    };
    let mut gates = vec![gate(
        "Reported",
        strands.iter().filter(silent),
        &format!("every running sidecar has reported and obeys {phase}"),
        |strand| match (strand.report, strand.obeys) {
            (Report::Never, _) => "has never reported".to_owned(),
            (Report::Old, _) => "has not reported".to_owned(),
            (Report::Fresh, Some(obeys)) => format!("obeys {obeys}"),
            (Report::Fresh, None) => "obeys no phase yet".to_owned(),
        },
    )];
    if request.has_supabase {
        gates.push(gate(
            "Drained",
            strands
                .iter()
                .filter(|strand| !strand.is_drained(request.generation)),
            "Supabase has every record up to each strand's boundary",
            |strand| format!("{} records wait", strand.backlog),
        ));
        gates.push(gate(
            "NoDeadLetters",
            strands.iter().filter(|strand| strand.dead_letters > 0),
            "Supabase refused no record",
            |strand| format!("{} dead letters", strand.dead_letters),
        ));
    }
    gates.push(gate(
        "ChainIntact",
        strands.iter().filter(|strand| strand.problem.is_some()),
        "every chain is intact",
        |_| "its chain is not intact".to_owned(),
    ));
    gates
}

fn gate<'a>(
    name: &str,
    blocking: impl Iterator<Item = &'a Evidence>,
    passed: &str,
    describe: impl Fn(&Evidence) -> String,
) -> Gate {
    let blocking: Vec<&Evidence> = blocking.collect();
    let mut named: Vec<String> = blocking
        .iter()
        .take(NAMED_MAX)
        .map(|strand| format!("{} ({})", strand.name, describe(strand)))
        .collect();
    if blocking.len() > NAMED_MAX {
        named.push(format!("and {} more", blocking.len() - NAMED_MAX));
    }
    Gate {
        name: name.to_owned(),
        passed: blocking.is_empty(),
        message: if blocking.is_empty() {
            passed.to_owned()
        } else {
            format!("{} of the strands: {}", blocking.len(), named.join(", "))
        },
    }
}

#[cfg(test)]
mod tests;
