//! Forced gates: a force counts for the generation in which it was set, and for no later one. Pure.

use super::request::Request;
use crate::integration::IntegrationStatus;
use crate::migration::{Gate, TakenForce};

/// The force that the specification has, with the generation that it was set in.
pub(super) fn taken(request: &Request, before: &IntegrationStatus) -> Option<TakenForce> {
    let asked = request.migration.as_ref()?.force.as_ref()?;
    let known = before.force.as_ref();
    let known = known.filter(|it| it.gates == asked.gates && it.reason == asked.reason);
    Some(known.cloned().unwrap_or_else(|| TakenForce {
        generation: request.generation,
        gates: asked.gates.clone(),
        reason: asked.reason.clone(),
        by: request.by.clone(),
    }))
}

/// Marks the closed gates that a force names, if it counts for this generation.
pub(super) fn mark(gates: &mut [Gate], force: Option<&TakenForce>, generation: i64) {
    let Some(force) = force.filter(|it| it.generation == generation) else {
        return;
    };
    let names: Vec<&str> = force.gates.iter().map(|name| name.as_str()).collect();
    for gate in gates.iter_mut().filter(|gate| !gate.passed) {
        gate.forced = names.contains(&gate.name.as_str());
    }
}
