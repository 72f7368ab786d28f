//! Legacy projects: those whose records go on to Supabase after the step to `MigrateInternals`, until they leave the list.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Most names of a list.
pub(crate) const NAMES_MAX: usize = 5000;

/// Most characters of a name.
pub(crate) const NAME_MAX: usize = 256;

/// Whether a text can be the name of a legacy project.
pub(crate) fn is_name(name: &str) -> bool {
    let is_control = |c: char| c < ' ' || c == '\u{7f}';
    (1..=NAME_MAX).contains(&name.chars().count()) && !name.contains(is_control)
}

/// Most projects that a status names; the rest is counted.
pub(crate) const PROJECTS_SHOWN: usize = 300;

/// The legacy projects of an integration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LegacyStatus {
    /// Generation of the specification that changed the list last.
    pub generation: i64,
    /// Digest of the list in force: the BLAKE3 hash of the line `shared true` or `shared false` and of the names, sorted by
    /// their bytes, each with a line feed. A sidecar obeys the list of the specification when it has this digest.
    pub digest: String,
    /// Number of projects on the list in force.
    #[serde(default)]
    pub listed: i64,
    /// Whether records without a project are mirrored as well.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shared: bool,
    /// How often the list has changed: the number of this change. One generation may have several, when a ConfigMap changes.
    #[serde(default)]
    pub revision: i64,
    /// The names of the list in force, while the specification does not have them itself: they were read from
    /// `spec.migration.legacyProjectsFrom`. At most 5000.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5000), inner(length(min = 1, max = 256)))]
    pub names: Vec<String>,
    /// Since when the list is as it is.
    pub since: Time,
    /// Who changed it. Absent when a ConfigMap changed without the specification: nobody signs that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Number of projects that left the list, and that Supabase is not known yet to have everything of.
    #[serde(default)]
    pub migrating: i64,
    /// Number of projects that left the list and are migrated, as far as strands still hold records from before they left it.
    #[serde(default)]
    pub migrated: i64,
}

impl LegacyStatus {
    /// What tells how many projects Supabase is still needed for, in a phase that mirrors nothing else; `None` for none.
    pub fn told(&self) -> Option<String> {
        let of = |count: i64, one: &str, more: &str| match count {
            ..=0 => None,
            1 => Some(format!("1 legacy project {one}")),
            count => Some(format!("{count} legacy projects {more}")),
        };
        let listed = of(
            self.listed,
            "is still mirrored to Supabase",
            "are still mirrored to Supabase",
        );
        let migrating = of(self.migrating, "is being migrated", "are being migrated");
        let told: Vec<_> = listed.into_iter().chain(migrating).collect();
        (!told.is_empty()).then(|| told.join(", and "))
    }

    /// The list in force, if its names are known: it is the one that is asked for, or the status has them.
    pub fn list(&self, asked: Option<&LegacyList>) -> Option<LegacyList> {
        let own = || LegacyList::of(self.names.iter().cloned(), self.shared);
        let is_in_force = |list: &LegacyList| list.digest() == self.digest;
        let asked = asked.filter(|asked| is_in_force(asked)).cloned();
        asked.or_else(|| Some(own()).filter(is_in_force))
    }
}

/// How a legacy project stands.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[schemars(description = "")]
pub enum ProjectState {
    /// It left the list, and a strand has not shown yet that Supabase has everything up to its boundary.
    Migrating,
    /// It is on the list: its records are mirrored.
    Legacy,
    /// It left the list, and Supabase has everything up to its boundary in each strand.
    Migrated,
}

/// A legacy project.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProjectStatus {
    /// Value of `project_id` of its records.
    pub name: String,
    /// - `Legacy`: it is on the list; its records are mirrored in every phase.
    /// - `Migrating`: it left the list; a strand has not shown yet that Supabase has its records up to there.
    /// - `Migrated`: every strand has shown that.
    pub state: ProjectState,
    /// Since when it is in this state.
    pub since: Time,
    /// What the migration of the project waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub message: Option<String>,
}

/// How a strand stands to the list of legacy projects. After its boundary, it mirrors nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LegacyReport {
    /// Digest of the list that the strand obeys, see `status.migration.legacy.digest` of the integration.
    pub digest: String,
    /// Generation of the integration that brought this list into force last, as far as the sidecar has seen; see
    /// `status.migration.legacy.generation` of the integration. What else is reported was found after that.
    #[serde(default)]
    pub generation: i64,
    /// The revision of the list that it is, as far as the sidecar has seen; see `status.migration.legacy.revision` of the
    /// integration.
    #[serde(default)]
    pub revision: i64,
    /// Sequence number of the strand's record of the last change of the list.
    #[serde(default)]
    pub since: i64,
    /// Projects that left the list since the strand's boundary: first those that are not migrated, at most 300.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 300))]
    pub departed: Vec<DepartedProject>,
    /// Number of projects that left the list and are not migrated.
    #[serde(default)]
    pub migrating: i64,
    /// Number of projects that left the list and are migrated.
    #[serde(default)]
    pub migrated: i64,
}

/// A project that left the list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DepartedProject {
    /// Its name.
    pub name: String,
    /// Sequence number of the last record at which it was on the list.
    pub boundary: i64,
    /// Why Supabase is not known yet to have everything of it up to there. Absent when it has: compared row by row since then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub waits_for: Option<String>,
}

/// A list of legacy projects as it comes into force: sorted, each name once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LegacyList {
    names: Arc<[String]>,
    shared: bool,
}

impl LegacyList {
    /// The list of these names. `shared` is whether records without a project are mirrored as well, which an empty list
    /// never does.
    pub fn of(names: impl IntoIterator<Item = String>, shared: bool) -> Self {
        let mut names: Vec<String> = names.into_iter().collect();
        names.sort_unstable();
        names.dedup();
        let shared = shared && !names.is_empty();
        Self {
            names: names.into(),
            shared,
        }
    }

    /// The names, sorted.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Whether records without a project are mirrored as well.
    pub fn shared(&self) -> bool {
        self.shared
    }

    /// Whether it names no project.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Whether it names this project.
    pub fn contains(&self, name: &str) -> bool {
        let at = self
            .names
            .binary_search_by(|known| known.as_str().cmp(name));
        at.is_ok()
    }

    /// Its digest: the BLAKE3 hash of the line `shared true` or `shared false` and of the names, sorted by their bytes, each
    /// with a line feed.
    pub fn digest(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        hasher.update(format!("shared {}\n", self.shared).as_bytes());
        for name in self.names() {
            hasher.update(name.as_bytes());
            hasher.update(b"\n");
        }
        hasher.finalize().to_hex().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::LegacyList;

    fn list(names: &[&str], shared: bool) -> LegacyList {
        LegacyList::of(names.iter().map(ToString::to_string), shared)
    }

    #[test]
    fn order_and_repetition_of_names_do_not_matter() {
        let one = list(&["b", "a", "b"], true);
        assert_eq!(one.names(), ["a", "b"]);
        assert_eq!(one, list(&["a", "b"], true));
        assert_eq!(one.digest(), list(&["a", "b"], true).digest());
        assert!(one.contains("a") && !one.contains("c"));
    }

    #[test]
    fn the_digest_covers_each_name_and_whether_records_without_a_project_count() {
        let all = [
            list(&["ab", "c"], true),
            list(&["ab", "c"], false),
            list(&["a", "bc"], true),
            list(&["ab"], true),
            list(&[], false),
        ];
        let digests: std::collections::BTreeSet<_> = all.iter().map(LegacyList::digest).collect();
        assert_eq!(digests.len(), all.len());
    }

    #[test]
    fn an_empty_list_shares_nothing() {
        assert!(!list(&[], true).shared());
    }
}
