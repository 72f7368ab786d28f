//! What is to be done for an integration, from what exists. Pure: the time is an argument.
//!
//! Strands are never deleted here, but for ephemeral strands whose pod is gone: they were lost with it.

mod claims;
pub(super) mod jobs;
mod situation;
mod strands;

use std::sync::Arc;
use std::time::Duration;

use boboyka_crds::BoboykaStrand;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::core::SelectorExt as _;

use super::rollout::{self, Rollout};
use super::workload::Workload;
use crate::strands::change::StrandChange;
use jobs::Ending;
pub(super) use situation::Situation;

/// The role binding is applied again after this long, in case somebody changed it.
const BINDING_KEPT: Duration = Duration::from_mins(1);

/// What is to be done for an integration; `apply` does it.
#[must_use = "a plan does nothing until it is applied"]
#[derive(Debug)]
pub(super) struct Plan {
    /// Whether to apply the role binding.
    pub(super) bind_role: bool,
    /// Changes of existing strands.
    pub(super) change: Vec<(Arc<BoboykaStrand>, StrandChange)>,
    /// Strands that a Job is to work on.
    pub(super) start: Vec<Arc<BoboykaStrand>>,
    /// Jobs that are to end, each with the strand that it works on.
    pub(super) end: Vec<(Arc<Job>, String, Ending)>,
    /// Strands that were fenced and are no longer.
    pub(super) unfenced: Vec<Arc<BoboykaStrand>>,
    /// Strands to create, with their claims.
    pub(super) make: Vec<BoboykaStrand>,
    /// Strands whose claim is to be created.
    pub(super) claim: Vec<Arc<BoboykaStrand>>,
    /// Claims to be owned by the integration, or no longer.
    pub(super) own_claims: Vec<(String, Option<OwnerReference>)>,
    /// Workloads that an older integration selects too, each with its name.
    pub(super) overlaps: Vec<String>,
    /// Claims that are to request today's size.
    pub(super) resize: Vec<String>,
    /// Workloads to set the label on.
    pub(super) select: Vec<Workload>,
    /// Workloads to remove the label from.
    pub(super) deselect: Vec<Workload>,
    /// The step that moves sidecars to their image.
    pub(super) rollout: Rollout,
}

/// Plans.
pub(super) fn plan(situation: &Situation<'_>) -> Plan {
    let Situation {
        validated,
        seen,
        memory,
        now,
        ..
    } = situation;
    let bound = memory.bound;
    let bound = bound.filter(|(_, generation)| *generation == validated.generation);
    let age = bound.map(|(at, _)| now.instant.saturating_duration_since(at));
    let Workloads {
        select,
        deselect,
        overlaps,
    } = workloads(situation);
    Plan {
        bind_role: age.is_none_or(|age| age > BINDING_KEPT),
        change: strands::changes(situation),
        start: strands::awaiting_a_job(situation),
        end: jobs::ending(situation),
        unfenced: strands::unfenced(situation),
        make: claims::missing_strands(situation),
        claim: claims::unclaimed(situation),
        own_claims: claims::misowned(situation),
        overlaps,
        resize: claims::small(situation),
        select,
        deselect,
        rollout: rollout::next(validated, seen, &now.time),
    }
}

/// Workloads to set the label on, to remove it from, and to leave to an older integration.
#[derive(Default)]
struct Workloads {
    select: Vec<Workload>,
    deselect: Vec<Workload>,
    overlaps: Vec<String>,
}

fn workloads(situation: &Situation<'_>) -> Workloads {
    let (validated, memory) = (situation.validated, situation.memory);
    let mut found = Workloads::default();
    if validated.suspended || validated.unreadable_selector.is_some() {
        return found;
    }
    for workload in &situation.seen.workloads {
        let selector = validated.selector.as_ref();
        let wanted = selector.is_some_and(|selector| selector.matches(&workload.labels));
        let ours = workload.selected_by.as_deref() == Some(&validated.name);
        let current = memory.selected.get(&workload.uid) == Some(&workload.generation);
        let mut rivals = situation.seen.rivals.iter();
        let rival = rivals.find(|(_, selector)| wanted && selector.matches(&workload.labels));
        if let Some((rival, _)) = rival {
            // Also if the label is ours: the older one sets its own in one step.
            found.overlaps.push(format!("{workload} (by {rival})"));
        } else if wanted && !(ours && current) {
            found.select.push(workload.clone());
        } else if !wanted && ours {
            found.deselect.push(workload.clone());
        }
    }
    found
}

#[cfg(test)]
mod tests;
