//! The gates of a step: their names, and how each stands.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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

    /// Its state in one word: `passed`, `forced` or `closed`.
    pub fn state(&self) -> &'static str {
        match (self.passed, self.forced) {
            (true, _) => "passed",
            (false, true) => "forced",
            (false, false) => "closed",
        }
    }
}
