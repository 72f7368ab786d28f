//! What is to be done for an integration, from what is there: a list of changes for `apply`. Pure.
//!
//! Strands are never deleted here, but for ephemeral ones whose pod is gone: they went with it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use boboyka_crds::{BoboykaStrand, BoboykaStrandSpec, HeadReference, Holder, names};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};
use kube::ResourceExt as _;
use kube::core::SelectorExt as _;

use super::Memory;
use super::observe::{Seen, Workload};
use crate::build;
use crate::caches::Pod;
use crate::integration::{Storage, Validated};
use crate::strands::read_slot;

/// A role binding that somebody changed is put right after so long at the latest.
const BINDING_KEPT: Duration = Duration::from_mins(1);
/// Heads of strands that stay with their pods are noted so often.
pub(super) const WITNESS_INTERVAL: Duration = Duration::from_mins(10);
/// A strand that nobody holds and whose last report is so old is drained: a pod that restarts is quicker.
const ABANDONED: Duration = Duration::from_secs(30);
/// A strand this young may have its claim made by the admission that made it.
const YOUNG: Duration = Duration::from_secs(5);

/// A change of a strand.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum StrandChange {
    /// The pod that was admitted with it is there.
    Bind { pod_name: String, pod_uid: String },
    /// A pod carries it although nobody holds it: it was made anew while the pod ran.
    Adopt(Holder),
    /// Its pod, of this name and UID, is gone.
    Release { pod_name: String, pod_uid: String },
    /// The pod that it was chosen for never came.
    TakeBack { token: String },
    /// Its newest head is worth remembering.
    Witness(HeadReference),
    /// It is owned by the integration, or not any more.
    Own(Option<OwnerReference>),
    /// It went with its pod.
    Delete,
    /// It has a backlog and nobody who mirrors it.
    Drain,
}

/// What is to be done.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Whether the role binding is to be applied.
    pub(super) bind_role: bool,
    /// Changes of strands that are there.
    pub(super) strands: Vec<(Arc<BoboykaStrand>, StrandChange)>,
    /// Strands to make again, from claims that are there.
    pub(super) found: Vec<BoboykaStrand>,
    /// Strands whose claim is missing.
    pub(super) unclaimed: Vec<Arc<BoboykaStrand>>,
    /// Claims to be owned by the integration, or not any more.
    pub(super) claims: Vec<(String, Option<OwnerReference>)>,
    /// Claims that are to ask for the size that is asked for now.
    pub(super) resized: bool,
    /// Workloads that are to get the label.
    pub(super) select: Vec<Workload>,
    /// Workloads that are to lose it.
    pub(super) deselect: Vec<Workload>,
}

/// Plans.
pub(super) fn plan(
    validated: &Validated,
    seen: &Seen,
    memory: &Memory,
    grace: Duration,
    now: &Time,
) -> Plan {
    let mut plan = Plan {
        bind_role: memory.bound.is_none_or(|(at, generation)| {
            at.elapsed() > BINDING_KEPT || generation != validated.generation
        }),
        ..Plan::default()
    };
    plan.resized = memory
        .bound
        .is_none_or(|(_, generation)| generation != validated.generation);
    let by_token: HashMap<&str, &Pod> = seen
        .pods
        .iter()
        .filter_map(|pod| Some((pod.token.as_deref()?, &**pod)))
        .collect();
    let owner = validated.owner_of_strands();
    for strand in &seen.strands {
        let held = held_change(strand, seen, &by_token, grace, now);
        let change = held
            .or_else(|| witness(strand, memory))
            .or_else(|| drain(validated, strand, seen, now));
        plan.strands
            .extend(change.map(|change| (Arc::clone(strand), change)));
        if !is_owned_as(&strand.metadata, owner.as_ref(), &validated.owner.name) {
            plan.strands
                .push((Arc::clone(strand), StrandChange::Own(owner.clone())));
        }
    }
    plan_claims(&mut plan, validated, seen, owner.as_ref(), now);
    plan_workloads(&mut plan, validated, seen, memory);
    plan
}

fn held_change(
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
            return Some(StrandChange::Adopt(Holder {
                token: pod.token.clone()?,
                since: Some(now.clone()),
                pod_name: Some(pod.name.clone()),
                pod_uid: Some(pod.uid.clone()),
            }));
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
        // A drained strand's Job may need another pod; its token is the Job's.
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

/// Whether a Job that has not come to its end is there for a strand.
fn is_draining(seen: &Seen, strand: &str) -> bool {
    seen.drains.iter().any(|job| {
        let finished = job
            .status
            .as_ref()
            .and_then(|status| status.conditions.as_ref());
        let finished = finished.is_some_and(|list| {
            list.iter().any(|one| {
                one.status == "True" && (one.type_ == "Complete" || one.type_ == "Failed")
            })
        });
        !finished
            && job
                .labels()
                .get(names::DRAIN_LABEL)
                .is_some_and(|of| of == strand)
    })
}

/// A head is noted now and then, and at once when the strand is behind what it reported before: then what was seen must
/// outlive this replica.
fn witness(strand: &BoboykaStrand, memory: &Memory) -> Option<StrandChange> {
    let uid = strand.uid()?;
    let noted = strand.spec.witnessed.as_ref();
    let head = strand
        .status
        .as_ref()
        .and_then(|status| status.head.as_ref());
    let seen = memory.heads.get(&uid);
    if let (Some(seen), Some(head)) = (seen, head)
        && (head.seq < seen.seq || (head.seq == seen.seq && head.hash != seen.hash))
        && noted.is_none_or(|noted| noted.seq < seen.seq)
    {
        return Some(StrandChange::Witness(seen.clone()));
    }
    let due = memory
        .witness_due
        .get(&uid)
        .is_some_and(|due| *due <= Instant::now());
    let newest = build::strand::witnessed(strand).filter(|newest| due && noted != Some(newest))?;
    Some(StrandChange::Witness(newest))
}

fn drain(
    validated: &Validated,
    strand: &BoboykaStrand,
    seen: &Seen,
    now: &Time,
) -> Option<StrandChange> {
    let status = strand.status.as_ref()?;
    let abandoned = strand.spec.holder.is_none()
        && strand.spec.claim_name.is_some()
        && status.backlog > 0
        && is_older(status.reported_at.as_ref(), ABANDONED, now);
    let possible = validated.secret.is_some()
        && !validated.suspended
        && !seen
            .drains
            .iter()
            .any(|job| job.name_any() == build::drain::name(&strand.name_any()));
    (abandoned && possible).then_some(StrandChange::Drain)
}

fn plan_claims(
    plan: &mut Plan,
    validated: &Validated,
    seen: &Seen,
    owner: Option<&OwnerReference>,
    now: &Time,
) {
    let claimed: HashSet<&str> = seen
        .claims
        .iter()
        .filter_map(|claim| claim.name.as_deref())
        .collect();
    let known: HashSet<String> = seen
        .strands
        .iter()
        .map(|strand| strand.name_any())
        .collect();
    let unclaimed = seen.strands.iter().filter(|strand| {
        let claim = strand.spec.claim_name.as_deref();
        claim.is_some_and(|claim| !claimed.contains(claim))
            && strand.metadata.deletion_timestamp.is_none()
            && is_older(strand.metadata.creation_timestamp.as_ref(), YOUNG, now)
    });
    plan.unclaimed = unclaimed.cloned().collect();
    for claim in &seen.claims {
        let strand = claim
            .labels
            .as_ref()
            .and_then(|labels| labels.get(names::STRAND_LABEL));
        let (Some(strand), None) = (strand, &claim.deletion_timestamp) else {
            continue;
        };
        if !known.contains(strand)
            && matches!(validated.storage, Storage::Claim { .. })
            && is_older(claim.creation_timestamp.as_ref(), YOUNG, now)
        {
            plan.found
                .push(strand_of_claim(validated, seen, strand, claim, now));
        }
        if let Some(name) = &claim.name
            && !is_owned_as(claim, owner, &validated.owner.name)
        {
            plan.claims.push((name.clone(), owner.cloned()));
        }
    }
}

/// A strand as its claim tells of it, held by the pod that carries it, if one does.
fn strand_of_claim(
    validated: &Validated,
    seen: &Seen,
    strand: &str,
    claim: &ObjectMeta,
    now: &Time,
) -> BoboykaStrand {
    let slot = claim
        .annotations
        .as_ref()
        .and_then(|all| all.get(names::SLOT_ANNOTATION));
    let carrier = seen
        .pods
        .iter()
        .find(|pod| pod.strand.as_deref() == Some(strand));
    let holder = carrier.and_then(|pod| {
        Some(Holder {
            token: pod.token.clone()?,
            since: Some(now.clone()),
            pod_name: Some(pod.name.clone()),
            pod_uid: Some(pod.uid.clone()),
        })
    });
    let spec = BoboykaStrandSpec {
        slot: slot.and_then(|text| read_slot(text)),
        holder,
        ..BoboykaStrandSpec::default()
    };
    build::strand::new(validated, strand, spec)
}

fn plan_workloads(plan: &mut Plan, validated: &Validated, seen: &Seen, memory: &Memory) {
    if validated.suspended {
        return;
    }
    for workload in &seen.workloads {
        let wanted = validated
            .selector
            .as_ref()
            .is_some_and(|selector| selector.matches(&workload.labels));
        let ours = workload.selected_by.as_deref() == Some(&validated.name);
        let current = memory.selected.get(&workload.uid) == Some(&workload.generation);
        if wanted && !(ours && current) {
            plan.select.push(workload.clone());
        } else if !wanted && ours {
            plan.deselect.push(workload.clone());
        }
    }
}

/// Whether an object is owned as it should be by an integration of this name; other owners don't count.
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
    since.is_none_or(|since| now.0 > since.0 && now.0.duration_since(since.0).unsigned_abs() > age)
}

#[cfg(test)]
mod tests;
