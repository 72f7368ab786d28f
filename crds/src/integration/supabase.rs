//! The Supabase project of an integration, and the mirror to it.
//!
//! The doc comments become the text of `kubectl explain`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::table::MirrorTable;

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
