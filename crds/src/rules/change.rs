//! The rules that compare an integration with its previous version. Only the API server has both.

use super::rule::Rule;

pub(super) const RULES: &[Rule] = &[
    Rule {
        at: &["spec"],
        field: "spec.phase",
        message: "must move forward one step at a time: DualWrite, then MigrateInternals, then CutOver",
        cel: "!(oldSelf.phase == 'DualWrite' && self.phase == 'CutOver')",
        is_kept: None,
    },
    Rule {
        at: &["spec"],
        field: "spec.storage.ephemeral",
        message: "can't be added or removed after creation: create another integration instead",
        cel: "(has(self.storage) && has(self.storage.ephemeral)) == (has(oldSelf.storage) && has(oldSelf.storage.ephemeral))",
        is_kept: None,
    },
    Rule {
        at: &["spec"],
        field: "spec.storage.size",
        message: "can't be decreased, because volumes can't shrink",
        cel: "!has(self.storage) || !has(self.storage.size) || !has(oldSelf.storage) || !has(oldSelf.storage.size) || !isQuantity(self.storage.size) || !isQuantity(oldSelf.storage.size) || quantity(self.storage.size).compareTo(quantity(oldSelf.storage.size)) >= 0",
        is_kept: None,
    },
];
