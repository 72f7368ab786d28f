//! What the strand's resource says to its sidecar.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

/// What the strand's resource says to its sidecar.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Assignment {
    /// The generation of the specification that says this.
    pub(crate) generation: Option<i64>,
    /// The pod that holds the strand: only its sidecar reports.
    pub(crate) holder_uid: Option<String>,
    /// The seq whose block the operator wants to see again.
    pub(crate) witnessed_seq: Option<u64>,
    /// What was reported last, perhaps by an earlier holder: since when things are as they are.
    pub(crate) conditions: Vec<Condition>,
}
