//! A step that was made, and the end of the migration.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::gate::{Gate, GateName};
use crate::phase::Phase;

/// A force, and the generation that it counts for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TakenForce {
    /// Generation of the specification in which it was set. It counts for no later one.
    pub generation: i64,
    /// Names of the gates.
    #[schemars(length(max = 7))]
    pub gates: Vec<GateName>,
    /// Why.
    pub reason: String,
    /// Who set it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// The last change of the phase, or the end of the migration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// Phase before.
    pub from: Phase,
    /// Phase in force since then.
    pub to: Phase,
    /// Whether it was the end of the migration.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub finalized: bool,
    /// Generation of the specification that requested it.
    pub generation: i64,
    /// When it was made.
    pub at: Time,
    /// Who requested it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The gates as they were then. None on the way back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<Gate>,
    /// The force that it took, if it took one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force: Option<TakenForce>,
    /// Digest of the evidence: the BLAKE3 hash of the gates, each as the line `NAME STATE MESSAGE` with a line feed, where the
    /// state is `passed`, `forced` or `closed`. Every strand records it.
    pub evidence: String,
}

/// The end of the migration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Finalized {
    /// Generation of the specification that requested it.
    pub generation: i64,
    /// Since when there is no way back.
    pub at: Time,
    /// Who requested it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Digest of the evidence.
    pub evidence: String,
}

/// What the end of the migration makes irreversible. `unmirrored` counts the records that Supabase does not have, and `bytes` what
/// the segments take that hold them, where that is known.
pub fn notice(unmirrored: Option<i64>, bytes: Option<i64>) -> String {
    let size = bytes.map(|bytes| format!(" (segments of {bytes} bytes)"));
    let size = size.unwrap_or_default();
    let records = match unmirrored {
        Some(1) => format!("1 record that Supabase does not have{size} is"),
        Some(count) => format!("{count} records that Supabase does not have{size} are"),
        None => {
            "the records that Supabase does not have, whose number is not known, are".to_owned()
        }
    };
    format!(
        "there will be no way back to an earlier phase; {records} no longer kept for one, and retention may prune them; new pods \
         no longer mount the Secret of Supabase; this can't be undone"
    )
}
