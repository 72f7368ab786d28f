//! The file of the integration in JSON.

use boboyka_crds::{Gate, Phase, Transition};
use schemars::JsonSchema;
use serde::Serialize;

use crate::file::Standing;

/// How the file of the integration stands.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Integration")]
pub(crate) struct IntegrationJson {
    file: String,
    generation: i64,
    requested_phase: Option<Phase>,
    error: Option<String>,
    transition: Option<TransitionJson>,
}

/// A change of phase that waits for its gates.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Transition")]
struct TransitionJson {
    from: Phase,
    to: Phase,
    since: Option<String>,
    gates: Vec<Gate>,
}

impl From<&Standing> for IntegrationJson {
    fn from(standing: &Standing) -> Self {
        Self {
            file: standing.file.clone(),
            generation: standing.generation,
            requested_phase: standing.requested,
            error: standing.error.clone(),
            transition: standing.transition.clone().map(TransitionJson::from),
        }
    }
}

impl From<Transition> for TransitionJson {
    fn from(transition: Transition) -> Self {
        Self {
            from: transition.from,
            to: transition.to,
            since: transition.since.map(|since| since.0.to_string()),
            gates: transition.gates,
        }
    }
}
