//! `BoboykaIntegration`: the specification that a platform team writes, and the status that the operator writes.
//!
//! The doc comments become the text of `kubectl explain`: they are written for readers who know Kubernetes and not this
//! code.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::audit::Audit;
use crate::migration::{Change, Finalized, Migration, TakenForce, Transition};
use crate::phase::Phase;
use crate::table::MirrorTable;

/// The desired state of the integration.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "boboyka.sapixdb.com",
    version = "v1alpha1",
    kind = "BoboykaIntegration",
    doc = "BoboykaIntegration connects a fleet of Boboyka agents to SapixDB and controls the migration of the fleet away from Supabase.\n\nEach pod in the same namespace with the label `boboyka.sapixdb.com/integration: NAME` gets a sidecar that listens on localhost:7475. The sidecar appends every record to a strand, a durable hash-chained log of its own, before it answers, and mirrors the record to Supabase when the phase requires it. The name has at most 40 characters and no dots.",
    plural = "boboykaintegrations",
    singular = "boboykaintegration",
    shortname = "bbi",
    category = "boboyka",
    namespaced,
    status = "IntegrationStatus",
    derive = "PartialEq",
    derive = "Default",
    printcolumn = r#"{"name":"Phase","type":"string","jsonPath":".status.phase","description":"Phase in force"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Strands","type":"string","jsonPath":".status.strands.summary","description":"Ready strands / strands held by a pod"}"#,
    printcolumn = r#"{"name":"Records","type":"integer","jsonPath":".status.records","description":"Records appended so far"}"#,
    printcolumn = r#"{"name":"Backlog","type":"integer","jsonPath":".status.backlog","description":"Records that wait to be mirrored to Supabase"}"#,
    printcolumn = r#"{"name":"Lag","type":"string","jsonPath":".status.lag","description":"Age of the oldest waiting record"}"#,
    printcolumn = r#"{"name":"Supabase","type":"string","jsonPath":".status.supabaseUrl","description":"URL of the Supabase project"}"#,
    printcolumn = r#"{"name":"Message","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].message","priority":1}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct BoboykaIntegrationSpec {
    /// The requested phase of the migration. Default: `DualWrite`.
    ///
    /// - `DualWrite`: the sidecars mirror every record to Supabase.
    /// - `MigrateInternals`: the strand is the only source of truth; new records are not mirrored.
    /// - `CutOver`: SapixDB only. New records are not mirrored, as in `MigrateInternals`.
    ///
    /// The phase moves forward one step at a time, and only after every gate in `status.transition` has passed. It moves
    /// back at once. `status.phase` is the phase in force.
    #[serde(default)]
    pub phase: Phase,
    /// The Supabase project to mirror to. Without it, records stay in the strands and are mirrored nowhere. Adding or
    /// removing it takes effect in pods that are created afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supabase: Option<Supabase>,
    /// When to prune the oldest records of a strand. Without it, strands keep every record.
    ///
    /// Records that wait to be mirrored are never pruned. Before `CutOver`, dead letters and records that a return to
    /// `DualWrite` would mirror are kept as well; with `migration`, they are kept until the migration is finalized.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<Retention>,
    /// How the migration moves from phase to phase. With it, even if it is empty, a step forward also waits until the scrub has
    /// read every chain again, until Supabase is known to have what the strands hold, and until nobody else writes to its
    /// tables. Without it, a step waits for the gates `Reported`, `Drained`, `NoDeadLetters` and `ChainIntact` as the sidecars
    /// report them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migration: Option<Migration>,
    /// Where the strands are stored. Default: for each strand, one persistent volume claim of `10Gi` with the cluster's
    /// default storage class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Storage>,
    /// Selects Deployments, StatefulSets, DaemonSets and CronJobs of the same namespace by their labels. The operator adds
    /// the integration's label to their pod templates, which starts a rollout, and removes it again when a workload is no
    /// longer selected. The selector must name at least one label. Jobs are not selected: label their pod templates
    /// yourself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload_selector: Option<LabelSelector>,
    /// The image and the resources of the sidecar container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sidecar: Option<Sidecar>,
    /// Who witnesses the transparency logs of the strands. Default: the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<Audit>,
    /// Pauses the operator's work on this integration. Default: `false`. While it is `true`, the operator changes no phase,
    /// labels no workload, updates no sidecar image and starts no drain Job. New pods still get a sidecar, and running
    /// sidecars continue to accept and mirror records. The workloads that `workloadSelector` matches stay with this integration:
    /// a younger one does not get them.
    #[serde(default)]
    pub suspend: bool,
}

/// The Supabase project to mirror to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Supabase {
    /// The Secret with the URL and the service key of the Supabase project. The kubelet mounts the Secret into the sidecars;
    /// the operator never reads it. Two more keys of the Secret are optional: `ca.crt` has the certificates of a private
    /// authority in PEM form, and `proxy` the URL of an HTTP proxy. Sidecars use a changed Secret within about two minutes, without a restart. Pods start
    /// even if the Secret does not exist yet.
    pub secret_ref: SecretReference,
    /// Settings of the mirror. Running sidecars apply changes without a restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<Mirror>,
}

/// Refers to two keys of a Secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretReference {
    /// Name of a Secret in the same namespace.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key of the Secret that holds the URL of the project, such as `https://REF.supabase.co`. Default: `url`.
    #[serde(default = "url_key")]
    #[schemars(length(min = 1, max = 253))]
    pub url_key: String,
    /// Key of the Secret that holds the service key: a `service_role` JWT or an `sb_secret_…` key. Default: `key`. It must
    /// differ from `urlKey`.
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

/// Settings of the mirror.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Mirror {
    /// How long an ingest request waits until Supabase has the row, in order to return `dual_write.ok: true`. A duration
    /// from `0s` to `30s`, such as `500ms`. Default: `2s`. After the time-out the request succeeds with
    /// `dual_write.ok: false`, and the mirror sends the record later.
    #[serde(default = "ack_timeout")]
    #[schemars(length(max = 32))]
    pub ack_timeout: String,
    /// Maximum number of rows in one request to Supabase, from 1 to 500. Default: 500.
    #[serde(default = "batch_rows")]
    #[schemars(range(min = 1, max = 500))]
    pub batch_rows: i32,
    /// Tables that differ from those of the product's `schema.sql`, by record type: `project_build`, `build_queue_item`,
    /// `agent_health` or `audit_log`. Default: every record type has the table and the columns of `schema.sql`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 4))]
    pub tables: BTreeMap<String, MirrorTable>,
}

impl Default for Mirror {
    fn default() -> Self {
        Self {
            ack_timeout: ack_timeout(),
            batch_rows: batch_rows(),
            tables: BTreeMap::new(),
        }
    }
}

fn ack_timeout() -> String {
    "2s".to_owned()
}

fn batch_rows() -> i32 {
    500
}

/// When to prune the oldest records of a strand. A strand prunes whole segments as soon as one of the limits is exceeded.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Retention {
    /// Prunes records older than this. A duration of at least `1m`, such as `720h`; days are not a unit. A record can stay a
    /// quarter of this time longer, because the sidecar prunes whole segments. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub max_age: Option<String>,
    /// Prunes the oldest records of a strand when it uses more disk than this. A quantity from `1Mi` up to `storage.size`,
    /// such as `8Gi`. The storage engine's log uses about 20 MiB in addition. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub max_size: Option<String>,
}

/// Where the strands are stored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Storage {
    /// Size of the volume of each strand. A quantity of at least `64Mi`. Default: `10Gi`. It can be increased later if the
    /// storage class allows volume expansion; it can't be decreased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub size: Option<String>,
    /// Storage class of the volumes. Default: the cluster's default storage class. A change affects new strands only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub storage_class_name: Option<String>,
    /// Stores each strand in an `emptyDir` volume that is deleted with its pod, instead of on a persistent volume. Records that
    /// were not mirrored before the pod ended are lost. Allowed only in the phase `DualWrite` with `spec.supabase`, and
    /// not together with `size` or `storageClassName`. It can't be added or removed after creation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ephemeral: Option<Ephemeral>,
    /// Whether strands and their volume claims outlive the integration. Default: `Retain`.
    ///
    /// - `Retain`: they stay. A new integration with the same name uses them again.
    /// - `Delete`: Kubernetes deletes them together with the integration. The storage class decides what happens to the
    ///   volumes.
    #[serde(default)]
    pub reclaim: Reclaim,
}

/// Settings of strands that are deleted with their pods.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ephemeral {
    /// Maximum size of a strand on the disk of its node. A quantity of at least `64Mi`. Default: `1Gi`. The kubelet evicts a
    /// pod whose strand exceeds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub size_limit: Option<String>,
}

/// Whether strands outlive their integration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Reclaim {
    /// Strands and their volumes stay. A new integration with the same name uses them again.
    #[default]
    Retain,
    /// Strands and their claims are deleted. The storage class decides what happens to the volumes.
    Delete,
}

/// The sidecar container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sidecar {
    /// Image of the sidecar. Default: the image that the operator was installed with. A change updates running pods one at a
    /// time without restarting the application, and stops at the first sidecar that does not become ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub image: Option<String>,
    /// Requests and limits of the sidecar. Default: requests of 10m CPU and 32Mi memory, and limits of 1 CPU and 256Mi
    /// memory. Your value replaces the whole default. A change affects pods that are created afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
}

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
    /// Number of records that a return to `DualWrite` would mirror. Retention keeps them as long as there is a way back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unmirrored: Option<i64>,
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
