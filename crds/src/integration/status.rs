//! The status of an integration, which the operator writes.
//!
//! The doc comments become the text of `kubectl explain`.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::archive::ArchiveCounts;
use crate::legal_hold::LegalHold;
use crate::migration::{Change, Finalized, MigrationStatus, TakenForce, Transition};
use crate::phase::Phase;

/// The observed state of the integration. The operator writes it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IntegrationStatus {
    /// Generation of the specification that this status was computed from. If it is lower than `metadata.generation`, the
    /// operator has not processed the latest change yet. -1 until the operator has seen the integration, so that tools such as
    /// kstatus and Argo CD wait for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Phase in force. The sidecars obey this phase and not `spec.phase`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// Generation of the specification that put this phase into force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase_generation: Option<i64>,
    /// The phase change that waits for its gates. Absent when none waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transition: Option<Transition>,
    /// The last force of gates, and the generation that it counts for. Absent while `spec.migration.force` is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force: Option<TakenForce>,
    /// The last change of the phase, with who requested it and the gates as they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_change: Option<Change>,
    /// The end of the migration. While it is there, no other phase can come into force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finalized: Option<Finalized>,
    /// The legacy projects and the backfill, and how far they are. Absent while there never was either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migration: Option<MigrationStatus>,
    /// The legal hold, as somebody changed it last. Absent while there never was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub legal_hold: Option<LegalHold>,
    /// Number of records that a return to `DualWrite` would mirror. Retention keeps them as long as there is a way back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unmirrored: Option<i64>,
    /// Number of bytes in the files of the segments that hold these records, on all volumes: what the way back costs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub unmirrored_bytes: Option<i64>,
    /// Conditions of the integration. `Ready` summarises the others. `Reconciling` (work is in progress) and `Stalled` (the
    /// operator can't proceed without help) are present only while they are true.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions")]
    pub conditions: Vec<Condition>,
    /// Number of strands, by state.
    #[serde(default)]
    pub strands: StrandCounts,
    /// Number of records appended to all strands, including pruned records.
    #[serde(default)]
    pub records: i64,
    /// Number of records appended to all strands, by record type, including pruned records.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub records_by_type: BTreeMap<String, i64>,
    /// Number of records in all strands that wait to be mirrored to Supabase. 0 without `spec.supabase`.
    #[serde(default)]
    pub backlog: i64,
    /// Age of the oldest record that waits to be mirrored, such as `10s`, rounded down; `<1s` below a second. Absent when no
    /// record waits, or while the age is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag: Option<String>,
    /// Number of records that Supabase rejected permanently. `GET /v1/boboyka/mirror` of the sidecar shows the reasons.
    #[serde(default)]
    pub dead_letters: i64,
    /// How the archive stands, in numbers of strands. Absent without `spec.archive`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<ArchiveCounts>,
    /// Scheme, host and port of the URL of the Supabase project, as read by the sidecars from the Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supabase_url: Option<String>,
    /// The witnesses of the strands' logs and the quorum, as a policy (<https://c2sp.org/tlog-policy>): those of `spec.audit`,
    /// and the operator once it has its key. The sidecars ask these witnesses. To check a checkpoint or a proof by it, add a
    /// line `log VKEY` with `status.log.vkey` of the strand. Absent while nobody witnesses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub witness_policy: Option<String>,
    /// Interval between two reports of a sidecar, in seconds. At least 10; it increases with the number of strands in the
    /// cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report_interval_seconds: Option<i32>,
}

/// Number of strands, by state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StrandCounts {
    /// Number of strands of the integration.
    #[serde(default)]
    pub total: i32,
    /// Number of strands that a pod holds.
    #[serde(default)]
    pub held: i32,
    /// Number of held strands whose sidecar has recently reported that it accepts records.
    #[serde(default)]
    pub ready: i32,
    /// `ready` and `held` as `READY/HELD`, for the column STRANDS of `kubectl get`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
}

/// The schema of conditions as a map with the key `type`, so that one writer does not remove the conditions of another.
pub(crate) fn conditions(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let mut schema = generator.subschema_for::<Vec<Condition>>();
    schema.insert("x-kubernetes-list-type".to_owned(), "map".into());
    schema.insert(
        "x-kubernetes-list-map-keys".to_owned(),
        serde_json::json!(["type"]),
    );
    schema
}
