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
        Storage::Claim { .. } => volume_pending(facts).unwrap_or_else(|| {
            Finding::yes(Reason::AsExpected, "every strand has a volume of its own")
        }),
        Storage::Ephemeral { .. } => Finding::no(
            Reason::EphemeralStorage,
            "strands are lost with their pods: only Supabase keeps the records",
        ),
    }
}

/// Strands whose pods have waited long for a volume.
pub(super) fn volume_pending(facts: &Facts<'_>) -> Option<Finding> {
    let namespace = &facts.validated.namespace;
    let strands = facts.seen.strands.iter();
    let pending = strands.filter_map(|strand| {
        let claim = facts.seen.claim(strand)?;
        let name = claim.meta.name.as_ref()?;
        waits_long(facts, strand, claim).then(|| format!("{name} of strand {}", strand.name_any()))
    });
    let pending: Vec<String> = pending.collect();
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

/// Whether a pod has held the strand, and the claim has been there, for long. A claim that no pod needs may wait for one.
pub(super) fn waits_long(facts: &Facts<'_>, strand: &BoboykaStrand, claim: &Claim) -> bool {
    let is_long = |since| elapsed(since, facts.now) > PENDING_MAX;
    let holder = strand.spec.holder.as_ref();
    claim.is_pending()
        && holder.is_some_and(|holder| holder.since.as_ref().is_none_or(is_long))
        && claim.meta.creation_timestamp.as_ref().is_none_or(is_long)
}
