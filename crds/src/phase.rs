//! The three phases of the migration.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A phase of the migration from Supabase to SapixDB.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
// The schema has no description of its own, because it would replace the description of an optional field.
#[schemars(description = "")]
pub enum Phase {
    /// The sidecars append every record to a strand and mirror it to Supabase.
    #[default]
    DualWrite,
    /// The strands are the only source of truth. New records are not mirrored, but for those of legacy projects.
    MigrateInternals,
    /// SapixDB only. New records are not mirrored, as in `MigrateInternals`.
    CutOver,
}

impl Phase {
    /// Returns whether all records that are appended in this phase are mirrored to Supabase.
    pub fn mirrors(self) -> bool {
        self == Self::DualWrite
    }

    /// Returns the next phase on the way to `requested`, or `None` at the destination. Forward goes one step at a time,
    /// backward at once.
    pub fn step_to(self, requested: Self) -> Option<Self> {
        use std::cmp::Ordering;
        match requested.cmp(&self) {
            Ordering::Equal => None,
            Ordering::Less => Some(requested),
            Ordering::Greater if self == Self::DualWrite => Some(Self::MigrateInternals),
            Ordering::Greater => Some(Self::CutOver),
        }
    }

    /// Returns the name of the phase as resources spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DualWrite => "DualWrite",
            Self::MigrateInternals => "MigrateInternals",
            Self::CutOver => "CutOver",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::Phase::{CutOver, DualWrite, MigrateInternals};

    #[test]
    fn forward_is_one_step_at_a_time_and_backward_is_at_once() {
        assert_eq!(DualWrite.step_to(CutOver), Some(MigrateInternals));
        assert_eq!(MigrateInternals.step_to(CutOver), Some(CutOver));
        assert_eq!(CutOver.step_to(DualWrite), Some(DualWrite));
        assert_eq!(CutOver.step_to(CutOver), None);
    }
}
