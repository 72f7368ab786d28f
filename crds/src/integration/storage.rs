//! Where the strands of an integration are stored, and how long.
//!
//! The doc comments become the text of `kubectl explain`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When to prune the oldest records of a strand. A strand prunes whole segments as soon as one of the limits is exceeded.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Retention {
    /// Whether a legal hold keeps every record of every strand of the integration, whatever the limits say. Default: `false`.
    /// While it is `true`, no sidecar prunes anything, and strands and their claims stay when the integration is deleted.
    /// Running sidecars obey it without a restart. `status.legalHold` says who changed it last. Not together with
    /// `storage.ephemeral`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hold: bool,
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
    /// Removes the payloads of old records of some types from the strand, by record type: `project_build`,
    /// `build_queue_item`, `agent_health` or `audit_log`. The header of each record stays until the limits above prune it, so
    /// that the chain and the log still verify; the record itself answers 410. The strand's own records keep their payloads.
    /// Default: payloads stay as long as their records.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 4))]
    pub types: BTreeMap<String, PayloadRetention>,
}

/// How long the payloads of one record type are kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PayloadRetention {
    /// Removes payloads older than this. A duration of at least `1m`, such as `168h`; days are not a unit. A payload can stay a
    /// quarter of this time longer, and where few records of the type lie among many others as long again, because the
    /// sidecar rewrites whole segments.
    #[schemars(length(max = 32))]
    pub max_age: String,
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
