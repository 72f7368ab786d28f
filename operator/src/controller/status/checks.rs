//! The check of every condition, in a list. Pure.
//!
//! A check looks at the facts and finds something or nothing: a new condition is a function and a line in the list.

use super::archive::archived;
use super::chain::chain_intact;
use super::facts::Facts;
use super::fences::strands_unfenced;
use super::finding::Finding;
use super::legacy::legacy_projects_read;
use super::mirror::mirror_caught_up;
use super::ready::{ready, reconciling, stalled};
use super::reported::reported;
use super::retention::retention_enforced;
use super::sidecars::sidecars_up_to_date;
use super::storage::storage_durable;
use super::workloads::workloads_selected;
use crate::reason::ConditionType;

/// Finds what one condition says.
enum Check {
    /// The condition is always there.
    Always(fn(&Facts<'_>) -> Finding),
    /// The condition is there when something is found.
    Sometimes(fn(&Facts<'_>) -> Option<Finding>),
    /// The condition is there when sidecars report it.
    Reported,
}

/// The check of every condition.
const CHECKS: &[(ConditionType, Check)] = &[
    (ConditionType::ChainIntact, Check::Always(chain_intact)),
    (ConditionType::CredentialsAccepted, Check::Reported),
    (ConditionType::SupabaseReachable, Check::Reported),
    (
        ConditionType::RetentionEnforced,
        Check::Sometimes(retention_enforced),
    ),
    (ConditionType::ClockInStep, Check::Reported),
    (ConditionType::CheckpointsCosigned, Check::Reported),
    (ConditionType::Archived, Check::Sometimes(archived)),
    (
        ConditionType::MirrorCaughtUp,
        Check::Sometimes(mirror_caught_up),
    ),
    (
        ConditionType::StorageDurable,
        Check::Always(storage_durable),
    ),
    (
        ConditionType::StrandsUnfenced,
        Check::Always(strands_unfenced),
    ),
    (
        ConditionType::WorkloadsSelected,
        Check::Sometimes(workloads_selected),
    ),
    (
        ConditionType::LegacyProjectsRead,
        Check::Sometimes(legacy_projects_read),
    ),
    (
        ConditionType::SidecarsUpToDate,
        Check::Always(sidecars_up_to_date),
    ),
    (ConditionType::Stalled, Check::Sometimes(stalled)),
    (ConditionType::Reconciling, Check::Sometimes(reconciling)),
    (ConditionType::Ready, Check::Always(ready)),
];

/// What every condition says that is there.
pub(super) fn findings(facts: &Facts<'_>) -> impl Iterator<Item = (ConditionType, Finding)> {
    CHECKS.iter().filter_map(|(kind, check)| {
        let found = match check {
            Check::Always(check) => Some(check(facts)),
            Check::Sometimes(check) => check(facts),
            Check::Reported => reported(facts, *kind),
        };
        Some((*kind, found?))
    })
}
