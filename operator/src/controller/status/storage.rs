//! The check of what strands are stored on. Pure.

use std::time::Duration;

use boboyka_crds::BoboykaStrand;
use kube::ResourceExt as _;

use super::facts::Facts;
use super::finding::{Finding, some_of};
use crate::caches::Claim;
use crate::clock::elapsed;
use crate::integration::Storage;
use crate::reason::Reason;

/// A pod may wait this long for the volume of its strand: scheduling it and making a volume take a while.
const PENDING_MAX: Duration = Duration::from_mins(2);

/// Whether strands outlive their pods.
pub(super) fn storage_durable(facts: &Facts<'_>) -> Finding {
    match facts.validated.storage {
        Storage::Claim { .. } => without_volume(facts).unwrap_or_else(|| {
            Finding::yes(Reason::AsExpected, "every strand has a volume of its own")
        }),
        Storage::Ephemeral { .. } => Finding::no(
            Reason::EphemeralStorage,
            "strands are lost with their pods: only Supabase keeps the records",
        ),
    }
}

/// Strands whose claims have lost their volumes, else those whose pods wait long for one.
pub(super) fn without_volume(facts: &Facts<'_>) -> Option<Finding> {
    let namespace = &facts.validated.namespace;
    let lost = named(facts, "Lost", |_, _| true);
    if !lost.is_empty() {
        return Some(Finding::no(
            Reason::VolumeLost,
            format!(
                "the persistent volumes of these claims are gone: {}; restore them, or delete the strand and its claim to begin an empty one",
                some_of(&lost)
            ),
        ));
    }
    let pending = named(facts, "Pending", |strand, claim| {
        waits_long(facts, strand, claim)
    });
    (!pending.is_empty()).then(|| {
        Finding::no(
            Reason::ClaimPending,
            format!(
                "pods wait for the volumes of these claims: {}; kubectl describe pvc -n {namespace} and kubectl describe pod -n \
                 {namespace} tell for what",
                some_of(&pending)
            ),
        )
    })
}

/// The claims of strands in a phase, each with its strand.
fn named(
    facts: &Facts<'_>,
    phase: &str,
    counts: impl Fn(&BoboykaStrand, &Claim) -> bool,
) -> Vec<String> {
    let claims = facts.seen.claims.iter();
    let claims = claims.filter(|claim| claim.phase.as_deref() == Some(phase));
    let found = claims.filter_map(|claim| {
        let name = claim.meta.name.as_ref()?;
        let mut strands = facts.seen.strands.iter();
        let strand = strands.find(|one| one.spec.claim_name.as_ref() == Some(name))?;
        counts(strand, claim).then(|| format!("{name} of strand {}", strand.name_any()))
    });
    found.collect()
}

/// Whether a pod has held the strand, and the claim has been there, for long. A claim that no pod needs may wait for one.
fn waits_long(facts: &Facts<'_>, strand: &BoboykaStrand, claim: &Claim) -> bool {
    let is_long = |since| elapsed(since, facts.now) > PENDING_MAX;
    let holder = strand.spec.holder.as_ref();
    holder.is_some_and(|holder| holder.since.as_ref().is_none_or(is_long))
        && claim.meta.creation_timestamp.as_ref().is_none_or(is_long)
}
