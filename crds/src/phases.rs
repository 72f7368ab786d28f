//! Which phase is in force, and which gates keep the next one from coming into force. Pure.
//! The operator decides so for a fleet, and a sidecar without a cluster for its one strand.
//!
//! A step forward is one phase and passes gates; a step backward is at once. A strand's boundary is the head of its last
//! report if nothing was left to mirror then, else the boundary that its sidecar fixed for this generation. The gates
//! show that the mirror keeps up. Records that are appended until a sidecar obeys are mirrored too: it fixes the last seq
//! to mirror in the commit in which it obeys.

mod evidence;
mod gates;
mod request;

use std::fmt::Display;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

pub use self::evidence::{Evidence, Report};
pub use self::request::Request;
use crate::integration::{IntegrationStatus, Transition};
use crate::phase::Phase;

/// The phase in force, and what the next one waits for.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// The phase in force.
    pub phase: Phase,
    /// The generation of the integration that brought it into force.
    pub generation: i64,
    /// The transition that waits for its gates.
    pub transition: Option<Transition>,
}

/// Decides which phase is in force, from the request, the status so far and the strands.
pub fn decide<P: Display>(
    request: Request,
    before: &IntegrationStatus,
    strands: &[Evidence<P>],
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
        gates::gates(phase, request, strands)
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
fn first_phase<P>(requested: Phase, strands: &[Evidence<P>]) -> Phase {
    let obeyed = strands.iter().filter_map(|strand| strand.obeys).min();
    obeyed.map_or(requested, |obeyed| obeyed.min(requested))
}

#[cfg(test)]
mod tests;
