//! What a strand's sidecar finds in Supabase: how the tables differ from the strand, and rows that no strand wrote.
//!
//! The doc comments become the text of `kubectl explain`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a table differs from the strand: the result of comparing both, row by row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Parity {
    /// Sequence number up to which every record of the lane has been compared.
    pub up_to: i64,
    /// Every one of these records was compared at this time or later.
    pub checked_at: Time,
    /// Generation of the change of phase that waits, if every one of these records was compared after the strand's boundary for it was fixed.
    /// Absent while that is not so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
    /// Number of records that the table should have and has not.
    #[schemars(range(min = 0))]
    pub missing: i64,
    /// Number of rows that have other values than the strand wrote.
    #[schemars(range(min = 0))]
    pub changed: i64,
    /// Number of rows that carry the id of the strand and are none of its records.
    #[schemars(range(min = 0))]
    pub extra: i64,
    /// Number of rows beyond the first of one record.
    #[schemars(range(min = 0))]
    pub doubled: i64,
    /// Columns that the mirror fills and that can't be compared: what they hold may differ.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 63)))]
    pub unchecked_columns: Vec<String>,
}

/// Rows in Supabase that no strand wrote: somebody still has a write path of their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ForeignWrites {
    /// Rows that were written before this time are not counted: the mirror had not begun.
    pub since: Time,
    /// Every table was looked at at this time or later.
    pub checked_at: Time,
    /// Generation of the change of phase that waits, if every table was looked at after the strand's boundary for it was fixed.
    /// Absent while that is not so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
    /// The tables of the mirror that have such rows. Empty if there are none.
    #[schemars(length(max = 16))]
    pub tables: Vec<ForeignTable>,
}

/// The foreign rows of one table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ForeignTable {
    /// Name of the table.
    #[schemars(length(max = 63))]
    pub table: String,
    /// Number of foreign rows.
    #[schemars(range(min = 1))]
    pub rows: i64,
    /// The newest of them was written at this time or before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest_at: Option<Time>,
    /// For how long nobody has written such a row: by the clock of the database until the sidecar looked first, and since then
    /// by a clock that never jumps. Sidecars of earlier versions don't say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub quiet_seconds: Option<i64>,
    /// Keys of some of them, newest first, as `COLUMN=VALUE`. Other columns are never shown.
    #[schemars(length(max = 10), inner(length(max = 128)))]
    pub sample: Vec<String>,
}
