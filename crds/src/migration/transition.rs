//! A step that waits for its gates.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::gate::Gate;
use crate::phase::Phase;

/// A phase change, or the end of the migration, that waits for its gates.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Transition {
    /// Phase in force.
    pub from: Phase,
    /// The next phase.
    pub to: Phase,
    /// Generation of the specification that requested the change. Each strand reports its boundary for this generation.
    pub generation: i64,
    /// Time at which the operator began to wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// Who requested the change: the user of the request to the API server or, without a cluster, the owner of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Whether `spec.migration.pause` keeps the change from being made.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
    /// Whether this is the end of the migration: `from` and `to` are `CutOver`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub finalizes: bool,
    /// What the end of the migration makes irreversible.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
    /// How long the gates have held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soak: Option<Soak>,
    /// The gates of the change. The phase changes when every gate has passed or is forced. Going back has no gates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<Gate>,
}

/// How long the gates of a change have held.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Soak {
    /// How long all gates have been seen to hold, in seconds. It is counted by a clock that never jumps, while somebody looks: a
    /// restart of the operator keeps it, and adds nothing for the time in between. It stands still while evidence for a gate is
    /// missing. Evidence against a gate, or a strand that is silent, sets it to 0.
    #[serde(default)]
    pub held_seconds: i64,
    /// Time at which all gates were first seen to hold. Absent while there is evidence against one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
}

impl Transition {
    /// The gates that the change waits for.
    pub fn closed(&self) -> impl Iterator<Item = &Gate> {
        self.gates.iter().filter(|gate| !gate.is_open())
    }

    /// What the change waits for, as one line: the closed gates with their evidence.
    pub fn why(&self) -> String {
        let paused = self
            .paused
            .then(|| "spec.migration.pause is true".to_owned());
        let closed = self.closed();
        let closed = closed.map(|gate| format!("{}: {}", gate.name, gate.message));
        paused
            .into_iter()
            .chain(closed)
            .collect::<Vec<_>>()
            .join("; ")
    }

    /// What is waited for, as the subject of a sentence.
    pub fn goal(&self) -> String {
        if self.finalizes {
            "the end of the migration".to_owned()
        } else {
            self.to.to_string()
        }
    }
}
