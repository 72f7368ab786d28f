//! `BoboykaStrand`: one strand, which outlives the pods that hold it. The operator writes the spec, and the sidecar of
//! the pod that holds it the status.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::phase::Phase;

/// One strand of an integration: its volume, the pod that holds it, and what its sidecar last said.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "boboyka.sapixdb.com",
    version = "v1alpha1",
    kind = "BoboykaStrand",
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
    printcolumn = r#"{"name":"Pod","type":"string","jsonPath":".spec.holder.podName"}"#,
    printcolumn = r#"{"name":"Ready","type":"boolean","jsonPath":".status.ready"}"#,
    printcolumn = r#"{"name":"Phase","type":"string","jsonPath":".status.phase"}"#,
    printcolumn = r#"{"name":"Head","type":"integer","jsonPath":".status.head.seq"}"#,
    printcolumn = r#"{"name":"Backlog","type":"integer","jsonPath":".status.backlog"}"#,
    printcolumn = r#"{"name":"Intact","type":"boolean","jsonPath":".status.chain.intact"}"#,
    printcolumn = r#"{"name":"Reported","type":"date","jsonPath":".status.reportedAt"}"#,
    printcolumn = r#"{"name":"Version","type":"string","jsonPath":".status.version","priority":1}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct BoboykaStrandSpec {
    /// The integration that it belongs to.
    #[schemars(length(min = 1, max = 253))]
    pub integration: String,
    /// The claim on its volume; none for a strand that goes with its pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim_name: Option<String>,
    /// Which pods it is for; none when any pod of the integration may take it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<Slot>,
    /// The workload whose pod holds it or held it last, as `KIND/NAME`: its pods are given it before others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<String>,
    /// The pod that holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<Holder>,
    /// The newest head that the operator saw. The sidecar says what its block at this seq is now: a strand that went
    /// back or was rewritten can't say the same hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub witnessed: Option<HeadReference>,
}

/// The only pods that a strand is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Slot {
    /// Kind of the workload: `StatefulSet` or `DaemonSet`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// The pod's ordinal, or the node's name.
    pub key: String,
}

/// The pod that holds a strand. At admission a pod has no UID yet: then the token alone is there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Holder {
    /// What the pod carries in its annotation since its admission.
    pub token: String,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// The pod's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_name: Option<String>,
    /// The pod's UID. Only a token bound to this pod may write the strand's status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_uid: Option<String>,
}

/// A block, by place and hash.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeadReference {
    /// Its place.
    pub seq: i64,
    /// Its hash, hex.
    pub hash: String,
}

/// What the sidecar last said.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StrandStatus {
    /// The UID of the pod whose sidecar said it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_uid: Option<String>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported_at: Option<Time>,
    /// Whether it takes records.
    #[serde(default)]
    pub ready: bool,
    /// The strand's own id, made with its genesis.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strand_id: Option<String>,
    /// The newest block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<HeadReference>,
    /// Where the chain begins after pruning: the last block that is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor: Option<HeadReference>,
    /// The block at `spec.witnessed.seq`, as the strand has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub witnessed: Option<HeadReference>,
    /// Records, pruned ones too.
    #[serde(default)]
    pub records: i64,
    /// The same for each record type.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub records_by_type: BTreeMap<String, i64>,
    /// The mirror, one lane for each Supabase table.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lanes: Vec<LaneStatus>,
    /// Records that Supabase has not yet.
    #[serde(default)]
    pub backlog: i64,
    /// Age of the oldest of them, in milliseconds.
    #[serde(default)]
    pub lag_ms: i64,
    /// Records that Supabase refuses for what they are.
    #[serde(default)]
    pub dead_letters: i64,
    /// Whether the chain holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<Chain>,
    /// The phase that the sidecar obeys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// The generation that brought it about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase_generation: Option<i64>,
    /// The boundary that the sidecar fixed for a change of phase under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boundary: Option<Boundary>,
    /// Supabase's URL, as the sidecar read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supabase_url: Option<String>,
    /// What the strand takes of its volume.
    #[serde(default)]
    pub disk_bytes: i64,
    /// The sidecar's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// `SupabaseReachable`, `CredentialsAccepted`, `RetentionEnforced`, as the sidecar sees them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::integration::conditions")]
    pub conditions: Vec<Condition>,
}

/// One Supabase table's queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LaneStatus {
    /// The record type.
    pub record_type: String,
    /// What it does: as in the sidecar's `GET /v1/boboyka/mirror`.
    pub state: String,
    /// Why it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Up to which seq all of its records are mirrored or dead letters.
    pub mark: i64,
    /// Records that wait.
    pub backlog: i64,
    /// Dead letters.
    pub dead_letters: i64,
}

/// Whether the chain holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Chain {
    /// Nothing that was acknowledged is known to be lost or altered.
    pub intact: bool,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A strand's place in a change of phase under way: every record up to it was appended before the change was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Boundary {
    /// The generation that asks for the change.
    pub generation: i64,
    /// The boundary.
    pub seq: i64,
    /// Whether every lane has mirrored up to it.
    pub drained: bool,
}
