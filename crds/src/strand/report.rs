//! The report of the sidecar that holds a strand.
//!
//! The doc comments become the text of `kubectl explain`.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::parity::{ForeignWrites, Parity};
use crate::archive::ArchiveReport;
use crate::audit::LogReport;
use crate::migration::{BackfillReport, LegacyReport};
use crate::phase::Phase;

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
    /// Number of bytes in the files of the segments that hold these records: what the way back costs of the volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub unmirrored_bytes: Option<i64>,
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
    /// How the archive of the strand stands. Absent while it has none, and if the sidecar is older than this field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<ArchiveReport>,
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
    /// The list of legacy projects that the strand obeys. Absent in `DualWrite`, and if the sidecar is older than this field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub legacy: Option<LegacyReport>,
    /// What a backfill has imported into this strand. Absent in every strand but the history, and while a run has imported nothing
    /// yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backfill: Option<BackfillReport>,
    /// Scheme, host and port of the URL of the Supabase project, as read by the sidecar from the Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supabase_url: Option<String>,
    /// Disk space that the strand uses on its volume, in bytes.
    #[serde(default)]
    pub disk_bytes: i64,
    /// Version of the sidecar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Conditions observed by the sidecar: `SupabaseReachable`, `CredentialsAccepted`, `RetentionEnforced`, `ClockInStep`,
    /// `CheckpointsCosigned` and `Archived`; and `Stalled` with a damaged strand, which tools such as kstatus read as failed. A condition that does
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

/// Identifies a block.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeadReference {
    /// Sequence number of the block. The first block of a strand has 1.
    pub seq: i64,
    /// BLAKE3 hash of the block, 64 hexadecimal digits.
    pub hash: String,
}
