//! What the strand's resource says to its sidecar.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

/// What the strand's resource says to its sidecar.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Assignment {
    /// The generation of the specification that says this.
    pub(crate) generation: Option<i64>,
    /// The pod that holds the strand: only its sidecar reports.
    pub(crate) holder_uid: Option<String>,
    /// The claim of its volume.
    pub(crate) claim: Claim,
    /// The seq whose block the operator wants to see again.
    pub(crate) witnessed_seq: Option<u64>,
    /// Whether its sidecar counts foreign writes for the whole integration.
    pub(crate) counts_foreign_writes: bool,
    /// What was reported last, perhaps by an earlier holder: since when things are as they are.
    pub(crate) conditions: Vec<Condition>,
}

/// The claim of a strand's volume.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Claim {
    /// The resource does not say it, or not yet.
    #[default]
    Unknown,
    /// The strand is ephemeral.
    None,
    /// The claim's UID, as the operator recorded it.
    Uid(String),
}
