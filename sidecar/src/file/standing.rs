//! How the file of an integration stands, for the API.

use std::path::Path;

use boboyka_crds::{Change, Finalized, Phase, Transition};

use super::machine::Machine;

/// How the file of an integration stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Standing {
    /// Its path.
    pub(crate) file: String,
    /// Edits of its specification so far.
    pub(crate) generation: i64,
    /// The phase that it asks for.
    pub(crate) requested: Option<Phase>,
    /// What is wrong with it, so that the edit before it counts.
    pub(crate) error: Option<String>,
    /// What waits for its gates.
    pub(crate) transition: Option<Transition>,
    /// The last change of the phase.
    pub(crate) last_change: Option<Change>,
    /// The end of the migration.
    pub(crate) finalized: Option<Finalized>,
}

impl Standing {
    pub(super) fn of(path: &Path, machine: &Machine) -> Self {
        Self {
            file: path.display().to_string(),
            generation: machine.generation(),
            requested: machine.spec().map(|spec| spec.phase),
            error: machine.wrong().map(ToOwned::to_owned),
            transition: machine.decided().transition.clone(),
            last_change: machine.decided().last_change.clone(),
            finalized: machine.decided().finalized.clone(),
        }
    }
}
