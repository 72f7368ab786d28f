//! The rules about the list of legacy projects.

use super::pattern::{matches, object_name, secret_key};
use super::rule::{Rule, Subject};
use crate::migration::{ConfigMapKeyReference, Migration, NAMES_MAX, is_name};

const AT: &[&str] = &["spec", "migration"];
const AT_KEY: &[&str] = &["spec", "migration", "legacyProjectsFrom", "configMapKeyRef"];
const FROM: &str = "spec.migration.legacyProjectsFrom";
const FIELD: &str = "spec.migration.legacyProjects";
const NAME: &str = "must be names of 1 to 256 characters without control characters";

pub(super) const RULES: &[Rule] = &[
    Rule {
        at: AT,
        field: FIELD,
        message: "must have at most 5000 names",
        cel: "!has(self.legacyProjects) || self.legacyProjects.size() <= 5000",
        is_kept: Some(|s| names(s).len() <= NAMES_MAX),
    },
    Rule {
        at: AT,
        field: FIELD,
        message: NAME,
        cel: r"!has(self.legacyProjects) || self.legacyProjects.all(one, one.size() > 0 && one.size() <= 256 && !one.matches(r'[\x00-\x1f\x7f]'))",
        is_kept: Some(|s| names(s).iter().all(|name| is_name(name))),
    },
    Rule {
        at: AT,
        field: FIELD,
        message: "must be empty while spec.migration.finalized is true: take every project off the list first; status.migration.projects says which are migrated",
        cel: "!self.finalized || !has(self.legacyProjects) || self.legacyProjects.size() == 0",
        is_kept: Some(|s| {
            let ends = migration(s).is_some_and(|it| it.finalized);
            !ends || names(s).is_empty()
        }),
    },
    Rule {
        at: AT,
        field: FROM,
        message: "must be absent while spec.migration.legacyProjects has names: the list has one source",
        cel: "!has(self.legacyProjectsFrom) || !has(self.legacyProjects) || self.legacyProjects.size() == 0",
        is_kept: Some(|s| reference(s).is_none() || names(s).is_empty()),
    },
    Rule {
        at: AT,
        field: FROM,
        message: "must be absent while spec.migration.finalized is true: take every project off the list first; status.migration.projects says which are migrated",
        cel: "!self.finalized || !has(self.legacyProjectsFrom)",
        is_kept: Some(|s| {
            let ends = migration(s).is_some_and(|it| it.finalized);
            !ends || reference(s).is_none()
        }),
    },
    Rule {
        at: AT_KEY,
        field: "spec.migration.legacyProjectsFrom.configMapKeyRef.name",
        message: "must be the name of a ConfigMap: lower-case letters, digits, '-' and '.', 1 to 253 characters",
        cel: concat!(
            "self.name.size() <= 253 && self.name.matches(r'",
            object_name!(),
            "')"
        ),
        is_kept: Some(|s| {
            reference(s).is_none_or(|it| it.name.len() <= 253 && matches(object_name!(), &it.name))
        }),
    },
    Rule {
        at: AT_KEY,
        field: "spec.migration.legacyProjectsFrom.configMapKeyRef.key",
        message: "must be a key that a ConfigMap can have: letters, digits, '-', '_' and '.', and not '.' or beginning with '..'",
        cel: concat!(
            "self.key.size() <= 253 && self.key.matches(r'",
            secret_key!(),
            "')"
        ),
        is_kept: Some(|s| {
            reference(s).is_none_or(|it| it.key.len() <= 253 && matches(secret_key!(), &it.key))
        }),
    },
];

/// Where the first name stands that breaks the rule about names.
pub(super) fn place(rule: &Rule, subject: &Subject<'_>) -> Option<usize> {
    let is_about_names = rule.field == FIELD && rule.message == NAME;
    let wrong = names(subject).iter().position(|name| !is_name(name));
    wrong.filter(|_| is_about_names)
}

fn names<'a>(subject: &Subject<'a>) -> &'a [String] {
    migration(subject).map_or(&[], |it| &it.legacy_projects)
}

fn reference<'a>(subject: &Subject<'a>) -> Option<&'a ConfigMapKeyReference> {
    migration(subject)?.reads()
}

fn migration<'a>(subject: &Subject<'a>) -> Option<&'a Migration> {
    subject.spec.migration.as_ref()
}
