//! What is asked of a gate, and what may block it. Pure.

use std::time::Duration;

use crate::phase::Phase;

/// What is asked of the gates of a step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    /// The phase in force.
    pub(super) phase: Phase,
    /// The generation that strands fix their boundaries for.
    pub(super) generation: i64,
    pub(super) has_supabase: bool,
    /// Whether evidence is wanted, not only what sidecars know of no trouble.
    pub(super) proven: bool,
    /// For how long who decides has seen that the step is asked for, by a clock that never jumps.
    pub(super) ago: Duration,
    pub(super) soak: Duration,
    /// Legacy projects that must be migrated first, for the end of the migration.
    pub(super) migrating: i64,
    /// Whether the step ends the mirroring of all records, and the list of those that go on can't be read.
    pub(super) unlisted: bool,
}

/// What blocks a gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Block {
    /// Evidence that is not there yet: it is being gathered.
    Missing(String),
    /// Evidence against the step.
    Against(String),
}

impl Block {
    pub(super) fn why(&self) -> &str {
        match self {
            Self::Missing(why) | Self::Against(why) => why,
        }
    }

    pub(super) fn is_against(&self) -> bool {
        matches!(self, Self::Against(_))
    }
}
