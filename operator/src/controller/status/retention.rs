//! The check of retention. Pure.

use boboyka_crds::LegalHold;
use kube::ResourceExt as _;

use super::facts::Facts;
use super::finding::{Finding, some_of};
use super::reported::reported;
use crate::reason::{ConditionType, Reason};

/// What keeps records that the policy would prune: a legal hold, or what the sidecars report.
pub(super) fn retention_enforced(facts: &Facts<'_>) -> Option<Finding> {
    let hold = facts.standing.legal_hold.as_ref();
    let Some(hold) = hold.filter(|hold| hold.active) else {
        return reported(facts, ConditionType::RetentionEnforced);
    };
    let silent = unconfirmed(facts, hold);
    let message = if silent.is_empty() {
        hold.to_string()
    } else {
        format!("{hold}; not confirmed yet by {}", some_of(&silent))
    };
    Some(Finding::no(Reason::LegalHold, message))
}

/// Strands whose sidecars have not said that they obey this hold, and not one before it: they are about to, or of a version that
/// can't.
fn unconfirmed(facts: &Facts<'_>, hold: &LegalHold) -> Vec<String> {
    let strands = facts.seen.strands.iter();
    let taken = strands.filter(|strand| strand.spec.holder.is_some());
    let silent = taken.filter(|strand| {
        let conditions = strand.report().into_iter().flat_map(|it| &it.conditions);
        let mut ours =
            conditions.filter(|it| it.type_ == ConditionType::RetentionEnforced.as_str());
        !ours.any(|it| {
            it.reason == Reason::LegalHold.as_str()
                && it.observed_generation >= Some(hold.generation)
        })
    });
    silent.map(|strand| strand.name_any()).collect()
}
