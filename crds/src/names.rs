//! Names that operator, sidecar and manifests share. Each string stands here once.

/// API group of both resources, and prefix of the labels and annotations.
pub const GROUP: &str = "boboyka.sapixdb.com";
/// API version of both resources.
pub const VERSION: &str = "v1alpha1";

/// Label of a pod: the name of its integration. Pods with this label get a sidecar. Objects that the operator creates
/// carry it too.
pub const INTEGRATION_LABEL: &str = "boboyka.sapixdb.com/integration";
/// Annotation of a pod: the token whose hash stands in `spec.holder.token` of its strand. It identifies the pod before the
/// pod has a UID.
pub const TOKEN_ANNOTATION: &str = "boboyka.sapixdb.com/admission";
/// Annotation of a workload whose pod template the operator labelled: the integration whose selector matches it.
pub const SELECTED_ANNOTATION: &str = "boboyka.sapixdb.com/selected-by";
/// Annotation of a pod: the image that its sidecar runs or is being updated to.
pub const IMAGE_ANNOTATION: &str = "boboyka.sapixdb.com/sidecar-image";
/// Annotation of a pod whose sidecar is being updated: the start of the update.
pub const UPDATING_ANNOTATION: &str = "boboyka.sapixdb.com/sidecar-updating-since";
/// Annotation of a pod whose sidecar is being updated: the id of the container that the update replaces.
pub const UPDATING_FROM_ANNOTATION: &str = "boboyka.sapixdb.com/sidecar-updating-from";
/// Annotation of a claim and of a pod: the slot of its strand, as `KIND/NAME/KEY`. Absent when any pod may take the strand.
pub const SLOT_ANNOTATION: &str = "boboyka.sapixdb.com/slot";
/// Label of a claim: the name of its strand.
pub const STRAND_LABEL: &str = "boboyka.sapixdb.com/strand";
/// Annotation of a pod, set at its admission: the name of its strand.
pub const STRAND_ANNOTATION: &str = "boboyka.sapixdb.com/strand";
/// Annotation of the webhook configuration: the path by which API servers will call the operator next.
pub const NEXT_PATH_ANNOTATION: &str = "boboyka.sapixdb.com/next-path";
/// Annotation of the webhook configuration: since when its paths are as they are.
pub const PATH_SINCE_ANNOTATION: &str = "boboyka.sapixdb.com/path-since";
/// Annotation of a pod, set at its admission: its workload, as `KIND/NAME`.
pub const WORKLOAD_ANNOTATION: &str = "boboyka.sapixdb.com/workload";
/// Annotation of a pod template, by its author: the ways in which others may reach the sidecar, separated by commas:
/// `hostNetwork`, `shareProcessNamespace` and `hostPort`.
pub const ALLOW_ANNOTATION: &str = "boboyka.sapixdb.com/allow";
/// Annotation of an integration: who made this generation of its specification, as `GENERATION USER`. Only admission sets it.
pub const CHANGED_BY_ANNOTATION: &str = "boboyka.sapixdb.com/changed-by";
/// The plural of integrations, as requests to the API server spell it.
pub const INTEGRATIONS: &str = "boboykaintegrations";
/// The plural of strands.
pub const STRANDS: &str = "boboykastrands";
/// Annotation of a StatefulSet: when a fence was lifted that one of its pods waited for. A change of it makes the controller try
/// again.
pub const UNFENCED_ANNOTATION: &str = "boboyka.sapixdb.com/unfenced-at";
/// Label of a Job of the operator and of its pod: the name of the strand that the Job works on. It is called after the first
/// work that there was.
pub const JOB_LABEL: &str = "boboyka.sapixdb.com/drain";

/// Annotation of a pod, set at its admission: a hash of the Secrets and the resources that its sidecar got.
pub const SETTINGS_ANNOTATION: &str = "boboyka.sapixdb.com/sidecar-settings";
/// Annotation of a Job of the operator: a hash of what it takes from the integration, such as the Secret that it mounts.
pub const JOB_SETTINGS_ANNOTATION: &str = "boboyka.sapixdb.com/drain-settings";

/// Field manager of the operator.
pub const OPERATOR_MANAGER: &str = "boboyka-operator";
/// Field manager of what replicas write into the webhook configuration: their CA bundle and their path.
pub const WEBHOOK_MANAGER: &str = "boboyka-operator-webhook";
/// Field manager of the label that a `workloadSelector` adds to a workload.
pub const SELECTOR_MANAGER: &str = "boboyka-operator-selector";
/// Field manager of the sidecars.
pub const SIDECAR_MANAGER: &str = "boboyka-sidecar";

/// Name of the sidecar container in a pod.
pub const CONTAINER: &str = "boboyka-sidecar";
/// Volume of a pod: its strand.
pub const STRAND_VOLUME: &str = "boboyka-strand";
/// Volume of a pod: the Secret for Supabase, as the files `url` and `key`.
pub const SUPABASE_VOLUME: &str = "boboyka-supabase";
/// Volume of a pod: the Secret of its archive.
pub const ARCHIVE_VOLUME: &str = "boboyka-archive";
/// Volume of a pod: the pod-bound token for the API server.
pub const TOKEN_VOLUME: &str = "boboyka-token";

/// Environment variable of the sidecar: its namespace.
pub const NAMESPACE_VARIABLE: &str = "BOBOYKA_NAMESPACE";
/// Environment variable of the sidecar: the name of its integration.
pub const INTEGRATION_VARIABLE: &str = "BOBOYKA_INTEGRATION";
/// Environment variable of the sidecar: the name of its strand.
pub const STRAND_VARIABLE: &str = "BOBOYKA_STRAND";
/// Environment variable of the sidecar: the UID of its pod.
pub const POD_UID_VARIABLE: &str = "BOBOYKA_POD_UID";

/// Environment variable of the sidecar: the folder with the files `url` and `key` for Supabase.
pub const SUPABASE_DIR_VARIABLE: &str = "BOBOYKA_SUPABASE_DIR";
/// Environment variable of the sidecar: the folder that has the Secret of its archive as a folder with the Secret's name.
pub const ARCHIVE_SECRETS_VARIABLE: &str = "BOBOYKA_ARCHIVE_SECRETS";
/// Environment variable of the sidecar: the data folder of the strand.
pub const DATA_DIR_VARIABLE: &str = "BOBOYKA_DATA_DIR";
/// Environment variable of the sidecar: the address of the health port.
pub const OBSERVE_VARIABLE: &str = "BOBOYKA_OBSERVE";
/// Environment variable of the sidecar: how long to continue mirroring after the termination signal, in seconds.
pub const DRAIN_SECONDS_VARIABLE: &str = "BOBOYKA_DRAIN_SECONDS";

/// The health port of the sidecar: liveness, readiness and metrics.
pub const OBSERVE_PORT: u16 = 7476;

/// What the origins of all strands' logs begin with; the strand's UUID and the number of the incarnation follow.
pub const ORIGINS: &str = "boboyka.sapixdb.com/strands";

/// Prefix of the names of strand claims. Admission policies protect every claim with this prefix.
pub const CLAIM_PREFIX: &str = "boboyka-strand-";

/// Name of the `ClusterRole` with the permissions of a sidecar.
pub const SIDECAR_ROLE: &str = "boboyka-sidecar";
/// Name of the `MutatingWebhookConfiguration` that calls the operator for labelled pods.
pub const WEBHOOK: &str = "boboyka-operator";

/// Returns the name of the history of an integration: the strand that a backfill fills. No other strand can have it, because the
/// names of all others end with more or with less than these seven letters.
pub fn history_of(integration: &str) -> String {
    format!("{integration}-history")
}

/// Returns the name of the claim of a strand.
pub fn claim_of(strand: &str) -> String {
    format!("{CLAIM_PREFIX}{strand}")
}
