//! What is to be done about claims, and about strands whose claim or resource is missing. Pure.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use boboyka_crds::{BoboykaStrand, BoboykaStrandSpec, names, quantity};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::ResourceExt as _;

use super::situation::Situation;
use crate::caches::Pod;
use crate::integration::Storage;
use crate::objects;
use crate::strands::slot;

/// A claim or a strand that was created may reach the cache this much later than the other.
const YOUNG: Duration = Duration::from_secs(5);

/// Strands that never had their claim. A claim that was there and is gone is not created again: it would be empty.
pub(super) fn unclaimed(situation: &Situation<'_>) -> Vec<Arc<BoboykaStrand>> {
    let strands = situation.seen.all_strands();
    let unclaimed = strands.filter(|strand| {
        strand.spec.claim_name.is_some()
            && situation.seen.claim(strand).is_none()
            && strand.spec.claim_uid.is_none()
            && strand.metadata.deletion_timestamp.is_none()
            && situation.is_older(strand.metadata.creation_timestamp.as_ref(), YOUNG)
    });
    unclaimed.cloned().collect()
}

/// Claims whose owner is not as the integration asks, each with the owner to set.
pub(super) fn misowned(situation: &Situation<'_>) -> Vec<(String, Option<OwnerReference>)> {
    let wrong = live(situation)
        .map(|(claim, strand)| (claim, situation.owner_of(strand)))
        .filter(|(claim, owner)| !situation.is_owned(claim, *owner));
    wrong
        .filter_map(|(claim, owner)| Some((claim.name.clone()?, owner.cloned())))
        .collect()
}

/// Claims that request less than today's size. Kubernetes resizes bound claims only.
pub(super) fn small(situation: &Situation<'_>) -> Vec<String> {
    let Storage::Claim { size, .. } = &situation.validated.storage else {
        return Vec::new();
    };
    let Some(wanted) = quantity::bytes(size) else {
        return Vec::new();
    };
    let claims = situation.seen.claims.iter().filter(|claim| {
        claim.is_bound()
            && claim.meta.deletion_timestamp.is_none()
            && claim.requested.is_some_and(|requested| requested < wanted)
    });
    claims.filter_map(|claim| claim.meta.name.clone()).collect()
}

/// Strands that pods were admitted with, strands that were deleted while their claims stayed, and the history.
pub(super) fn missing_strands(situation: &Situation<'_>) -> Vec<BoboykaStrand> {
    let strands = situation.seen.all_strands();
    let known: HashSet<String> = strands.map(|one| one.name_any()).collect();
    let claimed: HashSet<&str> = live(situation).map(|(_, strand)| strand).collect();
    // A claim knows more of its strand than a pod.
    let carried = situation.carriers().filter(|(strand, pod)| {
        !known.contains(*strand) && !claimed.contains(*strand) && !pod.terminating && !pod.of_job
    });
    let mut missing: Vec<_> = carried
        .filter_map(|(strand, pod)| strand_of_pod(situation, strand, pod))
        .collect();
    if matches!(situation.validated.storage, Storage::Claim { .. }) {
        let lost = live(situation).filter(|(claim, strand)| {
            !known.contains(*strand) && situation.is_older(claim.creation_timestamp.as_ref(), YOUNG)
        });
        missing.extend(lost.map(|(claim, strand)| strand_of_claim(situation, strand, claim)));
        let history = names::history_of(&situation.validated.name);
        if situation.backfills() && !known.contains(&history) && !claimed.contains(&*history) {
            let spec = BoboykaStrandSpec::default();
            missing.push(objects::strand::new(situation.validated, &history, spec));
        }
    }
    missing
}

/// A strand as the pod that holds it was admitted with it.
fn strand_of_pod(situation: &Situation<'_>, strand: &str, pod: &Pod) -> Option<BoboykaStrand> {
    let spec = BoboykaStrandSpec {
        slot: pod.slot.as_deref().and_then(slot::read),
        workload: pod.workload.as_deref().map(str::to_owned),
        holder: Some(situation.holder(pod)?),
        ..BoboykaStrandSpec::default()
    };
    Some(objects::strand::new(situation.validated, strand, spec))
}

/// Claims that are not being deleted, each with its strand.
fn live<'a>(situation: &Situation<'a>) -> impl Iterator<Item = (&'a ObjectMeta, &'a str)> {
    let claims = situation.seen.claims.iter();
    let live = claims.filter(|claim| claim.meta.deletion_timestamp.is_none());
    live.filter_map(|claim| Some((&claim.meta, claim.strand.as_deref()?)))
}

/// A strand as its claim describes it, held by the pod that carries it, if one does.
fn strand_of_claim(situation: &Situation<'_>, strand: &str, claim: &ObjectMeta) -> BoboykaStrand {
    let annotations = claim.annotations.as_ref();
    let slot = annotations.and_then(|all| all.get(names::SLOT_ANNOTATION));
    let carrier = situation.carrier(strand);
    let spec = BoboykaStrandSpec {
        slot: slot.and_then(|text| slot::read(text)),
        holder: carrier.and_then(|pod| situation.holder(pod)),
        ..BoboykaStrandSpec::default()
    };
    objects::strand::new(situation.validated, strand, spec)
}
