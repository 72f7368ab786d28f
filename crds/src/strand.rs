//! `BoboykaStrand`: one strand, which outlives the pods that hold it. The operator writes the specification, the sidecar
//! of the pod that holds the strand writes the status.
//!
//! The doc comments become the text of `kubectl explain`.

mod fence;
mod parity;
mod report;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::fence::Fence;
pub use self::parity::{ForeignTable, ForeignWrites, Parity};
pub use self::report::{Boundary, Chain, HeadReference, LaneStatus, StrandStatus};
use crate::audit::Contradiction;
use crate::names;

/// The volume of the strand and the pod that holds it. The operator writes it, but for `fenced`.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "boboyka.sapixdb.com",
    version = "v1alpha1",
    kind = "BoboykaStrand",
    doc = "BoboykaStrand is one strand of an integration: a durable, hash-chained log of records. It outlives the pods that hold it, one at a time.\n\nThe operator creates strands and writes their specification; users with the verb `fence` set `spec.fenced`. The sidecar of the pod that holds a strand writes its status. An admission policy rejects everybody else.",
    plural = "boboykastrands",
    singular = "boboykastrand",
    shortname = "bbs",
    category = "boboyka",
    namespaced,
    status = "StrandStatus",
    derive = "PartialEq",
    derive = "Default",
    selectable = ".spec.integration",
    printcolumn = r#"{"name":"Integration","type":"string","jsonPath":".spec.integration"}"#,
    printcolumn = r#"{"name":"Pod","type":"string","jsonPath":".spec.holder.podName","description":"Pod that holds the strand"}"#,
    printcolumn = r#"{"name":"Ready","type":"boolean","jsonPath":".status.ready","description":"Whether the sidecar accepts records"}"#,
    printcolumn = r#"{"name":"Phase","type":"string","jsonPath":".status.phase","description":"Phase that the sidecar obeys"}"#,
    printcolumn = r#"{"name":"Head","type":"integer","jsonPath":".status.head.seq","description":"Sequence number of the newest record"}"#,
    printcolumn = r#"{"name":"Backlog","type":"integer","jsonPath":".status.backlog","description":"Records that wait to be mirrored to Supabase"}"#,
    printcolumn = r#"{"name":"Intact","type":"boolean","jsonPath":".status.chain.intact","description":"Whether no part of the strand is damaged"}"#,
    printcolumn = r#"{"name":"Reported","type":"date","jsonPath":".status.reportedAt","description":"Age of the last report"}"#,
    printcolumn = r#"{"name":"Id","type":"string","jsonPath":".status.strandId","description":"UUID of the strand, the column strand of its rows in Supabase","priority":1}"#,
    printcolumn = r#"{"name":"Fenced","type":"string","jsonPath":".spec.fenced.reason","description":"Why the strand is given to no pod","priority":1}"#,
    printcolumn = r#"{"name":"Version","type":"string","jsonPath":".status.version","priority":1}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct BoboykaStrandSpec {
    /// Name of the integration that the strand belongs to.
    #[schemars(length(min = 1, max = 253))]
    pub integration: String,
    /// Name of the persistent volume claim of the strand. Absent for an ephemeral strand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim_name: Option<String>,
    /// UID of that claim. A claim of another UID is not the volume that holds the records: the operator reports it and does
    /// not use it in place of the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim_uid: Option<String>,
    /// Reserves the strand for one ordinal of a StatefulSet or one node of a DaemonSet. Absent if any pod of the integration
    /// may take it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<Slot>,
    /// Workload whose pod holds the strand or held it last, as `KIND/NAME`. Pods of this workload get the strand in
    /// preference to others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<String>,
    /// The pod that holds the strand. Absent while the strand is free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<Holder>,
    /// The newest head that the operator has recorded. The sidecar answers in `status.witnessed` with its own block at this
    /// sequence number: a strand that was set back or rewritten can't return the same hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub witnessed: Option<HeadReference>,
    /// Whether the sidecar of this strand counts foreign writes for the whole integration. The operator chooses one strand.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub counts_foreign_writes: bool,
    /// What the operator found as a witness: the strand's log contradicts a checkpoint that the operator has cosigned. It stays
    /// until the strand's resource is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contradiction: Option<Contradiction>,
    /// While it is there, the operator gives the strand to no pod and to no Job. Setting and removing it takes the verb `fence` on
    /// `boboykastrands`; it is the only field that others than the operator write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fenced: Option<Fence>,
}

/// The pods that a strand is reserved for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Slot {
    /// Kind of the workload: `StatefulSet` or `DaemonSet`.
    pub kind: String,
    /// Name of the workload.
    pub name: String,
    /// Ordinal of the pod in its StatefulSet, or name of the node.
    pub key: String,
}

/// The pod that holds a strand. Between the admission of the pod and its creation, only `token` and `since` are set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Holder {
    /// BLAKE3 hash of the random token that the pod carries in the annotation `boboyka.sapixdb.com/admission`. It identifies
    /// the pod before the pod has a UID.
    pub token: String,
    /// Time at which the strand was given to the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// Name of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_name: Option<String>,
    /// UID of the pod. Only a service account token that is bound to this pod may write the status of the strand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_uid: Option<String>,
}

impl BoboykaStrand {
    /// The last report of a sidecar; `None` while none has reported.
    pub fn report(&self) -> Option<&StrandStatus> {
        let status = self.status.as_ref();
        status.filter(|status| status.reported_at.is_some())
    }

    /// Whether it is the history of its integration, which a backfill fills and no agent writes to.
    pub fn is_history(&self) -> bool {
        let name = self.metadata.name.as_deref();
        name == Some(&names::history_of(&self.spec.integration))
    }

    /// Why the operator gives the strand to nobody, if that is so.
    pub fn fence(&self) -> Option<&Fence> {
        self.spec.fenced.as_ref()
    }
}
