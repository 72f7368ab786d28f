//! A strand as a resource.

use boboyka_crds::{BoboykaStrand, BoboykaStrandSpec, names};

use super::labels::labels;
use crate::integration::{Storage, Validated};

/// A strand of an integration, on a claim of its own unless strands are ephemeral. `spec` has the fields that differ
/// from strand to strand.
pub(crate) fn new(integration: &Validated, name: &str, spec: BoboykaStrandSpec) -> BoboykaStrand {
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
