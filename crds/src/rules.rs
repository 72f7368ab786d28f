//! The rules that a `BoboykaIntegration` must keep beyond the types of its fields. Each rule stands once, with its field and
//! its message.
//!
//! The API server checks the CEL expressions when it stores an integration. The operator checks the same rules again in
//! Rust, because an integration may be older than a rule. Those that compare an
//! integration with its previous version are for the API server and for a sidecar without a cluster. Some rules exist as CEL
//! only: those that a stored integration may break and still work. One table of fixtures tests both sides.

mod archive;
mod audit;
mod backfill;
mod change;
mod legacy;
mod migration;
mod pattern;
mod rule;
mod selector;
mod sidecar;
mod storage;
mod supabase;

use std::collections::BTreeMap;

use crate::integration::{BoboykaIntegrationSpec, IntegrationStatus};
use crate::table::MirrorTable;

pub(crate) use rule::Rule;
use rule::Subject;

/// Names of strands begin with the name of their integration and must fit into a label value of 63 characters.
const NAME_MAX: usize = 40;

/// A rule that an integration breaks. Displayed as `FIELD: MESSAGE`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct Violation {
    /// Path of the field from the root of the resource, such as `spec.retention.maxAge`.
    pub field: String,
    /// The values that the field accepts.
    pub message: String,
}

impl Violation {
    /// The violation by the item of a list at this index.
    fn at(rule: &Rule, index: Option<usize>) -> Self {
        let violation = Self::of(rule);
        match index {
            None => violation,
            Some(index) => Self {
                message: format!("{}; the one at index {index} is none", violation.message),
                ..violation
            },
        }
    }

    fn of(rule: &Rule) -> Self {
        Self {
            field: rule.field.to_owned(),
            message: rule.message.to_owned(),
        }
    }
}

/// Checks an integration that is stored, and returns every rule that keeps it from working.
pub fn check(name: &str, spec: &BoboykaIntegrationSpec) -> Vec<Violation> {
    let subject = Subject { name, spec };
    let broken = all().filter(|rule| rule.is_kept.is_some_and(|is_kept| !is_kept(&subject)));
    broken
        .map(|rule| Violation::at(rule, legacy::place(rule, &subject)))
        .collect()
}

/// Checks a change of an integration, and returns every rule that it breaks. Both specifications are valid by themselves;
/// `status` is that of the integration before the change.
pub fn check_change(
    from: &BoboykaIntegrationSpec,
    to: &BoboykaIntegrationSpec,
    status: &IntegrationStatus,
) -> Vec<Violation> {
    let changes = change::RULES.iter();
    let broken = changes.filter(|change| !(change.is_kept)(from, to, status));
    broken.map(|change| Violation::of(&change.rule)).collect()
}

/// Checks the tables of the mirror alone, for a sidecar that has them without an integration.
pub fn check_tables(tables: &BTreeMap<String, MirrorTable>) -> Vec<Violation> {
    let mirror = crate::Mirror {
        tables: tables.clone(),
        ..crate::Mirror::default()
    };
    let supabase = crate::Supabase {
        mirror: Some(mirror),
        secret_ref: crate::SecretReference {
            name: "none".to_owned(),
            ..crate::SecretReference::default()
        },
    };
    let spec = BoboykaIntegrationSpec {
        supabase: Some(supabase),
        ..BoboykaIntegrationSpec::default()
    };
    check("none", &spec)
}

/// The number of rules: a complete table of fixtures has at least as many refused cases.
pub fn count() -> usize {
    all().count()
}

/// All rules: those about one field first, then those about several, then those about a change.
pub(crate) fn all() -> impl Iterator<Item = &'static Rule> {
    let groups = [
        NAME,
        supabase::RULES,
        storage::RULES,
        selector::RULES,
        sidecar::RULES,
        migration::RULES,
        legacy::RULES,
        backfill::RULES,
        audit::RULES,
        archive::RULES,
    ];
    let changes = change::RULES.iter().map(|change| &change.rule);
    groups.into_iter().flatten().chain(changes)
}

const NAME: &[Rule] = &[Rule {
    at: &[],
    field: "metadata.name",
    message: "must have at most 40 characters and no dots, because the names of its strands and their labels begin with it",
    cel: "self.metadata.name.size() <= 40 && !self.metadata.name.contains('.')",
    is_kept: Some(|s| s.name.len() <= NAME_MAX && !s.name.contains('.')),
}];
