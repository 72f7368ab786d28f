//! What an auditor has of a record beside its proof: the JSON that was posted or answered, or the payload's bytes.

use std::borrow::Cow;

use boboyka_strand::{Hash, Header, Record, RecordError, RecordType};
use serde::Deserialize;
use serde_json::value::RawValue;

/// What is known of a record.
#[derive(Clone, Copy, Debug)]
pub enum Evidence<'a> {
    /// JSON with `record_type` and `data`: what was posted, or what `GET /v1/boboyka/records/{hash}` answers.
    Json(&'a str),
    /// The canonical `MessagePack`.
    Payload(&'a [u8]),
}

/// Evidence that does not fit the header of the proof.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// No JSON object with `record_type` and `data`.
    #[error("the record is no JSON object with record_type and data: {0}")]
    Json(String),
    /// No record type.
    #[error("the record's record_type {0:?} is none")]
    RecordType(String),
    /// No record of its type.
    #[error("the record's {field}: {source}")]
    Data {
        /// Which field of `data`, or `data` itself.
        field: String,
        /// What is wrong with it.
        source: RecordError,
    },
    /// A field of the JSON is not what the header says.
    #[error("the record's {field} is {found}, the proven header says {proven}")]
    Field {
        /// The field.
        field: &'static str,
        /// What the JSON says.
        found: String,
        /// What the header says.
        proven: String,
    },
    /// The payload is not the one whose hash the header has.
    #[error(
        "the payload has the hash {found}, the proven header names {proven}: the content is not what was recorded"
    )]
    Payload {
        /// Hash of what was given.
        found: Hash,
        /// What the header says.
        proven: Hash,
    },
}

/// A record as JSON; a receipt's fields may be there and are compared.
#[derive(Deserialize)]
struct RecordJson<'a> {
    #[serde(borrow)]
    record_type: Cow<'a, str>,
    #[serde(borrow)]
    data: &'a RawValue,
    #[serde(borrow, default)]
    record_hash: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    prev_hash: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    record_id: Option<Cow<'a, str>>,
    #[serde(default)]
    seq: Option<u64>,
    #[serde(default)]
    ingested_at_ms: Option<u64>,
}

impl Evidence<'_> {
    /// Compares it with a proven header.
    ///
    /// # Errors
    /// What does not fit.
    pub fn check(&self, header: &Header) -> Result<(), EvidenceError> {
        match self {
            Self::Payload(bytes) => same_payload(bytes, header),
            Self::Json(text) => same_record(text, header),
        }
    }
}

fn same_record(text: &str, header: &Header) -> Result<(), EvidenceError> {
    let record: RecordJson<'_> =
        serde_json::from_str(text).map_err(|error| EvidenceError::Json(error.to_string()))?;
    let kind: RecordType = record
        .record_type
        .parse()
        .map_err(|_| EvidenceError::RecordType(record.record_type.to_string()))?;
    let proven_ms = header.timestamp_hlc.ms();
    same("record_type", Some(kind), &header.record_type)?;
    same("seq", record.seq, &header.seq)?;
    same("ingested_at_ms", record.ingested_at_ms, &proven_ms)?;
    same("record_hash", record.record_hash, &header.hash())?;
    same("prev_hash", record.prev_hash, &header.parent_hash)?;
    same("record_id", record.record_id, &header.record_id)?;
    let payload = Record::payload_of(kind, record.data.get()).map_err(of_field)?;
    same_payload(&payload, header)
}

fn of_field(source: RecordError) -> EvidenceError {
    let field = source.field().unwrap_or("data").to_owned();
    EvidenceError::Data { field, source }
}

fn same<F: ToString, P: ToString>(
    field: &'static str,
    found: Option<F>,
    proven: &P,
) -> Result<(), EvidenceError> {
    let proven = proven.to_string();
    let Some(found) = found.map(|found| found.to_string()) else {
        return Ok(());
    };
    if found == proven {
        return Ok(());
    }
    Err(EvidenceError::Field {
        field,
        found,
        proven,
    })
}

fn same_payload(payload: &[u8], header: &Header) -> Result<(), EvidenceError> {
    let (found, proven) = (Hash::of_payload(payload), header.payload_hash);
    if found == proven {
        return Ok(());
    }
    Err(EvidenceError::Payload { found, proven })
}
