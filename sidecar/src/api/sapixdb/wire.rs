//! JSON as SapixDB's published client reads and writes it. What the client does not know comes after what it does.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use boboyka_store::{Appended, Missing};
use boboyka_strand::{Block, CallerJson, Hash, PayloadJson, RecordType};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::scope::{Scope, is_record};
use crate::api::schema::{Data, Document, HashText, Id};
use crate::api::wire::MissingJson;

/// What a writer posts.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "SapixdbWrite")]
pub(super) struct WriteBody<'a> {
    #[schemars(with = "Document")]
    #[serde(borrow)]
    pub(super) data: &'a RawValue,
}

/// The answer to a write.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SapixdbWritten")]
pub(super) struct WriteJson {
    #[schemars(with = "Id")]
    record_id: Uuid,
    #[schemars(with = "HashText")]
    content_hash: Hash,
    /// This record was the head when it was written.
    #[schemars(with = "HashText")]
    chain_head: Hash,
    /// There are no contracts here.
    codios_verified: Option<bool>,
    codios_mode: &'static str,
    codios_contract_id: Option<String>,
    seq: u64,
}

impl From<&Appended> for WriteJson {
    fn from(appended: &Appended) -> Self {
        Self {
            record_id: appended.record_id,
            content_hash: appended.hash,
            chain_head: appended.hash,
            codios_verified: None,
            codios_mode: "open",
            codios_contract_id: None,
            seq: appended.seq,
        }
    }
}

/// A record.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SapixdbRecord")]
pub(super) struct RecordJson<'a> {
    #[schemars(with = "Id")]
    record_id: Uuid,
    #[schemars(with = "HashText")]
    content_hash: Hash,
    #[schemars(with = "HashText")]
    parent_hash: Hash,
    timestamp_hlc: u64,
    timestamp_ms: u64,
    /// The bytes that the hash covers.
    payload_b64: String,
    #[schemars(with = "Option<Data>")]
    payload: Option<DataJson<'a>>,
    flags: u8,
    schema_version: u16,
    seq: u64,
    agent_id: &'a str,
    /// Retention removed the payload.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    payload_gone: bool,
}

impl<'a> From<&'a Block> for RecordJson<'a> {
    fn from(block: &'a Block) -> Self {
        let header = &block.header;
        Self {
            record_id: header.record_id,
            content_hash: block.hash,
            parent_hash: header.parent_hash,
            timestamp_hlc: header.timestamp_hlc.get(),
            timestamp_ms: header.timestamp_hlc.ms(),
            payload_b64: STANDARD.encode(&block.payload),
            payload: (is_record(block) && !block.is_gone()).then_some(DataJson(block)),
            flags: header.flags.bits(),
            schema_version: header.schema_version,
            seq: header.seq,
            agent_id: Scope::of(block),
            payload_gone: block.is_gone(),
        }
    }
}

/// What the caller wrote.
pub(super) struct DataJson<'a>(pub(super) &'a Block);

impl Serialize for DataJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let payload = &self.0.payload;
        if self.0.header.record_type == RecordType::Document {
            return CallerJson(payload).serialize(serializer);
        }
        PayloadJson(payload).serialize(serializer)
    }
}

/// Records, and what could not be read between them.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SapixdbRecords")]
pub(super) struct RecordsJson<'a> {
    pub(super) records: Vec<RecordJson<'a>>,
    pub(super) missing: Vec<MissingJson>,
    /// Whether some that belong to the answer are left out, because it would be too long.
    pub(super) truncated: bool,
}

impl<'a> RecordsJson<'a> {
    pub(super) fn new(blocks: &'a [Block], missing: Vec<Missing>, truncated: bool) -> Self {
        Self {
            records: blocks.iter().map(RecordJson::from).collect(),
            missing: missing.into_iter().map(MissingJson::from).collect(),
            truncated,
        }
    }
}

/// How many records there are.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SapixdbCount")]
pub(super) struct CountJson {
    pub(super) count: usize,
    pub(super) missing: Vec<MissingJson>,
}
