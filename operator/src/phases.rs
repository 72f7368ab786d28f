//! Phases as a pure module: what is asked for, what is in force, and the evidence of the strands go in; what is in force
//! then, and why not more, comes out.
//!
//! Forward is one step at a time, and only through the gates; backward is at once. A strand's boundary is the head of its
//! last report when nothing was left to mirror then, else the one that its sidecar fixed for this generation. Gates are
//! evidence that the mirror keeps up: what is appended until a sidecar obeys is mirrored too, for it fixes the last
//! seq to mirror in the commit in which it obeys.

use boboyka_crds::{BoboykaStrand, Boundary, Gate, IntegrationStatus, Phase, Transition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;

/// How many strands a message names.
const NAMED_MAX: usize = 5;

/// What one strand shows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evidence {
    /// The strand.
    pub name: String,
    /// Whether a pod holds it.
    pub held: bool,
    /// Whether its holder has reported, and recently.
    pub fresh: bool,
    /// The phase that it obeys.
    pub obeys: Option<Phase>,
    /// Records that Supabase lacks.
    pub backlog: i64,
    /// Records that Supabase refuses.
    pub dead_letters: i64,
    /// Whether its chain holds.
    pub intact: bool,
    /// The boundary that its sidecar fixed.
    pub boundary: Option<Boundary>,
}

impl Evidence {
    /// What a strand's status shows; `fresh` as the operator judges its age.
    pub fn of(strand: &BoboykaStrand, fresh: bool, intact: bool) -> Self {
        let status = strand.status.clone().unwrap_or_default();
        Self {
            name: strand.name_any(),
            held: strand.spec.holder.is_some(),
            fresh,
            obeys: status.phase,
            backlog: status.backlog,
            dead_letters: status.dead_letters,
            intact,
            boundary: status.boundary,
        }
    }

    fn is_drained(&self, generation: i64) -> bool {
        let fixed = self.boundary.as_ref();
        let fixed = fixed.filter(|boundary| boundary.generation == generation);
        self.backlog == 0 || (self.held && fixed.is_some_and(|boundary| boundary.drained))
    }
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// The phase.
    pub phase: Phase,
    /// The generation of the integration that asks.
    pub generation: i64,
    /// Whether there is a Supabase.
    pub has_supabase: bool,
    /// Whether nothing may change.
    pub suspended: bool,
}

/// What is in force.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The phase.
    pub phase: Phase,
    /// The generation that brought it about.
    pub generation: i64,
    /// The change under way.
    pub transition: Option<Transition>,
    /// The phase before, when this decision changed it.
    pub changed_from: Option<Phase>,
}

/// Decides what is in force, from the request, the status so far and the strands.
pub fn decide(
    request: Request,
    before: &IntegrationStatus,
    strands: &[Evidence],
    now: &Time,
) -> Decision {
    let (phase, generation) = match before.phase {
        Some(phase) => (phase, before.phase_generation.unwrap_or(request.generation)),
        None => (first_phase(request.phase, strands), request.generation),
    };
    let here = Decision {
        phase,
        generation,
        transition: None,
        changed_from: None,
    };
    let next = phase.step_to(request.phase).filter(|_| !request.suspended);
    let Some(next) = next else { return here };
    let gates = if next > phase {
        gates(phase, request, strands)
    } else {
        Vec::new()
    };
    if gates.iter().all(|gate| gate.passed) {
        return Decision {
            phase: next,
            generation: request.generation,
            transition: None,
            changed_from: Some(phase),
        };
    }
    let same = before.transition.as_ref();
    let same = same.filter(|was| was.to == next && was.generation == request.generation);
    let since = same
        .and_then(|was| was.since.clone())
        .unwrap_or_else(|| now.clone());
    Decision {
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

/// What is in force for an integration that has no status yet: what is asked for, or, when strands of an earlier one
/// are found, the least advanced phase that they obey.
fn first_phase(requested: Phase, strands: &[Evidence]) -> Phase {
    let obeyed = strands.iter().filter_map(|strand| strand.obeys).min();
    obeyed.map_or(requested, |obeyed| obeyed.min(requested))
}

fn gates(phase: Phase, request: Request, strands: &[Evidence]) -> Vec<Gate> {
    let silent = |strand: &&Evidence| strand.held && !(strand.fresh && strand.obeys == Some(phase));
    let mut gates = vec![gate(
        "Reported",
        strands.iter().filter(silent),
        &format!("every sidecar that runs has reported and obeys {phase}"),
        |strand| match strand.obeys {
            _ if !strand.fresh => "has not reported".to_owned(),
            Some(obeys) => format!("obeys {obeys}"),
            None => "obeys no phase yet".to_owned(),
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
        strands.iter().filter(|strand| !strand.intact),
        "every chain holds",
        |_| "its chain does not hold".to_owned(),
    ));
    gates
}

fn gate<'a>(
    name: &str,
    blocking: impl Iterator<Item = &'a Evidence>,
    passed: &str,
    tell: impl Fn(&Evidence) -> String,
) -> Gate {
    let blocking: Vec<&Evidence> = blocking.collect();
    let mut told: Vec<String> = blocking
        .iter()
        .take(NAMED_MAX)
        .map(|strand| format!("{} ({})", strand.name, tell(strand)))
        .collect();
    if blocking.len() > NAMED_MAX {
        told.push(format!("and {} more", blocking.len() - NAMED_MAX));
    }
    Gate {
        name: name.to_owned(),
        passed: blocking.is_empty(),
        message: if blocking.is_empty() {
            passed.to_owned()
        } else {
            format!("{} of the strands: {}", blocking.len(), told.join(", "))
        },
    }
}

#[cfg(test)]
mod tests;
