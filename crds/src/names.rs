//! Every name that two programs, or a program and a manifest, must agree on: each string once.

/// The API group of both resources, and the prefix of our labels and annotations.
pub const GROUP: &str = "boboyka.sapixdb.com";
/// Their version.
pub const VERSION: &str = "v1alpha1";

/// Label of a pod: the integration that it belongs to. Pods with it get a sidecar; on our own objects it says whose
/// they are.
pub const INTEGRATION_LABEL: &str = "boboyka.sapixdb.com/integration";
/// Annotation of a pod: what ties it to its strand's holder until it has a UID.
pub const TOKEN_ANNOTATION: &str = "boboyka.sapixdb.com/admission";
/// Annotation of a workload whose pods the operator labelled: the integration whose selector asked for it.
pub const SELECTED_ANNOTATION: &str = "boboyka.sapixdb.com/selected-by";
/// Annotation of a pod: the sidecar's image that it runs, or is being moved to.
pub const IMAGE_ANNOTATION: &str = "boboyka.sapixdb.com/sidecar-image";
/// Annotation of a pod whose sidecar is being moved to another image: since when.
pub const UPDATING_ANNOTATION: &str = "boboyka.sapixdb.com/sidecar-updating-since";
/// Annotation of such a pod: the id of the container that is to be replaced.
pub const UPDATING_FROM_ANNOTATION: &str = "boboyka.sapixdb.com/sidecar-updating-from";
/// Annotation of a claim: the pods that its strand is for, as `KIND/NAME/KEY`; none when any pod may take it.
pub const SLOT_ANNOTATION: &str = "boboyka.sapixdb.com/slot";
/// Label of a claim: the name of its strand.
pub const STRAND_LABEL: &str = "boboyka.sapixdb.com/strand";
/// Annotation of a pod, set at its admission: the name of the strand that it was given.
pub const STRAND_ANNOTATION: &str = "boboyka.sapixdb.com/strand";
/// Label of a Job, and of its pod, that drains a strand nobody holds.
pub const DRAIN_LABEL: &str = "boboyka.sapixdb.com/drain";

/// Field manager of the operator.
pub const OPERATOR_MANAGER: &str = "boboyka-operator";
/// Field manager of the label that a `workloadSelector` puts on a workload.
pub const SELECTOR_MANAGER: &str = "boboyka-operator-selector";
/// Field manager of a sidecar.
pub const SIDECAR_MANAGER: &str = "boboyka-sidecar";

/// The sidecar's container in a pod.
pub const CONTAINER: &str = "boboyka-sidecar";
/// Its volumes in a pod: the strand, Supabase's Secret, the token for the API server.
pub const STRAND_VOLUME: &str = "boboyka-strand";
/// Supabase's Secret, with the files `url` and `key`.
pub const SUPABASE_VOLUME: &str = "boboyka-supabase";
/// The pod-bound token for the API server.
pub const TOKEN_VOLUME: &str = "boboyka-token";

/// Environment of the sidecar: the namespace it is in.
pub const NAMESPACE_VARIABLE: &str = "BOBOYKA_NAMESPACE";
/// Environment of the sidecar: its integration.
pub const INTEGRATION_VARIABLE: &str = "BOBOYKA_INTEGRATION";
/// Environment of the sidecar: its strand.
pub const STRAND_VARIABLE: &str = "BOBOYKA_STRAND";
/// Environment of the sidecar: its pod's UID.
pub const POD_UID_VARIABLE: &str = "BOBOYKA_POD_UID";

/// Environment of the sidecar: the folder with Supabase's URL and key.
pub const SUPABASE_DIR_VARIABLE: &str = "BOBOYKA_SUPABASE_DIR";
/// Environment of the sidecar: where the strand lies.
pub const DATA_DIR_VARIABLE: &str = "BOBOYKA_DATA_DIR";
/// Environment of the sidecar: the address of liveness, readiness and metrics.
pub const OBSERVE_VARIABLE: &str = "BOBOYKA_OBSERVE";
/// Environment of the sidecar: for so many seconds after the signal to end it goes on mirroring what is left.
pub const DRAIN_SECONDS_VARIABLE: &str = "BOBOYKA_DRAIN_SECONDS";

/// The port of liveness, readiness and metrics.
pub const OBSERVE_PORT: u16 = 7476;

/// Claims on strands' volumes begin with it; no other pod may mount them.
pub const CLAIM_PREFIX: &str = "boboyka-strand-";

/// The `ClusterRole` with what a sidecar may do in its namespace.
pub const SIDECAR_ROLE: &str = "boboyka-sidecar";
/// The configuration by which the API server calls the operator for labelled pods.
pub const WEBHOOK: &str = "boboyka-operator";

/// The claim on a strand's volume.
pub fn claim_of(strand: &str) -> String {
    format!("{CLAIM_PREFIX}{strand}")
}
