//! `BoboykaStrand`: one strand, which outlives the pods that hold it. The operator writes the specification, the sidecar
//! of the pod that holds the strand writes the status.
//!
//! The doc comments become the text of `kubectl explain`.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::audit::{Contradiction, LogReport};
use crate::phase::Phase;

/// The volume of the strand and the pod that holds it. The operator writes it.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "boboyka.sapixdb.com",
    version = "v1alpha1",
    kind = "BoboykaStrand",
    doc = "BoboykaStrand is one strand of an integration: a durable, hash-chained log of records. It outlives the pods that hold it, one at a time.\n\nThe operator creates strands and writes their specification. The sidecar of the pod that holds a strand writes its status. An admission policy rejects everybody else.",
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

/// Identifies a block.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeadReference {
    /// Sequence number of the block. The first block of a strand has 1.
    pub seq: i64,
    /// BLAKE3 hash of the block, 64 hexadecimal digits.
    pub hash: String,
}

impl BoboykaStrand {
    /// The last report of a sidecar; `None` while none has reported.
    pub fn report(&self) -> Option<&StrandStatus> {
        let status = self.status.as_ref();
        status.filter(|status| status.reported_at.is_some())
    }
}

/// The last report of the sidecar that holds the strand.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StrandStatus {
    /// Generation of the specification that the sidecar has seen. If it is lower than `metadata.generation`, the sidecar of the
    /// pod that holds the strand has not answered the latest change yet, or ended without a last report. -1 until a sidecar has
    /// reported, so that tools such as kstatus and Argo CD wait for it. Absent after a last report: nobody is left to wait for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// UID of the pod whose sidecar reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_uid: Option<String>,
    /// Time of the report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported_at: Option<Time>,
    /// Whether the sidecar accepts records.
    #[serde(default)]
    pub ready: bool,
    /// UUID of the strand, generated when the strand was created on its volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strand_id: Option<String>,
    /// The newest block of the strand. Sequence number 0 while the strand is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<HeadReference>,
    /// The newest pruned block. The chain starts after it. Absent while nothing was pruned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor: Option<HeadReference>,
    /// The block of the strand at `spec.witnessed.seq`. Absent if the strand has no such block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub witnessed: Option<HeadReference>,
    /// Number of records appended to the strand, including pruned records.
    #[serde(default)]
    pub records: i64,
    /// Number of records appended to the strand, by record type, including pruned records.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub records_by_type: BTreeMap<String, i64>,
    /// The lanes of the mirror, one for each Supabase table.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lanes: Vec<LaneStatus>,
    /// Number of records that wait to be mirrored to Supabase.
    #[serde(default)]
    pub backlog: i64,
    /// Age of the oldest record that waits to be mirrored, in milliseconds. 0 when no record waits.
    #[serde(default)]
    pub lag_ms: i64,
    /// Number of records that Supabase rejected permanently.
    #[serde(default)]
    pub dead_letters: i64,
    /// Number of records that a return to `DualWrite` would mirror: Supabase does not have them. Absent if the sidecar is older
    /// than this field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unmirrored: Option<i64>,
    /// Whether the strand is undamaged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<Chain>,
    /// Rows in Supabase that no strand wrote. Absent while that is not known, and where another strand's sidecar counts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub foreign_writes: Option<ForeignWrites>,
    /// Why the sidecar that counts foreign writes does not know them. Absent while it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub foreign_writes_unknown: Option<String>,
    /// How the transparency log of the strand stands. Absent until its first checkpoint is signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<LogReport>,
    /// Phase that the sidecar obeys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// Generation of the integration that put this phase into force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase_generation: Option<i64>,
    /// Boundary of the strand for the phase change in `status.transition` of the integration. Absent while no phase change
    /// waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boundary: Option<Boundary>,
    /// Scheme, host and port of the URL of the Supabase project, as read by the sidecar from the Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supabase_url: Option<String>,
    /// Disk space that the strand uses on its volume, in bytes.
    #[serde(default)]
    pub disk_bytes: i64,
    /// Version of the sidecar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Conditions observed by the sidecar: `SupabaseReachable`, `CredentialsAccepted`, `RetentionEnforced`, `ClockInStep` and
    /// `CheckpointsCosigned`; and `Stalled` with a damaged strand, which tools such as kstatus read as failed. A condition that does
    /// not apply is absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::integration::conditions")]
    pub conditions: Vec<Condition>,
}

/// The state of one lane: the queue of records for one Supabase table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LaneStatus {
    /// Record type of the lane: `project_build`, `build_queue_item`, `agent_health` or `audit_log`.
    pub record_type: String,
    /// State of the lane.
    ///
    /// - `disabled`: no credentials are configured.
    /// - `closed`: the phase leaves nothing to mirror, or is not known yet.
    /// - `mirroring`: the lane sends records, or has none to send.
    /// - `backing_off`: the lane waits after a failed request.
    /// - `open`: the circuit breaker is open after repeated failures; the lane probes now and then.
    /// - `auth_failed`: Supabase rejected the key or a grant.
    /// - `schema_mismatch`: the table does not accept the rows.
    /// - `refused`: the table rejected too many records in a row.
    pub state: String,
    /// Reason for the state. Absent while the lane works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Sequence number up to which every record of the lane is mirrored or a dead letter.
    pub mark: i64,
    /// Number of records that wait to be mirrored.
    pub backlog: i64,
    /// Number of records that Supabase rejected permanently.
    pub dead_letters: i64,
    /// How the table differs from the strand. Absent while that is not known, for which `parityUnknown` has the reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parity: Option<Parity>,
    /// Why it is not known how the table differs from the strand. Absent while it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub parity_unknown: Option<String>,
}

/// How a table differs from the strand: the result of comparing both, row by row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Parity {
    /// Sequence number up to which every record of the lane has been compared.
    pub up_to: i64,
    /// Every one of these records was compared at this time or later.
    pub checked_at: Time,
    /// Number of records that the table should have and has not.
    #[schemars(range(min = 0))]
    pub missing: i64,
    /// Number of rows that have other values than the strand wrote.
    #[schemars(range(min = 0))]
    pub changed: i64,
    /// Number of rows that carry the id of the strand and are none of its records.
    #[schemars(range(min = 0))]
    pub extra: i64,
    /// Number of rows beyond the first of one record.
    #[schemars(range(min = 0))]
    pub doubled: i64,
}

/// Rows in Supabase that no strand wrote: somebody still has a write path of their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ForeignWrites {
    /// Rows that were written before this time are not counted: the mirror had not begun.
    pub since: Time,
    /// Time at which all tables had been looked at.
    pub checked_at: Time,
    /// The tables of the mirror that have such rows. Empty if there are none.
    #[schemars(length(max = 16))]
    pub tables: Vec<ForeignTable>,
}

/// The foreign rows of one table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ForeignTable {
    /// Name of the table.
    #[schemars(length(max = 63))]
    pub table: String,
    /// Number of foreign rows.
    #[schemars(range(min = 1))]
    pub rows: i64,
    /// The newest of them was written at this time or before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest_at: Option<Time>,
    /// Keys of some of them, newest first, as `COLUMN=VALUE`. Other columns are never shown.
    #[schemars(length(max = 10), inner(length(max = 128)))]
    pub sample: Vec<String>,
}

/// Whether the strand is undamaged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Chain {
    /// Whether the sidecar knows of no acknowledged record that is lost or altered.
    pub intact: bool,
    /// What is damaged, and the folder that holds the quarantined files. Absent while the strand is intact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Sequence number up to which the scrub has read every record again from the disk, since the sidecar started. Absent until
    /// it has come to the end once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scrubbed_to: Option<i64>,
    /// Time at which the scrub last came to the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scrubbed_at: Option<Time>,
}

/// The boundary of a strand for a phase change: its head when the sidecar first saw the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Boundary {
    /// Generation of the integration that requested the change.
    pub generation: i64,
    /// Sequence number of the boundary.
    pub seq: i64,
    /// Whether every record up to the boundary is mirrored or a dead letter.
    pub drained: bool,
}
