//! The rules that compare an integration with its previous version. The API server has both, and so has a sidecar that
//! reads its integration from a file; the operator has only the newer one.

use super::rule::Rule;
use super::storage::{ephemeral, size};
use crate::integration::{BoboykaIntegrationSpec, IntegrationStatus};
use crate::phase::Phase;
use crate::quantity::bytes;

/// A rule about a change, and its check in Rust: from a specification to another, with the status before.
pub(super) struct ChangeRule {
    pub(super) rule: Rule,
    pub(super) is_kept:
        fn(&BoboykaIntegrationSpec, &BoboykaIntegrationSpec, &IntegrationStatus) -> bool,
}

pub(super) const RULES: &[ChangeRule] = &[
    ChangeRule {
        rule: Rule {
            at: &["spec"],
            field: "spec.phase",
            message: "must move forward one step at a time: DualWrite, then MigrateInternals, then CutOver",
            cel: "!(oldSelf.phase == 'DualWrite' && self.phase == 'CutOver')",
            is_kept: None,
        },
        is_kept: |from, to, _| (from.phase, to.phase) != (Phase::DualWrite, Phase::CutOver),
    },
    ChangeRule {
        rule: Rule {
            at: &["spec"],
            field: "spec.storage.ephemeral",
            message: "can't be added or removed after creation: create another integration instead",
            cel: "(has(self.storage) && has(self.storage.ephemeral)) == (has(oldSelf.storage) && has(oldSelf.storage.ephemeral))",
            is_kept: None,
        },
        is_kept: |from, to, _| ephemeral(from).is_some() == ephemeral(to).is_some(),
    },
    ChangeRule {
        rule: Rule {
            at: &["spec"],
            field: "spec.storage.size",
            message: "can't be decreased, because volumes can't shrink",
            cel: "!has(self.storage) || !has(self.storage.size) || !has(oldSelf.storage) || !has(oldSelf.storage.size) || !isQuantity(self.storage.size) || !isQuantity(oldSelf.storage.size) || quantity(self.storage.size).compareTo(quantity(oldSelf.storage.size)) >= 0",
            is_kept: None,
        },
        is_kept: |from, to, _| {
            let sizes = size(from).and_then(bytes).zip(size(to).and_then(bytes));
            sizes.is_none_or(|(from, to)| to >= from)
        },
    },
    ChangeRule {
        rule: Rule {
            at: &[],
            field: "spec.migration.finalized",
            message: "can be set once CutOver is in force: status.phase says which phase is",
            cel: "!has(self.spec.migration) || !self.spec.migration.finalized || (has(oldSelf.spec.migration) && oldSelf.spec.migration.finalized) || (has(oldSelf.status) && has(oldSelf.status.phase) && oldSelf.status.phase == 'CutOver')",
            is_kept: None,
        },
        is_kept: |from, to, status| {
            !is_finalized(to) || is_finalized(from) || status.phase == Some(Phase::CutOver)
        },
    },
    ChangeRule {
        rule: Rule {
            at: &[],
            field: "spec.migration.finalized",
            message: "can't be taken back: status.finalized says since when there is no way back to an earlier phase",
            cel: "!has(oldSelf.status) || !has(oldSelf.status.finalized) || (has(self.spec.migration) && self.spec.migration.finalized)",
            is_kept: None,
        },
        is_kept: |_, to, status| status.finalized.is_none() || is_finalized(to),
    },
];

fn is_finalized(spec: &BoboykaIntegrationSpec) -> bool {
    spec.migration.as_ref().is_some_and(|it| it.finalized)
}
