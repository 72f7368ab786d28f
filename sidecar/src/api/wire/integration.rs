//! The file of the integration in JSON.

use boboyka_crds::{Change, Finalized, Gate, Phase, Soak, TakenForce, Transition};
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
    last_change: Option<ChangeJson>,
    finalized: Option<EndJson>,
}

/// A change of phase, or the end of the migration, that waits for its gates.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Transition")]
struct TransitionJson {
    from: Phase,
    to: Phase,
    since: Option<String>,
    by: Option<String>,
    paused: bool,
    finalizes: bool,
    notice: Option<String>,
    soak: Option<SoakJson>,
    gates: Vec<Gate>,
}

/// How long the gates have held.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Soak")]
struct SoakJson {
    held_seconds: i64,
    since: Option<String>,
}

/// The last change of the phase.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "LastChange")]
struct ChangeJson {
    from: Phase,
    to: Phase,
    generation: i64,
    at: String,
    by: Option<String>,
    evidence: String,
    force: Option<TakenForce>,
    gates: Vec<Gate>,
}

/// The end of the migration.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "End")]
struct EndJson {
    generation: i64,
    at: String,
    by: Option<String>,
    evidence: String,
}

impl From<&Standing> for IntegrationJson {
    fn from(standing: &Standing) -> Self {
        Self {
            file: standing.file.clone(),
            generation: standing.generation,
            requested_phase: standing.requested,
            error: standing.error.clone(),
            transition: standing.transition.clone().map(TransitionJson::from),
            last_change: standing.last_change.clone().map(ChangeJson::from),
            finalized: standing.finalized.clone().map(EndJson::from),
        }
    }
}

impl From<Transition> for TransitionJson {
    fn from(transition: Transition) -> Self {
        Self {
            from: transition.from,
            to: transition.to,
            since: transition.since.map(|since| since.0.to_string()),
            by: transition.by,
            paused: transition.paused,
            finalizes: transition.finalizes,
            notice: transition.notice,
            soak: transition.soak.map(SoakJson::from),
            gates: transition.gates,
        }
    }
}

impl From<Soak> for SoakJson {
    fn from(soak: Soak) -> Self {
        Self {
            held_seconds: soak.held_seconds,
            since: soak.since.map(|since| since.0.to_string()),
        }
    }
}

impl From<Change> for ChangeJson {
    fn from(change: Change) -> Self {
        Self {
            from: change.from,
            to: change.to,
            generation: change.generation,
            at: change.at.0.to_string(),
            by: change.by,
            evidence: change.evidence,
            force: change.force,
            gates: change.gates,
        }
    }
}

impl From<Finalized> for EndJson {
    fn from(end: Finalized) -> Self {
        Self {
            generation: end.generation,
            at: end.at.0.to_string(),
            by: end.by,
            evidence: end.evidence,
        }
    }
}
