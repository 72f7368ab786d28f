//! The claim on a strand's volume.

use boboyka_crds::{BoboykaStrand, names};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt as _;
use serde_json::json;

use super::labels::labels;
use crate::integration::{Storage, Validated};
use crate::strands::slot;

/// The claim that a strand names; `None` for an ephemeral strand. A label of the claim names its strand, so that the
/// strand can be recreated from it.
pub(crate) fn new(
    integration: &Validated,
    strand: &BoboykaStrand,
) -> Option<PersistentVolumeClaim> {
    let name = strand.spec.claim_name.as_ref()?;
    let Storage::Claim { size, class } = &integration.storage else {
        return None;
    };
    let mut claim: PersistentVolumeClaim = serde_json::from_value(json!({
        "metadata": {"name": name, "namespace": integration.namespace},
        "spec": {
            // With ReadWriteOncePod, a second pod with the same strand does not even start.
            "accessModes": [integration.access_mode],
            "storageClassName": class,
            "resources": {"requests": {"storage": size}},
        },
    }))
    .ok()?;
    let mut labels = labels(integration);
    labels.insert(names::STRAND_LABEL.to_owned(), strand.name_any());
    claim.metadata.labels = Some(labels);
    let slot = strand.spec.slot.as_ref().map(slot::text);
    claim.metadata.annotations =
        slot.map(|slot| [(names::SLOT_ANNOTATION.to_owned(), slot)].into());
    claim.metadata.owner_references = integration.owner_of_strands().map(|owner| vec![owner]);
    Some(claim)
}
