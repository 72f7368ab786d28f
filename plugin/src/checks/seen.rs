//! What the checks look at. Pure.

use boboyka_crds::{BoboykaIntegration, BoboykaStrand};
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use crate::refusal::{Read, Refusal};

/// Everything that was read.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// The URL of the API server.
    pub(crate) server: String,
    /// Its major and minor version.
    pub(crate) version: Read<(u32, u32)>,
    pub(crate) nodes: Read<Vec<Node>>,
    pub(crate) classes: Read<Vec<StorageClass>>,
    /// Whether the user may create each of these resources.
    pub(crate) rights: Vec<(String, Read<bool>)>,
    /// The definitions as they are installed, as JSON.
    pub(crate) definitions: Read<Vec<Value>>,
    /// The namespace of the operator.
    pub(crate) home: String,
    pub(crate) deployment: Read<Deployment>,
    pub(crate) lease: Read<Lease>,
    pub(crate) webhook: Read<MutatingWebhookConfiguration>,
    pub(crate) slices: Read<Vec<EndpointSlice>>,
    /// The names of the policies, and of their bindings.
    pub(crate) policies: Read<Vec<String>>,
    pub(crate) bindings: Read<Vec<String>>,
    /// Whether the role of the sidecars is there.
    pub(crate) sidecar_role: Read<()>,
    pub(crate) trial: Trial,
    pub(crate) integrations: Read<Vec<BoboykaIntegration>>,
    pub(crate) strands: Read<Vec<BoboykaStrand>>,
    /// The pods with the label of an integration.
    pub(crate) pods: Read<Vec<Pod>>,
    pub(crate) now: Timestamp,
}

impl Seen {
    /// Whether the product is not installed.
    pub(crate) fn is_absent(&self) -> bool {
        self.definitions.as_ref().is_err_and(Refusal::is_missing)
    }
}

/// A labelled pod that the API server was asked to create without keeping it.
#[derive(Clone, Debug)]
pub(crate) struct Trial {
    pub(crate) namespace: String,
    /// Whether there is an integration that the pod can belong to.
    pub(crate) has_integration: bool,
    /// The pod as it would be.
    pub(crate) pod: Read<Pod>,
}
