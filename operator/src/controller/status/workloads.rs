//! The check of the workloads that the selector chooses. Pure.

use super::facts::Facts;
use super::finding::{Finding, some_of};
use crate::reason::Reason;

/// Whether the workloads that the selector chooses have the label.
pub(super) fn workloads_selected(facts: &Facts<'_>) -> Option<Finding> {
    if let Some(why) = &facts.validated.unreadable_selector {
        return Some(Finding::no(
            Reason::InvalidSelector,
            format!(
                "spec.workloadSelector can't be read, so it selects nothing, and workloads keep the label that they have: {why}"
            ),
        ));
    }
    facts.validated.selector.as_ref()?;
    let overlaps = facts.applied.overlaps();
    if !overlaps.is_empty() {
        return Some(Finding::no(
            Reason::Overlap,
            format!(
                "an older integration selects these workloads too and keeps them: {}; change one of the selectors",
                some_of(overlaps)
            ),
        ));
    }
    let contested = facts.applied.contested();
    Some(if contested.is_empty() {
        Finding::yes(Reason::AsExpected, "every selected workload has the label")
    } else {
        Finding::no(
            Reason::Conflict,
            format!(
                "another field manager sets the label of {}: remove the label there, or don't select the workload",
                some_of(contested)
            ),
        )
    })
}
