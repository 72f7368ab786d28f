//! `BoboykaIntegration`: the specification that a platform team writes, and the status that the operator writes.
//!
//! The doc comments become the text of `kubectl explain`: they are written for readers who know Kubernetes and not this
//! code.

mod status;
mod storage;
mod supabase;

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use self::status::conditions;
pub use self::status::{IntegrationStatus, StrandCounts};
pub use self::storage::{Ephemeral, PayloadRetention, Reclaim, Retention, Storage};
pub use self::supabase::{Mirror, SecretReference, Supabase};
use crate::archive::Archive;
use crate::audit::Audit;
use crate::migration::Migration;
use crate::phase::Phase;

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
    printcolumn = r#"{"name":"Legacy","type":"integer","jsonPath":".status.migration.legacy.listed","description":"Legacy projects on the list: still mirrored to Supabase","priority":1}"#,
    printcolumn = r#"{"name":"Message","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].message","priority":1}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct BoboykaIntegrationSpec {
    /// The requested phase of the migration. Default: `DualWrite`.
    ///
    /// - `DualWrite`: the sidecars mirror every record to Supabase.
    /// - `MigrateInternals`: the strand is the only source of truth; new records are not mirrored, but for those of
    ///   legacy projects, which `migration` names.
    /// - `CutOver`: SapixDB only. New records are mirrored as in `MigrateInternals`.
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
    /// Where the strands are archived: each sidecar copies its sealed segments there, and retention prunes only what it has seen there.
    /// Default: nowhere. Running sidecars apply changes without a restart, but for the Secret. A strand is archived while a pod
    /// holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<Archive>,
    /// Pauses the operator's work on this integration. Default: `false`. While it is `true`, the operator changes no phase,
    /// labels no workload, updates no sidecar image and starts no drain Job. New pods still get a sidecar, and running
    /// sidecars continue to accept and mirror records. The workloads that `workloadSelector` matches stay with this integration:
    /// a younger one does not get them.
    #[serde(default)]
    pub suspend: bool,
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
