//! What an integration asks for.

use std::time::Duration;

use crate::integration::BoboykaIntegrationSpec;
use crate::migration::{LegacyList, Migration};
use crate::phase::Phase;
use crate::quantity::duration;

/// What an integration asks of the machine of phases.
#[derive(Clone, Debug)]
pub struct Request {
    /// The phase.
    pub phase: Phase,
    /// The generation of the integration.
    pub generation: i64,
    /// Whether the integration names a Supabase.
    pub has_supabase: bool,
    /// Whether a legal hold keeps every record.
    pub hold: bool,
    /// Whether nothing may change.
    pub suspended: bool,
    /// How to move. Without it, a step asks for fewer gates.
    pub migration: Option<Migration>,
    /// The names of legacy projects where `migration` says to read them; `None` while they can't be read.
    pub names: Option<Vec<String>>,
    /// Who made this generation of the specification, if that is known.
    pub by: Option<String>,
}

impl Request {
    /// What a specification asks for.
    pub fn of(spec: &BoboykaIntegrationSpec, generation: i64, by: Option<String>) -> Self {
        Self {
            phase: spec.phase,
            generation,
            has_supabase: spec.supabase.is_some(),
            hold: spec.retention.as_ref().is_some_and(|it| it.hold),
            suspended: spec.suspend,
            migration: spec.migration.clone(),
            names: None,
            by,
        }
    }

    pub(super) fn is_paused(&self) -> bool {
        self.migration.as_ref().is_some_and(|it| it.pause)
    }

    /// The list of legacy projects; `None` while its names can't be read.
    pub fn legacy(&self) -> Option<LegacyList> {
        match &self.migration {
            Some(migration) => migration.legacy(self.names.as_deref()),
            None => Some(LegacyList::default()),
        }
    }

    /// Whether the names of legacy projects are not in the specification itself.
    pub(super) fn reads_names(&self) -> bool {
        self.migration.as_ref().and_then(Migration::reads).is_some()
    }

    /// Whether they can't be read.
    pub(super) fn lacks_names(&self) -> bool {
        self.reads_names() && self.names.is_none()
    }

    pub(super) fn finalizes(&self) -> bool {
        self.migration.as_ref().is_some_and(|it| it.finalized)
    }

    /// How long the gates must hold. What can't be read never ends.
    pub(super) fn soak(&self) -> Duration {
        let soak = self.migration.as_ref().map(|it| duration(&it.soak));
        soak.map_or(Duration::ZERO, |soak| soak.unwrap_or(Duration::MAX))
    }
}
