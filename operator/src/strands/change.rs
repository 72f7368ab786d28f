//! The changes that the leader makes to a strand that is there. Pure.

use boboyka_crds::{HeadReference, Holder};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

/// A change of a strand.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum StrandChange {
    /// Bind it to the pod that was admitted with it.
    Bind { pod_name: String, pod_uid: String },
    /// Name the pod that carries it as its holder.
    Adopt(Holder),
    /// Give it to the next pod that carries it, or free it: its pod, of this name and UID, is gone.
    Release {
        pod_name: String,
        pod_uid: String,
        next: Option<Holder>,
    },
    /// Free it: the pod that it was given to at admission never came.
    TakeBack { token: String },
    /// Store a head that was seen.
    Witness(HeadReference),
    /// Make the integration its owner, or remove the integration as its owner.
    Own(Option<OwnerReference>),
    /// Record the UID of its claim.
    Claim(String),
    /// Have its sidecar count foreign writes for the integration, or no longer.
    CountForeign(bool),
    /// Delete it: it was ephemeral and its pod is gone.
    Delete,
}
