//! The migration: what `spec.migration` asks for, and what a status says of legacy projects, of the backfill and of steps.

mod backfill;
mod change;
mod gate;
mod legacy;
mod news;
mod source;
mod transition;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::phase::Phase;

pub(crate) use self::backfill::ROWS_PER_SECOND_MAX;
pub use self::backfill::{Backfill, BackfillReport, BackfillStatus, ImportedTable};
pub use self::change::{Change, Finalized, TakenForce, notice};
pub use self::gate::{Gate, GateName};
pub use self::legacy::{
    DepartedProject, LegacyList, LegacyReport, LegacyStatus, ProjectState, ProjectStatus,
};
pub(crate) use self::legacy::{NAMES_MAX, PROJECTS_SHOWN, is_name};
pub use self::news::{Lists, migrated};
pub use self::source::{ConfigMapKeyReference, LegacyProjectsFrom, WrongNames, names_in};
pub use self::transition::{Soak, Transition};

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
    /// Projects that stay on Supabase: the values of `project_id` of their records. After `DualWrite` the records of these
    /// projects go on being mirrored, and no others. A project that is taken off the list is migrated: its records are mirrored
    /// up to there, and compared; `status.migration.projects` says when that is done. A project that is added is mirrored from
    /// then on; its earlier records are mirrored on a return to `DualWrite`. At most 5000 names of 1 to 256 characters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5000), inner(length(min = 1, max = 256)))]
    pub legacy_projects: Vec<String>,
    /// Where the names of these projects are read from, instead of `legacyProjects`: for thousands, or when something else makes
    /// the list. The value has one name a line; white space around a name is no part of it, and blank lines and lines that
    /// begin with `#` are no names. A change is obeyed at once. A ConfigMap that is missing, or has a line that is no name,
    /// changes nothing: the list in force stays, and the condition `LegacyProjectsRead` names the line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub legacy_projects_from: Option<LegacyProjectsFrom>,
    /// Whether records without a project, which are `agent_health` and `audit_log`, are mirrored as well after `DualWrite`, while
    /// the list has a name. Default: `false`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub legacy_shared: bool,
    /// Imports what was in Supabase before any strand wrote to it, once, into a strand of its own with the name `NAME-history`. A
    /// Job of the operator does it, and changes nothing in Supabase; no gate waits for it. `status.migration.backfill` says how far
    /// it is. Removing the field stops the Job and keeps what was imported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backfill: Option<Backfill>,
}

impl Migration {
    /// The list of legacy projects that it asks for, with the names that were read elsewhere; `None` while those are wanted and
    /// not known.
    pub fn legacy(&self, read: Option<&[String]>) -> Option<LegacyList> {
        let names = match &self.legacy_projects_from {
            None => &self.legacy_projects,
            Some(_) => read?,
        };
        Some(LegacyList::of(names.iter().cloned(), self.legacy_shared))
    }

    /// Where the names of legacy projects are to be read.
    pub fn reads(&self) -> Option<&ConfigMapKeyReference> {
        let from = self.legacy_projects_from.as_ref();
        from.map(|from| &from.config_map_key_ref)
    }
}

/// How the migration stands besides its phase.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MigrationStatus {
    /// The list of legacy projects in force. Absent while there never was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub legacy: Option<LegacyStatus>,
    /// Legacy projects: first those that are being migrated, then those on the list, then those that are migrated; at most 300.
    /// `legacy` counts all of them. Empty in `DualWrite`, where everything is mirrored.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 300))]
    pub projects: Vec<ProjectStatus>,
    /// How the backfill stands. Absent while there never was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backfill: Option<BackfillStatus>,
}

impl MigrationStatus {
    /// What tells how many projects Supabase is still needed for in this phase, if there are any.
    pub fn told(&self, phase: Phase) -> Option<String> {
        let legacy = self.legacy.as_ref().filter(|_| !phase.mirrors());
        legacy.and_then(LegacyStatus::told)
    }
}

impl Default for Migration {
    fn default() -> Self {
        Self {
            soak: no_soak(),
            pause: false,
            force: None,
            finalized: false,
            legacy_projects: Vec::new(),
            legacy_projects_from: None,
            legacy_shared: false,
            backfill: None,
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
