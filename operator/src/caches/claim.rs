//! A claim on a strand's volume as the caches keep it.

use std::sync::Arc;

use boboyka_crds::{names, quantity};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::watch::slim_meta;
use super::words::Words;

/// Kubernetes writes here the node whose pod a volume is being made for.
const NODE_ANNOTATION: &str = "volume.kubernetes.io/selected-node";

/// A claim on a strand's volume.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Claim {
    /// Its integration.
    pub(crate) integration: Arc<str>,
    /// Its strand.
    pub(crate) strand: Option<Box<str>>,
    /// Its metadata, with the product's own annotations only.
    pub(crate) meta: ObjectMeta,
    /// Its phase: `Pending`, `Bound` or `Lost`.
    pub(crate) phase: Option<Box<str>>,
    /// The storage that it requests, in bytes.
    pub(crate) requested: Option<u64>,
    /// The volume that it is bound to.
    pub(crate) volume: Option<Box<str>>,
    /// The node for which its volume is being made.
    pub(crate) node: Option<Box<str>>,
}

impl Claim {
    /// Whether its volume was deleted.
    pub(crate) fn has_lost_its_volume(&self) -> bool {
        self.phase.as_deref() == Some("Lost")
    }

    /// Whether it has a volume.
    pub(crate) fn is_bound(&self) -> bool {
        self.phase.as_deref() == Some("Bound")
    }

    /// Whether it has no volume yet.
    pub(crate) fn is_pending(&self) -> bool {
        self.phase.as_deref() == Some("Pending")
    }

    /// What is kept of a claim.
    pub(super) fn of(claim: PersistentVolumeClaim, words: &Words) -> Self {
        let requested = claim.spec.as_ref().and_then(requested_bytes);
        let mut meta = claim.metadata;
        let annotations = meta.annotations.as_mut();
        let node = annotations.and_then(|all| all.remove(NODE_ANNOTATION));
        slim_meta(&mut meta);
        let mut labels = meta.labels.take().unwrap_or_default();
        Self {
            integration: words.share(
                labels
                    .get(names::INTEGRATION_LABEL)
                    .map_or("", String::as_str),
            ),
            strand: labels.remove(names::STRAND_LABEL).map(Into::into),
            meta,
            requested,
            phase: claim.status.and_then(|status| status.phase).map(Into::into),
            volume: claim.spec.and_then(|spec| spec.volume_name).map(Into::into),
            node: node.map(Into::into),
        }
    }
}

fn requested_bytes(spec: &PersistentVolumeClaimSpec) -> Option<u64> {
    let requests = spec.resources.as_ref()?.requests.as_ref()?;
    quantity::bytes(&requests.get("storage")?.0)
}
