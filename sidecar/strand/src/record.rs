//! A record: JSON from a caller, checked against its type's table and turned into the canonical
//! `MessagePack` that the strand keeps, in one pass.
//!
//! Canonical means: every map's keys in ascending order of their UTF-8 bytes, each once; whole numbers
//! in the shortest integer form; every other number as a 64-bit float; text as UTF-8 without NUL; and
//! at the top one more key, [`TYPE_TAG`], with the record type's name. So two JSON texts that mean the
//! same record have the same bytes, and every number comes out as it went in: what a 64-bit integer or
//! a double can't hold is refused, never rounded.

mod check;
mod encode;
mod entry;
mod error;
mod json;
mod limits;
mod number;

pub use error::RecordError;
pub use json::PayloadJson;
pub use limits::{DEPTH_MAX, OWN_AGENT, PAYLOAD_MAX_BYTES, TYPE_TAG};

use serde_json::{Value, json};

use self::check::Author;
use crate::hash::Hash;
use crate::record_type::RecordType;

/// A record that passed every check, ready to be appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    kind: RecordType,
    payload: Vec<u8>,
    payload_hash: Hash,
}

impl Record {
    /// Checks and encodes a record's `data`, a JSON object.
    ///
    /// # Errors
    /// A [`RecordError`] that names the offending field by its path (`metadata.env`).
    pub fn from_json(record_type: RecordType, data: &str) -> Result<Self, RecordError> {
        Self::encoded(record_type, data, Author::Caller)
    }

    /// A record that the strand makes of itself: of the type `audit_log`, by [`OWN_AGENT`].
    ///
    /// # Errors
    /// A [`RecordError`] when there is more in it than a record holds.
    pub fn own(event: &str, metadata: &Value) -> Result<Self, RecordError> {
        let data = json!({"agent_id": OWN_AGENT, "event": event, "metadata": metadata});
        Self::encoded(RecordType::AuditLog, &data.to_string(), Author::Strand)
    }

    /// The canonical `MessagePack` of a record that is in a strand already, whoever made it: what its payload hash is of.
    ///
    /// # Errors
    /// A [`RecordError`] that names the field which no record of this type has.
    pub fn payload_of(record_type: RecordType, data: &str) -> Result<Vec<u8>, RecordError> {
        encode::encode(record_type, data, Author::Strand)
    }

    fn encoded(record_type: RecordType, data: &str, author: Author) -> Result<Self, RecordError> {
        let payload = encode::encode(record_type, data, author)?;
        if payload.len() > PAYLOAD_MAX_BYTES {
            return Err(RecordError::TooLarge {
                bytes: payload.len(),
            });
        }
        let payload_hash = Hash::of_payload(&payload);
        Ok(Self {
            kind: record_type,
            payload,
            payload_hash,
        })
    }

    /// What kind of record it is.
    pub fn record_type(&self) -> RecordType {
        self.kind
    }

    /// The canonical `MessagePack`.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The hash of the payload: equal for two records exactly when type and content are equal.
    pub fn payload_hash(&self) -> Hash {
        self.payload_hash
    }

    /// The canonical `MessagePack`, taken out.
    pub fn into_payload(self) -> Vec<u8> {
        self.payload
    }
}
