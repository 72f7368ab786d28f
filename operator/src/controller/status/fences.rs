//! The check of what somebody keeps from pods by hand. Pure.

use boboyka_crds::{BoboykaStrand, Fence};
use kube::ResourceExt as _;

use super::facts::Facts;
use super::finding::{Finding, some_of};
use crate::reason::Reason;

/// Whether no strand is fenced. A fence is somebody's intention, so it keeps no integration from being ready.
pub(super) fn strands_unfenced(facts: &Facts<'_>) -> Finding {
    let strands = facts.seen.all_strands();
    let fenced = strands.filter_map(|strand| Some((&**strand, strand.fence()?)));
    let fenced: Vec<(&BoboykaStrand, &Fence)> = fenced.collect();
    if fenced.is_empty() {
        return Finding::yes(Reason::AsExpected, "no strand is fenced");
    }
    let is_held = fenced.iter().any(|(strand, _)| pod(strand).is_some());
    let reason = if is_held {
        Reason::StillHeld
    } else {
        Reason::Fenced
    };
    let told = fenced.iter().map(|(strand, fence)| told(strand, fence));
    Finding::no(reason, some_of(&told.collect::<Vec<_>>()))
}

fn told(strand: &BoboykaStrand, fence: &Fence) -> String {
    let name = strand.name_any();
    match pod(strand) {
        Some(pod) => format!("{name}: {fence}; still held by pod {pod}"),
        None => format!("{name}: {fence}; no pod holds it, and none gets it"),
    }
}

fn pod(strand: &BoboykaStrand) -> Option<&String> {
    strand.spec.holder.as_ref()?.pod_name.as_ref()
}
