//! JSON exactly as the public page prints it: names and their order. What the page does not have
//! comes after what it has. Types of other crates have their JSON here too, so that no store on a disk
//! depends on it: the strand in `strand`, the mirror in `mirror`, the file of the integration in `integration`.

mod archive;
mod counts;
mod integration;
mod mirror;
mod missing;
mod past;
mod phase;
mod strand;

use std::borrow::Cow;

use crate::api::schema::{Data, HashText, Id, Kind, Traceparent};
use boboyka_mirror::Outcome;
use boboyka_store::Appended;
use boboyka_strand::{Block, Hash, PayloadJson, RecordType, Seq};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

pub(super) use self::archive::ArchiveJson;
pub(super) use self::counts::EventCounts;
pub(super) use self::mirror::{
    CheckJson, ForeignJson, LaneJson, RepairJson, RetryJson, lane_statuses,
};
pub(super) use self::missing::MissingJson;
pub(super) use self::past::{
    CountsJson, HeadJson, HistoryJson, StateJson, StatesJson, VersionJson,
};
pub(super) use self::phase::phase_text;
pub(super) use self::strand::{ClockJson, LogStatus, Status, StrandStatus, VerdictJson};

/// What a caller posts.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IngestRequest<'a> {
    #[serde(borrow)]
    pub(super) record_type: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) data: &'a RawValue,
    #[serde(borrow, default)]
    pub(super) idempotency_key: Option<Cow<'a, str>>,
}

/// What answers here.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Greeting {
    pub(super) name: &'static str,
    pub(super) version: &'static str,
}

/// What became of the copy to Supabase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct DualWrite {
    pub(super) enabled: bool,
    pub(super) ok: Option<bool>,
    pub(super) error: Option<String>,
}

impl From<Outcome> for DualWrite {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Disabled => Self {
                enabled: false,
                ok: None,
                error: None,
            },
            Outcome::Mirrored => Self {
                enabled: true,
                ok: Some(true),
                error: None,
            },
            Outcome::Queued { reason } | Outcome::DeadLettered { reason } => Self {
                enabled: true,
                ok: Some(false),
                error: Some(reason),
            },
        }
    }
}

/// The answer to a record.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(super) struct Receipt {
    #[schemars(with = "HashText")]
    record_hash: Hash,
    #[schemars(with = "Kind")]
    record_type: RecordType,
    ingested_at_ms: u64,
    dual_write: DualWrite,
    seq: Seq,
    #[schemars(with = "HashText")]
    prev_hash: Hash,
    #[schemars(with = "Id")]
    record_id: Uuid,
    /// The trace that the request belongs to; only in the answer to the request that writes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Traceparent")]
    traceparent: Option<boboyka_otlp::Traceparent>,
}

impl Receipt {
    pub(super) fn new(appended: &Appended, dual_write: DualWrite) -> Self {
        Self {
            record_hash: appended.hash,
            record_type: appended.record_type,
            ingested_at_ms: appended.ms,
            dual_write,
            seq: appended.seq,
            prev_hash: appended.parent_hash,
            record_id: appended.record_id,
            traceparent: None,
        }
    }

    pub(super) fn of_trace(mut self, traceparent: Option<boboyka_otlp::Traceparent>) -> Self {
        self.traceparent = traceparent;
        self
    }
}

/// An element of the events feed.
#[derive(Serialize, JsonSchema)]
pub(super) struct Event<'a> {
    #[schemars(with = "HashText")]
    record_hash: Hash,
    #[schemars(with = "Kind")]
    record_type: RecordType,
    ingested_at_ms: u64,
    dual_write_ok: Option<bool>,
    dual_write_error: Option<String>,
    seq: Seq,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Data")]
    data: Option<PayloadJson<'a>>,
    /// `true` where there would be `data`, but retention removed the payload.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    payload_gone: bool,
}

impl<'a> Event<'a> {
    pub(super) fn new(block: &'a Block, outcome: Outcome, with_data: bool) -> Self {
        let DualWrite {
            enabled: _,
            ok,
            error,
        } = outcome.into();
        Self {
            record_hash: block.hash,
            record_type: block.header.record_type,
            ingested_at_ms: block.header.timestamp_hlc.ms(),
            dual_write_ok: ok,
            dual_write_error: error,
            seq: block.header.seq,
            data: (with_data && !block.is_gone()).then_some(PayloadJson(&block.payload)),
            payload_gone: with_data && block.is_gone(),
        }
    }
}

/// A page of the events feed.
#[derive(Serialize, JsonSchema)]
#[allow(
    clippy::struct_field_names,
    reason = "the field has its name on the public page"
)]
pub(super) struct Events<'a> {
    pub(super) events: Vec<Event<'a>>,
    pub(super) next_cursor: Option<String>,
    pub(super) missing: Vec<MissingJson>,
    pub(super) head: HeadJson,
}

/// A record with all that its hash covers.
#[derive(Serialize, JsonSchema)]
pub(super) struct RecordView<'a> {
    #[serde(flatten)]
    header: HeaderView,
    #[schemars(with = "Data")]
    data: PayloadJson<'a>,
}

/// What stays of a record whose payload is gone.
#[derive(Serialize, JsonSchema)]
pub(super) struct HeaderView {
    #[serde(flatten)]
    receipt: Receipt,
    timestamp_hlc: u64,
    /// The same as text, for clients whose only number is a double, which can't hold it.
    timestamp_hlc_text: String,
    flags: u8,
    schema_version: u16,
    payload_len: u32,
    #[schemars(with = "HashText")]
    payload_hash: Hash,
    /// The header's bytes in hexadecimal: what `record_hash` is the hash of.
    header: String,
}

impl<'a> RecordView<'a> {
    pub(super) fn new(block: &'a Block, outcome: Outcome) -> Self {
        Self {
            header: HeaderView::new(block, outcome),
            data: PayloadJson(&block.payload),
        }
    }
}

impl HeaderView {
    pub(super) fn new(block: &Block, outcome: Outcome) -> Self {
        let header = &block.header;
        Self {
            receipt: Receipt::new(&Appended::of(block, false), outcome.into()),
            timestamp_hlc: header.timestamp_hlc.get(),
            timestamp_hlc_text: header.timestamp_hlc.get().to_string(),
            flags: header.flags.bits(),
            schema_version: header.schema_version,
            payload_len: header.payload_len,
            payload_hash: header.payload_hash,
            header: hex(&header.encode()),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f',
    ];
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or('?');
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}
