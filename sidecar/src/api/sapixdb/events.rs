//! The text of server-sent events.

use boboyka_store::Missing;
use boboyka_strand::record::field;
use boboyka_strand::{Block, Hash};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::delete::taken_back;
use super::scope::{Scope, is_record};
use super::wire::DataJson;
use crate::api::schema::{Data, HashText, Id};
use crate::api::stream::frame;

/// Tells a silent connection from a broken one; the client drops it.
pub(super) const HEARTBEAT: &str = "event: heartbeat\ndata: {}\n\n";
const MISSING: &str = "missing";

/// The client's event, and what it does not read.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SapixdbEvent")]
pub(super) struct EventJson<'a> {
    agent_id: &'a str,
    event_type: &'static str,
    #[schemars(with = "Id")]
    record_id: Uuid,
    #[schemars(with = "HashText")]
    content_hash: Hash,
    timestamp_ms: u64,
    #[schemars(with = "Option<Data>")]
    payload: Option<DataJson<'a>>,
    timestamp_hlc: u64,
    seq: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "HashText")]
    original_hash: Option<Hash>,
    /// Retention removed the payload.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    payload_gone: bool,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SapixdbMissing")]
pub(super) struct MissingEvent<'a> {
    event_type: &'static str,
    first_seq: u64,
    last_seq: u64,
    why: &'a str,
}

/// The data of an event.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "SapixdbStreamData")]
pub(super) enum StreamData<'a> {
    /// Of `record` and `tombstone`.
    Event(EventJson<'a>),
    /// Of `missing`.
    Missing(MissingEvent<'a>),
}

/// Adds the event of a block, if there is one. `filter` is a field that a record must have.
pub(super) fn put(
    block: &Block,
    filter: Option<&str>,
    text: &mut Vec<u8>,
) -> serde_json::Result<()> {
    let original_hash = taken_back(block);
    let event_type = match original_hash {
        Some(_) => "tombstone",
        None if is_record(block) => "record",
        // What was restored has an event of its own.
        None => return Ok(()),
    };
    let is_record = original_hash.is_none();
    // Of one that is gone nobody can tell whether it had the field.
    let has_field = |name| block.is_gone() || field(&block.payload, name).is_some();
    if is_record && !filter.is_none_or(has_field) {
        return Ok(());
    }
    let header = &block.header;
    let hlc = header.timestamp_hlc;
    let event = EventJson {
        agent_id: Scope::of(block),
        event_type,
        record_id: header.record_id,
        content_hash: block.hash,
        timestamp_ms: hlc.ms(),
        payload: (is_record && !block.is_gone()).then_some(DataJson(block)),
        timestamp_hlc: hlc.get(),
        seq: header.seq,
        original_hash,
        payload_gone: block.is_gone(),
    };
    let event = StreamData::Event(event);
    frame::event(text, event_type, Some(hlc.get()), &event)
}

/// Adds an event that says what the reader does not get.
pub(super) fn put_missing(missing: &Missing, text: &mut Vec<u8>) -> serde_json::Result<()> {
    let event = MissingEvent {
        event_type: MISSING,
        first_seq: missing.first_seq,
        last_seq: missing.last_seq,
        why: &missing.why,
    };
    frame::event(text, MISSING, None, &StreamData::Missing(event))
}
