//! The next step of a migration. Pure.

use super::gates;
use super::request::Request;
use crate::migration::{GateName, Transition};
use crate::phase::Phase;

/// One step: a phase forward, any way back, or the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) from: Phase,
    pub(super) to: Phase,
    /// Whether it ends the migration, in `CutOver`.
    pub(super) finalizes: bool,
}

impl Step {
    /// The step from this phase towards what is requested, if there is one.
    pub(super) fn next(from: Phase, request: &Request) -> Option<Self> {
        let step = |to, finalizes| Self {
            from,
            to,
            finalizes,
        };
        let ends = || from == Phase::CutOver && request.finalizes();
        match from.step_to(request.phase) {
            Some(to) => Some(step(to, false)),
            None => ends().then(|| step(from, true)),
        }
    }

    /// Whether it waits for gates.
    pub(super) fn is_gated(self) -> bool {
        self.finalizes || self.to > self.from
    }

    /// Whether it is the step that waits already. It keeps its generation, whatever else of the specification was edited; with
    /// other gates it is another step, for which strands fix their boundaries anew.
    pub(super) fn is_that_of(self, was: &Transition, request: &Request) -> bool {
        let soak = GateName::Soak.as_str();
        let names = was.gates.iter().map(|gate| gate.name.as_str());
        let names: Vec<&str> = names.filter(|name| *name != soak).collect();
        let asked = if self.is_gated() {
            gates::names(request)
        } else {
            Vec::new()
        };
        (was.from, was.to, was.finalizes) == (self.from, self.to, self.finalizes) && names == asked
    }
}
