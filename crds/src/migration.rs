//! The migration: what `spec.migration` asks for, and what a status says of a step that waits or was made.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::phase::Phase;

/// How the migration moves from phase to phase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Migration {
    /// How long all other gates of a step must have held, without evidence against one. A duration from `0s` to `8760h`. Default: `0s`. Use
    /// `24h` in production.
    #[serde(default = "no_soak")]
    #[schemars(length(max = 32))]
    pub soak: String,
    /// Stops the migration where it stands: no phase comes into force, neither forward nor back. Default: `false`. Everything
    /// else goes on, and the gates are shown as they are.
    #[serde(default)]
    pub pause: bool,
    /// Gates that the next step does not wait for. It counts for the generation in which it is set or changed, for no later one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force: Option<Force>,
    /// Ends the migration for good, once `CutOver` is in force and every gate has passed again. Default: `false`. After that
    /// there is no way back to an earlier phase, retention keeps nothing for one, and new pods no longer mount the Secret of
    /// Supabase. `status.transition.notice` says what becomes irreversible; until `status.finalized` is there, `finalized` can
    /// be removed again.
    #[serde(default)]
    pub finalized: bool,
}

impl Default for Migration {
    fn default() -> Self {
        Self {
            soak: no_soak(),
            pause: false,
            force: None,
            finalized: false,
        }
    }
}

fn no_soak() -> String {
    "0s".to_owned()
}

/// Gates that a step does not wait for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Force {
    /// Names of the gates.
    #[schemars(length(max = 7))]
    pub gates: Vec<GateName>,
    /// Why, in 1 to 500 characters. It is recorded in the status, in an Event and in every strand.
    #[schemars(length(max = 500))]
    pub reason: String,
}

/// The name of a gate.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[schemars(description = "")]
pub enum GateName {
    /// Every strand has reported, and every running sidecar obeys the phase in force.
    Reported,
    /// Supabase has every record up to the boundary of each strand.
    Drained,
    /// Supabase has rejected no record.
    NoDeadLetters,
    /// No strand is damaged, rewritten or set back.
    ChainIntact,
    /// The tables of Supabase have what the strands hold.
    Parity,
    /// Nobody else writes to the tables of Supabase.
    NoForeignWrites,
    /// All other gates have held for the time that `spec.migration.soak` sets.
    Soak,
}

impl GateName {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Reported,
        Self::Drained,
        Self::NoDeadLetters,
        Self::ChainIntact,
        Self::Parity,
        Self::NoForeignWrites,
        Self::Soak,
    ];

    /// Returns the name as resources spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reported => "Reported",
            Self::Drained => "Drained",
            Self::NoDeadLetters => "NoDeadLetters",
            Self::ChainIntact => "ChainIntact",
            Self::Parity => "Parity",
            Self::NoForeignWrites => "NoForeignWrites",
            Self::Soak => "Soak",
        }
    }
}

impl fmt::Display for GateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

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

/// A check that a phase change must pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Gate {
    /// Name of the gate. The last three and the check of `ChainIntact` by the scrub are asked for with `spec.migration`.
    ///
    /// - `Reported`: every strand has reported, and every running sidecar has done so recently and obeys the phase in force.
    /// - `Drained`: Supabase has every record up to the boundary of each strand.
    /// - `NoDeadLetters`: Supabase has rejected no record.
    /// - `ChainIntact`: no strand is damaged, rewritten or set back. The scrub has read every record up to the boundary again.
    /// - `Parity`: compared row by row since the change was requested, the tables of Supabase have what the strands hold.
    /// - `NoForeignWrites`: since the mirror began, nobody else has written to these tables.
    /// - `Soak`: all other gates have held for as long as `spec.migration.soak` says, without evidence against one.
    pub name: String,
    /// Whether the gate has passed. What is not known does not pass.
    pub passed: bool,
    /// Whether `spec.migration.force` names the gate, so that the change does not wait for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forced: bool,
    /// The evidence: the state that was found, or the strands that block the change.
    pub message: String,
}

impl Gate {
    /// Whether the change does not wait for it.
    pub fn is_open(&self) -> bool {
        self.passed || self.forced
    }
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

/// A force, and the generation that it counts for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TakenForce {
    /// Generation of the specification in which it was set. It counts for no later one.
    pub generation: i64,
    /// Names of the gates.
    #[schemars(length(max = 7))]
    pub gates: Vec<GateName>,
    /// Why.
    pub reason: String,
    /// Who set it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// The last change of the phase, or the end of the migration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// Phase before.
    pub from: Phase,
    /// Phase in force since then.
    pub to: Phase,
    /// Whether it was the end of the migration.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub finalized: bool,
    /// Generation of the specification that requested it.
    pub generation: i64,
    /// When it was made.
    pub at: Time,
    /// Who requested it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The gates as they were then. None on the way back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<Gate>,
    /// The force that it took, if it took one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force: Option<TakenForce>,
    /// Digest of the evidence: the BLAKE3 hash of the gates, each as the line `NAME STATE MESSAGE` with a line feed, where the
    /// state is `passed`, `forced` or `closed`. Every strand records it.
    pub evidence: String,
}

/// The end of the migration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Finalized {
    /// Generation of the specification that requested it.
    pub generation: i64,
    /// Since when there is no way back.
    pub at: Time,
    /// Who requested it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Digest of the evidence.
    pub evidence: String,
}

/// What the end of the migration makes irreversible. `unmirrored` counts the records that Supabase does not have, if that is
/// known.
pub fn notice(unmirrored: Option<i64>) -> String {
    let records = match unmirrored {
        Some(1) => "1 record that Supabase does not have is".to_owned(),
        Some(count) => format!("{count} records that Supabase does not have are"),
        None => {
            "the records that Supabase does not have, whose number is not known, are".to_owned()
        }
    };
    format!(
        "there will be no way back to an earlier phase; {records} no longer kept for one, and retention may prune them; new pods \
         no longer mount the Secret of Supabase; this can't be undone"
    )
}
