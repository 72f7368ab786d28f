//! How a record type's Supabase table differs from the product's own: settings of the mirror, in an integration and in the
//! file of a sidecar without a cluster.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The record types, which name the tables' settings.
pub const RECORD_TYPES: [&str; 4] = [
    "project_build",
    "build_queue_item",
    "agent_health",
    "audit_log",
];

/// The product's own tables, in the order of the record types.
const TABLES: [&str; 4] = [
    "project_builds",
    "build_queue",
    "agent_health",
    "agent_audit_log",
];

/// Postgres cuts longer names.
const NAME_MAX_BYTES: usize = 63;

/// The table of one record type.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MirrorTable {
    /// Name of the table or view. Default: `project_builds`, `build_queue`, `agent_health` or `agent_audit_log`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub table: Option<String>,
    /// How records become rows. Default: `latest` if the table has a unique key on the columns of `key`, else `append`.
    ///
    /// - `append`: each record is a row of its own.
    /// - `latest`: there is one row for each key. A record changes the columns that it has a field for and leaves the
    ///   others alone; an older record never replaces a newer one. The table needs a unique key on the columns of `key`,
    ///   and the service key needs the rights to select, insert and update.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<MirrorMode>,
    /// The fields that name a row in the mode `latest`, separated by commas. Default: `build_id`, `queue_id` or `agent_id`;
    /// an `audit_log` has no default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub key: Option<String>,
    /// Columns that have another name than their field, as `field: column`. The fields are those of the record, also those
    /// that the record type does not define, and `payload`, `record_hash`, `strand`, `seq` and `ingested_at_ms`. Default:
    /// each column has the name of its field.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "columns")]
    pub columns: BTreeMap<String, String>,
}

/// How records become rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
// The schema has no description of its own, because it would replace the description of an optional field.
#[schemars(description = "")]
pub enum MirrorMode {
    /// Each record is a row of its own.
    Append,
    /// There is one row for each key.
    Latest,
}

impl MirrorTable {
    /// The fields of the key; empty for the record type's own.
    pub fn key_fields(&self) -> Vec<String> {
        let fields = self.key.iter().flat_map(|key| key.split(','));
        fields.map(|field| field.trim().to_owned()).collect()
    }

    /// Whether the table, the columns and the fields of the key have names that need no quotes.
    pub fn names_are_plain(&self) -> bool {
        self.table.iter().all(|name| is_name(name))
            && self.columns.values().all(|name| is_name(name))
            && self.key_fields().iter().all(|name| is_name(name))
    }

    /// Whether no column is there for two fields.
    pub fn columns_differ(&self) -> bool {
        let mut columns: Vec<&String> = self.columns.values().collect();
        columns.sort_unstable();
        columns.windows(2).all(|pair| pair.first() != pair.last())
    }
}

/// Name of the table of a record type: the one of the settings, or the product's own. `None` for what is no record type.
pub fn table_of<'a>(
    record_type: &str,
    settings: &'a BTreeMap<String, MirrorTable>,
) -> Option<&'a str> {
    let known = RECORD_TYPES.iter().zip(TABLES);
    let own = || known.into_iter().find(|(name, _)| **name == record_type);
    let named = settings.get(record_type).and_then(|it| it.table.as_deref());
    named.or_else(|| Some(own()?.1))
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    let first = bytes.next();
    name.len() <= NAME_MAX_BYTES
        && first.is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// The schema of `columns`, with the bounds that the API server needs to estimate the cost of rules.
fn columns(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "maxProperties": 32,
        "additionalProperties": {"type": "string", "maxLength": NAME_MAX_BYTES},
    })
}
