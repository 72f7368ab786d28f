//! The three phases of the migration, as the public page numbers them.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a fleet stands on its way from Supabase to SapixDB.
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
pub enum Phase {
    /// Every record is appended to its strand and mirrored to Supabase.
    #[default]
    DualWrite,
    /// The strand alone is the truth; nothing new is mirrored.
    MigrateInternals,
    /// New projects are SapixDB-only; nothing new is mirrored.
    CutOver,
}

impl Phase {
    /// Whether records that are appended in this phase are mirrored.
    pub fn mirrors(self) -> bool {
        self == Self::DualWrite
    }

    /// The next phase on the way to `requested`: forward one step at a time, backward at once.
    pub fn step_to(self, requested: Self) -> Option<Self> {
        use std::cmp::Ordering;
        match requested.cmp(&self) {
            Ordering::Equal => None,
            Ordering::Less => Some(requested),
            Ordering::Greater if self == Self::DualWrite => Some(Self::MigrateInternals),
            Ordering::Greater => Some(Self::CutOver),
        }
    }

    /// The name, as in a resource.
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
