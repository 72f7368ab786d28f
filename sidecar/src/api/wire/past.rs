//! The past in JSON: states, histories, counts, and the head that each was computed at.

use boboyka_store::Version;
use boboyka_strand::{Hash, Head, PayloadJson, RecordType, Seq};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::counts::EventCounts;
use super::missing::MissingJson;
use crate::api::schema::{Data, HashText, Id, Kind};

/// The head that an answer was computed at: whoever has another one at this seq has another strand.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Head")]
pub(crate) struct HeadJson {
    seq: Seq,
    #[schemars(with = "HashText")]
    hash: Hash,
}

impl From<&Head> for HeadJson {
    fn from(head: &Head) -> Self {
        Self {
            seq: head.seq,
            hash: head.hash,
        }
    }
}

/// A version of a key.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Version")]
pub(crate) struct VersionJson<'a> {
    #[schemars(with = "HashText")]
    record_hash: Hash,
    seq: Seq,
    ingested_at_ms: u64,
    #[schemars(with = "Id")]
    record_id: Uuid,
    /// Whether the record had been taken back.
    tombstone: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Data")]
    data: Option<PayloadJson<'a>>,
    /// `true` where there would be `data`, but retention removed the payload.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    payload_gone: bool,
    /// A `.tlog-proof`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    proof: Option<String>,
}

impl<'a> VersionJson<'a> {
    pub(crate) fn new(version: &'a Version, tombstone: bool, with_data: bool) -> Self {
        let (block, header) = (&version.block, &version.block.header);
        Self {
            record_hash: block.hash,
            seq: header.seq,
            ingested_at_ms: header.timestamp_hlc.ms(),
            record_id: header.record_id,
            tombstone,
            data: (with_data && !block.is_gone()).then_some(PayloadJson(&block.payload)),
            payload_gone: with_data && block.is_gone(),
            proof: None,
        }
    }

    /// The same with the `.tlog-proof` of its record.
    pub(crate) fn proven(self, proof: Option<String>) -> Self {
        Self { proof, ..self }
    }

    /// The same with its key.
    pub(crate) fn keyed(self, version: &'a Version) -> KeyedJson<'a> {
        KeyedJson {
            key: &version.key,
            version: self,
        }
    }
}

/// A version with its key.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "KeyedVersion")]
pub(crate) struct KeyedJson<'a> {
    key: &'a str,
    #[serde(flatten)]
    version: VersionJson<'a>,
}

/// The state of a key.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "State")]
pub(crate) struct StateJson<'a> {
    #[schemars(with = "Kind")]
    pub(crate) record_type: RecordType,
    pub(crate) key: &'a str,
    #[serde(flatten)]
    pub(crate) version: VersionJson<'a>,
    pub(crate) head: HeadJson,
    /// The newest pruned record; 0 if none was.
    pub(crate) floor: Seq,
    /// What can't be known: there may be a newer version in it.
    pub(crate) missing: Vec<MissingJson>,
}

/// A page of the versions of a key.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "History")]
pub(crate) struct HistoryJson<'a> {
    #[schemars(with = "Kind")]
    pub(crate) record_type: RecordType,
    pub(crate) key: &'a str,
    pub(crate) versions: Vec<VersionJson<'a>>,
    pub(crate) next_cursor: Option<String>,
    pub(crate) head: HeadJson,
    pub(crate) floor: Seq,
    pub(crate) missing: Vec<MissingJson>,
}

/// A page of the states of a type.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "States")]
pub(crate) struct StatesJson<'a> {
    #[schemars(with = "Kind")]
    pub(crate) record_type: RecordType,
    pub(crate) states: Vec<KeyedJson<'a>>,
    pub(crate) next_cursor: Option<String>,
    pub(crate) head: HeadJson,
    pub(crate) floor: Seq,
    pub(crate) missing: Vec<MissingJson>,
}

/// Records of each type up to a head.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Counts")]
pub(crate) struct CountsJson {
    pub(crate) event_counts: EventCounts,
    pub(crate) total_events: u64,
    pub(crate) head: HeadJson,
    pub(crate) floor: Seq,
    pub(crate) missing: Vec<MissingJson>,
}
