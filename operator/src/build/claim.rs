//! The claim on a strand's volume.

use boboyka_crds::{BoboykaStrand, names};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt as _;
use serde_json::json;

use super::labels;
use crate::integration::{Storage, Validated};
use crate::strands::slot_text;

/// The claim that a strand names; none for an ephemeral one. It names its strand, so that the strand can be made again
/// from it.
pub fn new(integration: &Validated, strand: &BoboykaStrand) -> Option<PersistentVolumeClaim> {
    let name = strand.spec.claim_name.as_ref()?;
    let Storage::Claim { size, class } = &integration.storage else {
        return None;
    };
    let mut claim: PersistentVolumeClaim = serde_json::from_value(json!({
        "metadata": {"name": name, "namespace": integration.namespace},
        "spec": {
            // One pod at a time: a second one that would open the strand is not even started.
            "accessModes": ["ReadWriteOncePod"],
            "storageClassName": class,
            "resources": {"requests": {"storage": size}},
        },
    }))
    .ok()?;
    let mut labels = labels(integration);
    labels.insert(names::STRAND_LABEL.to_owned(), strand.name_any());
    claim.metadata.labels = Some(labels);
    let slot = strand.spec.slot.as_ref();
    claim.metadata.annotations =
        slot.map(|slot| [(names::SLOT_ANNOTATION.to_owned(), slot_text(slot))].into());
    claim.metadata.owner_references = integration.owner_of_strands().map(|owner| vec![owner]);
    Some(claim)
}
