//! `BoboykaIntegration`: what a platform team asks for, and what is in force.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::phase::Phase;

/// A fleet of agents, its way from Supabase to SapixDB, and how its strands are kept.
///
/// Pods with the label `boboyka.sapixdb.com/integration: NAME` in the same namespace get a sidecar on
/// localhost:7475, which appends every record to a durable, hash-chained strand and mirrors it to Supabase while the
/// phase says so. `spec.phase` is a request; `status.phase` is what is in force.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "boboyka.sapixdb.com",
    version = "v1alpha1",
    kind = "BoboykaIntegration",
    plural = "boboykaintegrations",
    singular = "boboykaintegration",
    shortname = "bbi",
    category = "boboyka",
    namespaced,
    status = "IntegrationStatus",
    derive = "PartialEq",
    derive = "Default",
    printcolumn = r#"{"name":"Phase","type":"string","jsonPath":".status.phase","description":"The phase in force"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Strands","type":"string","jsonPath":".status.strands.summary","description":"Ready of those in use"}"#,
    printcolumn = r#"{"name":"Records","type":"integer","jsonPath":".status.records"}"#,
    printcolumn = r#"{"name":"Backlog","type":"integer","jsonPath":".status.backlog","description":"Records that Supabase has not yet"}"#,
    printcolumn = r#"{"name":"Lag","type":"string","jsonPath":".status.lag","description":"Age of the oldest record that Supabase has not yet"}"#,
    printcolumn = r#"{"name":"Supabase","type":"string","jsonPath":".status.supabaseUrl","description":"The project that it is mirrored to"}"#,
    printcolumn = r#"{"name":"Message","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].message","priority":1}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct BoboykaIntegrationSpec {
    /// The phase that is asked for. It takes force one step at a time, once the gates let it; `status.phase` is what is
    /// in force.
    #[serde(default)]
    pub phase: Phase,
    /// Where records are mirrored to. Without it the integration is SapixDB-only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supabase: Option<Supabase>,
    /// When the oldest part of a strand may go. Without it everything is kept. What Supabase still lacks is always kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<Retention>,
    /// Where strands are kept. Default: a persistent volume claim of 10Gi of the default storage class for each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Storage>,
    /// Deployments, StatefulSets, DaemonSets and CronJobs of this namespace with these labels have the integration's
    /// label put on their pods, which rolls them out; taking the selector away takes it away again. A Job's pods carry the
    /// label themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload_selector: Option<LabelSelector>,
    /// The sidecar's container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sidecar: Option<Sidecar>,
    /// Leaves everything as it is: no phase changes, no workload is labelled, no sidecar moved to another image, no backlog
    /// drained. Labelled pods still get their sidecar, and sidecars go on taking records.
    #[serde(default)]
    pub suspend: bool,
}

/// Where records are mirrored to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Supabase {
    /// The Secret with Supabase's URL and service key. The kubelet mounts it into the sidecars; the operator never reads it.
    pub secret_ref: SecretReference,
    /// How the mirror works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<Mirror>,
}

/// A Secret of the same namespace, and its keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretReference {
    /// The Secret's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its key that holds the project's URL, such as `https://REF.supabase.co`.
    #[serde(default = "url_key")]
    #[schemars(length(min = 1, max = 253))]
    pub url_key: String,
    /// Its key that holds the `service_role` JWT or the `sb_secret_…` key.
    #[serde(default = "key_key")]
    #[schemars(length(min = 1, max = 253))]
    pub key_key: String,
}

impl Default for SecretReference {
    fn default() -> Self {
        Self {
            name: String::new(),
            url_key: url_key(),
            key_key: key_key(),
        }
    }
}

fn url_key() -> String {
    "url".to_owned()
}

fn key_key() -> String {
    "key".to_owned()
}

/// How the mirror works.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Mirror {
    /// How long an ingest waits for its row in Supabase, to say `dual_write.ok`. A duration such as `2s`; at most `30s`.
    #[serde(default = "ack_timeout")]
    #[schemars(length(max = 32))]
    pub ack_timeout: String,
    /// Most rows of one request to Supabase.
    #[serde(default = "batch_rows")]
    #[schemars(range(min = 1, max = 500))]
    pub batch_rows: i32,
}

impl Default for Mirror {
    fn default() -> Self {
        Self {
            ack_timeout: ack_timeout(),
            batch_rows: batch_rows(),
        }
    }
}

fn ack_timeout() -> String {
    "2s".to_owned()
}

fn batch_rows() -> i32 {
    500
}

/// When the oldest part of a strand may go.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Retention {
    /// Records older than this are pruned, such as `720h`; at least `1m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub max_age: Option<String>,
    /// A strand is pruned down to this size on disk, such as `8Gi`; at least `1Mi` and at most `storage.size`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub max_size: Option<String>,
}

/// Where strands are kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Storage {
    /// Size of the volume of one strand; at least `64Mi`. Default: `10Gi`. It can grow where the storage class lets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub size: Option<String>,
    /// The storage class; the cluster's default when it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub storage_class_name: Option<String>,
    /// Instead of a volume: strands that go with their pods. Only while Supabase holds the copy (`DualWrite`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ephemeral: Option<Ephemeral>,
    /// What becomes of strands and their volumes when the integration is deleted.
    #[serde(default)]
    pub reclaim: Reclaim,
}

/// Strands that go with their pods.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ephemeral {
    /// Most that a strand may take of its node's disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub size_limit: Option<String>,
}

/// What becomes of strands when their integration is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Reclaim {
    /// They stay, with their volumes; an integration of the same name finds them again.
    #[default]
    Retain,
    /// They are deleted, and their volumes as the storage class says.
    Delete,
}

/// The sidecar's container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sidecar {
    /// Its image; the operator's own release when it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub image: Option<String>,
    /// Its requests and limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
}

/// What is in force, and how the strands are doing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IntegrationStatus {
    /// The generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The phase in force, which sidecars obey.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// The generation that brought it about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase_generation: Option<i64>,
    /// The change under way, while one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transition: Option<Transition>,
    /// `Ready` sums up; `Reconciling` and `Stalled` are there only while they are true.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions")]
    pub conditions: Vec<Condition>,
    /// The strands.
    #[serde(default)]
    pub strands: StrandCounts,
    /// Records of all strands, pruned ones too.
    #[serde(default)]
    pub records: i64,
    /// The same for each record type.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub records_by_type: BTreeMap<String, i64>,
    /// Records that Supabase has not yet.
    #[serde(default)]
    pub backlog: i64,
    /// Age of the oldest of them, such as `12s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag: Option<String>,
    /// Records that Supabase refuses for what they are.
    #[serde(default)]
    pub dead_letters: i64,
    /// Supabase's URL as the sidecars read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supabase_url: Option<String>,
    /// How often a sidecar reports, in seconds; grows with the fleet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report_interval_seconds: Option<i32>,
}

/// A change of phase under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Transition {
    /// The phase in force.
    pub from: Phase,
    /// The next one.
    pub to: Phase,
    /// The generation that asked for it. Each strand names its boundary seq for this generation.
    pub generation: i64,
    /// Since when it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// What must be true first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<Gate>,
}

/// A check that a change of phase must pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Gate {
    /// Which: `Reported`, `Drained`, `NoDeadLetters`, `ChainIntact`.
    pub name: String,
    /// Whether it lets the change through.
    pub passed: bool,
    /// The evidence: what was counted, and which strands block.
    pub message: String,
}

/// The strands, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StrandCounts {
    /// All there are.
    #[serde(default)]
    pub total: i32,
    /// Held by a pod.
    #[serde(default)]
    pub held: i32,
    /// Held, and reported ready by the sidecar.
    #[serde(default)]
    pub ready: i32,
    /// `READY/HELD`, for the column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
}

/// Conditions are a map by `type`, so that two writers don't undo each other's.
pub(crate) fn conditions(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let mut schema = generator.subschema_for::<Vec<Condition>>();
    schema.insert("x-kubernetes-list-type".to_owned(), "map".into());
    schema.insert(
        "x-kubernetes-list-map-keys".to_owned(),
        serde_json::json!(["type"]),
    );
    schema
}
