//! What is to be done for an integration, from what exists. Pure: the time is an argument.
//!
//! Strands are never deleted here, but for ephemeral strands whose pod is gone: they were lost with it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use boboyka_crds::{BoboykaStrand, BoboykaStrandSpec, Holder, names};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};
use kube::ResourceExt as _;
use kube::core::SelectorExt as _;

use super::memory::Memory;
use super::rollout::{self, Rollout};
use super::seen::Seen;
use super::workload::Workload;
use crate::caches::Pod;
use crate::clock::{Moment, elapsed};
use crate::integration::{Storage, Validated};
use crate::objects;
use crate::strands::change::StrandChange;
use crate::strands::{slot, witness};

/// The role binding is applied again after this long, in case somebody changed it.
const BINDING_KEPT: Duration = Duration::from_mins(1);
/// A strand that no pod holds is drained once its last report is this old: a pod that restarts is faster.
const ABANDONED: Duration = Duration::from_secs(30);
/// The admission that created a strand may still be creating its claim for this long.
const YOUNG: Duration = Duration::from_secs(5);

/// What is to be done for an integration; `apply` does it.
#[must_use = "a plan does nothing until it is applied"]
#[derive(Debug)]
pub(super) struct Plan {
    /// Whether to apply the role binding.
    pub(super) bind_role: bool,
    /// Changes of existing strands.
    pub(super) change: Vec<(Arc<BoboykaStrand>, StrandChange)>,
    /// Strands that a Job is to drain.
    pub(super) drain: Vec<Arc<BoboykaStrand>>,
    /// Strands to create again from their claims.
    pub(super) recreate: Vec<BoboykaStrand>,
    /// Strands whose claim is to be created.
    pub(super) claim: Vec<Arc<BoboykaStrand>>,
    /// Claims to be owned by the integration, or no longer.
    pub(super) own_claims: Vec<(String, Option<OwnerReference>)>,
    /// Whether claims are to request today's size.
    pub(super) resize_claims: bool,
    /// Workloads to set the label on.
    pub(super) select: Vec<Workload>,
    /// Workloads to remove the label from.
    pub(super) deselect: Vec<Workload>,
    /// The step that moves sidecars to their image.
    pub(super) rollout: Rollout,
}

/// Plans. `grace` is how long a strand that was given at admission waits for its pod.
pub(super) fn plan(
    validated: &Validated,
    seen: &Seen,
    memory: &Memory,
    grace: Duration,
    now: &Moment,
) -> Plan {
    let owner = validated.owner_of_strands();
    let is_bound = |(_, generation): &(_, i64)| *generation == validated.generation;
    let bound = memory.bound.filter(is_bound);
    let is_recent = |(at, _)| now.instant.saturating_duration_since(at) <= BINDING_KEPT;
    let (select, deselect) = workloads(validated, seen, memory);
    Plan {
        bind_role: !bound.is_some_and(is_recent),
        change: changes(seen, memory, owner.as_ref(), validated, grace, now),
        drain: drains(validated, seen, &now.time),
        recreate: lost_strands(validated, seen, &now.time),
        claim: unclaimed(seen, &now.time),
        own_claims: claims_to_own(validated, seen, owner.as_ref()),
        resize_claims: bound.is_none(),
        select,
        deselect,
        rollout: rollout::next(validated, seen, &now.time),
    }
}

fn changes(
    seen: &Seen,
    memory: &Memory,
    owner: Option<&OwnerReference>,
    validated: &Validated,
    grace: Duration,
    now: &Moment,
) -> Vec<(Arc<BoboykaStrand>, StrandChange)> {
    let pods = seen.pods.iter();
    let by_token = pods.filter_map(|pod| Some((pod.token.as_deref()?, &**pod)));
    let by_token: HashMap<&str, &Pod> = by_token.collect();
    let mut changes = Vec::new();
    for strand in &seen.strands {
        let change = holder_change(strand, seen, &by_token, grace, &now.time);
        let change = change.or_else(|| head_to_store(strand, memory, now));
        changes.extend(change.map(|change| (Arc::clone(strand), change)));
        if !is_owned_as(&strand.metadata, owner, &validated.owner.name) {
            changes.push((Arc::clone(strand), StrandChange::Own(owner.cloned())));
        }
    }
    changes
}

/// The change that brings a strand's holder in line with its pod.
fn holder_change(
    strand: &BoboykaStrand,
    seen: &Seen,
    by_token: &HashMap<&str, &Pod>,
    grace: Duration,
    now: &Time,
) -> Option<StrandChange> {
    let name = strand.name_any();
    let Some(holder) = &strand.spec.holder else {
        let carried = seen
            .pods
            .iter()
            .find(|pod| pod.strand.as_deref() == Some(&name));
        if let Some(pod) = carried {
            return holder_of(pod, now).map(StrandChange::Adopt);
        }
        return strand
            .spec
            .claim_name
            .is_none()
            .then_some(StrandChange::Delete);
    };
    let pod = by_token
        .get(holder.token.as_str())
        .filter(|pod| pod.strand.as_deref() == Some(&name));
    match (&holder.pod_uid, pod) {
        // The Job that drains a strand may start another pod; both carry the Job's token.
        (bound, Some(pod)) if bound.as_ref() != Some(&pod.uid) && !pod.terminating => {
            Some(StrandChange::Bind {
                pod_name: pod.name.clone(),
                pod_uid: pod.uid.clone(),
            })
        }
        (Some(uid), None) if !seen.pods.iter().any(|pod| pod.uid == *uid) => {
            let pod_name = holder.pod_name.clone().unwrap_or_default();
            Some(StrandChange::Release {
                pod_name,
                pod_uid: uid.clone(),
            })
        }
        (None, None)
            if is_older(holder.since.as_ref(), grace, now) && !is_draining(seen, &name) =>
        {
            Some(StrandChange::TakeBack {
                token: holder.token.clone(),
            })
        }
        _ => None,
    }
}

/// A pod as the holder of the strand that it carries.
fn holder_of(pod: &Pod, now: &Time) -> Option<Holder> {
    Some(Holder {
        token: pod.token.clone()?,
        since: Some(now.clone()),
        pod_name: Some(pod.name.clone()),
        pod_uid: Some(pod.uid.clone()),
    })
}

/// Whether an unfinished Job drains a strand.
fn is_draining(seen: &Seen, strand: &str) -> bool {
    seen.drains.iter().any(|job| {
        let of = job.labels().get(names::DRAIN_LABEL);
        of.is_some_and(|of| of == strand) && !is_finished(job)
    })
}

fn is_finished(job: &Job) -> bool {
    let status = job.status.as_ref();
    let mut conditions = status
        .iter()
        .flat_map(|status| &status.conditions)
        .flatten();
    conditions
        .any(|one| one.status == "True" && matches!(one.type_.as_str(), "Complete" | "Failed"))
}

fn head_to_store(strand: &BoboykaStrand, memory: &Memory, now: &Moment) -> Option<StrandChange> {
    let uid = strand.uid()?;
    let due = memory.store_due.get(&uid);
    let is_due = due.is_some_and(|due| *due <= now.instant);
    witness::head_to_store(strand, memory.heads.get(&uid), is_due).map(StrandChange::Witness)
}

/// Strands with a backlog that nobody mirrors.
fn drains(validated: &Validated, seen: &Seen, now: &Time) -> Vec<Arc<BoboykaStrand>> {
    if validated.secret.is_none() || validated.suspended {
        return Vec::new();
    }
    let strands = seen.strands.iter();
    let abandoned = strands.filter(|strand| {
        let job = objects::drain::name(&strand.name_any());
        is_abandoned(strand, seen, now) && !seen.drains.iter().any(|one| one.name_any() == job)
    });
    abandoned.cloned().collect()
}

/// Whether a strand has a backlog and no pod, and none is on its way.
fn is_abandoned(strand: &BoboykaStrand, seen: &Seen, now: &Time) -> bool {
    let name = strand.name_any();
    let carried = |pod: &Arc<Pod>| pod.strand.as_deref() == Some(&name);
    let behind = strand.status.as_ref().filter(|status| status.backlog > 0);
    strand.spec.holder.is_none()
        && strand.spec.claim_name.is_some()
        && !seen.pods.iter().any(carried)
        && behind.is_some_and(|status| is_older(status.reported_at.as_ref(), ABANDONED, now))
}

/// Strands whose claim is missing.
fn unclaimed(seen: &Seen, now: &Time) -> Vec<Arc<BoboykaStrand>> {
    let claims = seen.claims.iter();
    let claimed: HashSet<&str> = claims.filter_map(|claim| claim.name.as_deref()).collect();
    let strands = seen.strands.iter();
    let unclaimed = strands.filter(|strand| {
        let claim = strand.spec.claim_name.as_deref();
        claim.is_some_and(|claim| !claimed.contains(claim))
            && strand.metadata.deletion_timestamp.is_none()
            && is_older(strand.metadata.creation_timestamp.as_ref(), YOUNG, now)
    });
    unclaimed.cloned().collect()
}

/// Claims on strands' volumes that are not being deleted, each with its strand.
fn live_claims(seen: &Seen) -> impl Iterator<Item = (&ObjectMeta, &String)> {
    let live = seen
        .claims
        .iter()
        .filter(|claim| claim.deletion_timestamp.is_none());
    live.filter_map(|claim| Some((claim, claim.labels.as_ref()?.get(names::STRAND_LABEL)?)))
}

fn claims_to_own(
    validated: &Validated,
    seen: &Seen,
    owner: Option<&OwnerReference>,
) -> Vec<(String, Option<OwnerReference>)> {
    let wrong =
        live_claims(seen).filter(|(claim, _)| !is_owned_as(claim, owner, &validated.owner.name));
    wrong
        .filter_map(|(claim, _)| Some((claim.name.clone()?, owner.cloned())))
        .collect()
}

/// Strands that were deleted while their claims stayed.
fn lost_strands(validated: &Validated, seen: &Seen, now: &Time) -> Vec<BoboykaStrand> {
    if !matches!(validated.storage, Storage::Claim { .. }) {
        return Vec::new();
    }
    let known: HashSet<String> = seen.strands.iter().map(|one| one.name_any()).collect();
    let lost = live_claims(seen).filter(|(claim, strand)| {
        !known.contains(*strand) && is_older(claim.creation_timestamp.as_ref(), YOUNG, now)
    });
    lost.map(|(claim, strand)| strand_of_claim(validated, seen, strand, claim, now))
        .collect()
}

/// A strand as its claim describes it, held by the pod that carries it, if one does.
fn strand_of_claim(
    validated: &Validated,
    seen: &Seen,
    strand: &str,
    claim: &ObjectMeta,
    now: &Time,
) -> BoboykaStrand {
    let annotations = claim.annotations.as_ref();
    let slot = annotations.and_then(|all| all.get(names::SLOT_ANNOTATION));
    let mut pods = seen.pods.iter();
    let carrier = pods.find(|pod| pod.strand.as_deref() == Some(strand));
    let spec = BoboykaStrandSpec {
        slot: slot.and_then(|text| slot::read(text)),
        holder: carrier.and_then(|pod| holder_of(pod, now)),
        ..BoboykaStrandSpec::default()
    };
    objects::strand::new(validated, strand, spec)
}

/// Workloads to set the label on, and workloads to remove it from.
fn workloads(
    validated: &Validated,
    seen: &Seen,
    memory: &Memory,
) -> (Vec<Workload>, Vec<Workload>) {
    let (mut select, mut deselect) = (Vec::new(), Vec::new());
    if validated.suspended {
        return (select, deselect);
    }
    for workload in &seen.workloads {
        let selector = validated.selector.as_ref();
        let wanted = selector.is_some_and(|selector| selector.matches(&workload.labels));
        let ours = workload.selected_by.as_deref() == Some(&validated.name);
        let current = memory.selected.get(&workload.uid) == Some(&workload.generation);
        if wanted && !(ours && current) {
            select.push(workload.clone());
        } else if !wanted && ours {
            deselect.push(workload.clone());
        }
    }
    (select, deselect)
}

/// Whether an object has the wanted owner among integrations of this name; other owners don't count.
fn is_owned_as(meta: &ObjectMeta, owner: Option<&OwnerReference>, name: &str) -> bool {
    let owners = meta.owner_references.iter().flatten();
    let ours: Vec<&OwnerReference> = owners
        .filter(|one| one.kind == "BoboykaIntegration" && one.name == name)
        .collect();
    match owner {
        Some(owner) => ours.iter().any(|one| one.uid == owner.uid),
        None => ours.is_empty(),
    }
}

fn is_older(since: Option<&Time>, age: Duration, now: &Time) -> bool {
    since.is_none_or(|since| elapsed(since, now) > age)
}

#[cfg(test)]
mod tests;
