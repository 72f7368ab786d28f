//! A strand as a resource.

use boboyka_crds::{BoboykaStrand, BoboykaStrandSpec, HeadReference, names};

use super::labels;
use crate::integration::{Storage, Validated};

/// A strand of an integration, on a claim of its own unless strands are ephemeral. `spec` has what is particular to it.
pub fn new(integration: &Validated, name: &str, spec: BoboykaStrandSpec) -> BoboykaStrand {
    let claim = matches!(integration.storage, Storage::Claim { .. });
    let spec = BoboykaStrandSpec {
        integration: integration.name.clone(),
        claim_name: claim.then(|| names::claim_of(name)),
        ..spec
    };
    let mut strand = BoboykaStrand::new(name, spec);
    strand.metadata.namespace = Some(integration.namespace.clone());
    strand.metadata.labels = Some(labels(integration));
    strand.metadata.owner_references = integration.owner_of_strands().map(|owner| vec![owner]);
    strand
}

/// The newest head that the operator can vouch for: what it saw before, or what was reported since, unless the strand
/// went back or was rewritten.
pub fn witnessed(strand: &BoboykaStrand) -> Option<HeadReference> {
    let before = strand.spec.witnessed.clone();
    let reported = strand
        .status
        .as_ref()
        .and_then(|status| status.head.clone());
    match (before, reported) {
        (None, reported) => reported.filter(|head| head.seq > 0),
        (Some(before), Some(reported)) if reported.seq > before.seq && is_followed(strand) => {
            Some(reported)
        }
        (before, _) => before,
    }
}

/// Whether the strand, by its own last report, still has the block that was witnessed.
fn is_followed(strand: &BoboykaStrand) -> bool {
    let status = strand.status.as_ref();
    let floor = status
        .and_then(|status| status.floor.as_ref())
        .map_or(0, |floor| floor.seq);
    let answer = status.and_then(|status| status.witnessed.as_ref());
    strand
        .spec
        .witnessed
        .as_ref()
        .is_none_or(|asked| asked.seq <= floor || answer == Some(asked))
}
