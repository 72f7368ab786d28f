//! A record: JSON from a caller, checked against its type's table and turned into the canonical
//! `MessagePack` that the strand keeps, in one pass.
//!
//! Canonical means: every map's keys in ascending order of their UTF-8 bytes, each once; whole numbers
//! in the shortest integer form; every other number as a 64-bit float; text as UTF-8 without NUL; and
//! at the top one more key, [`TYPE_TAG`], with the record type's name; a document has [`COLLECTION_TAG`]
//! beside it. So two JSON texts that mean the
//! same record have the same bytes, and every number comes out as it went in: what a 64-bit integer or
//! a double can't hold is refused, never rounded.

mod check;
mod encode;
mod entry;
mod error;
mod field;
mod imported;
mod json;
mod key;
mod limits;
mod number;
mod skip;

pub use error::RecordError;
pub use field::{field, text_field};
pub use imported::Row;
pub use json::{CallerJson, PayloadJson};
pub use key::{key_of, project_of};
pub use limits::{
    BACKFILL, COLLECTION_MAX_BYTES, COLLECTION_TAG, DELETED_TAG, DEPTH_MAX, ORIGIN_TAG, OWN_AGENT,
    PAYLOAD_MAX_BYTES, RESTORED_TAG, ROW_TAG, TABLE_TAG, TAG_PREFIX, TYPE_TAG, UNFIT_TAG,
};

use serde_json::{Value, json};

use self::check::Author;
use crate::block::{Block, Flags};
use crate::hash::Hash;
use crate::record_type::RecordType;

/// A record that passed every check, ready to be appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    kind: RecordType,
    flags: Flags,
    payload: Vec<u8>,
    payload_hash: Hash,
}

impl Record {
    /// Checks and encodes a record's `data`, a JSON object.
    ///
    /// # Errors
    /// A [`RecordError`] that names the offending field by its path (`metadata.env`).
    pub fn from_json(record_type: RecordType, data: &str) -> Result<Self, RecordError> {
        Self::encoded(record_type, data, Author::Caller, &[])
    }

    /// A record that the strand makes of itself: of the type `audit_log`, by [`OWN_AGENT`].
    ///
    /// # Errors
    /// A [`RecordError`] when there is more in it than a record holds.
    pub fn own(event: &str, metadata: &Value) -> Result<Self, RecordError> {
        let data = json!({"agent_id": OWN_AGENT, "event": event, "metadata": metadata});
        let data = data.to_string();
        Self::encoded(RecordType::AuditLog, &data, Author::Strand, &[])
    }

    /// The canonical `MessagePack` of a record that is in a strand already, whoever made it: what its payload hash is of.
    ///
    /// # Errors
    /// A [`RecordError`] that names the field which no record of this type has.
    pub fn payload_of(record_type: RecordType, data: &str) -> Result<Vec<u8>, RecordError> {
        encode::encode(record_type, data, Author::Strand, &[])
    }

    /// Checks and encodes a document of a collection.
    ///
    /// # Errors
    /// A [`RecordError`] that names the offending field, or the collection.
    pub fn document(collection: &str, data: &str) -> Result<Self, RecordError> {
        check::check_collection(collection)?;
        let tags = [(COLLECTION_TAG, collection)];
        Self::encoded(RecordType::Document, data, Author::Caller, &tags)
    }

    /// Checks and encodes a row of a record type's table; `data` has its fields. It is held to the rules for callers.
    ///
    /// # Errors
    /// A [`RecordError`] that names the offending field.
    pub fn imported(
        record_type: RecordType,
        data: &str,
        row: Row<'_>,
    ) -> Result<Self, RecordError> {
        Self::encoded(record_type, data, Author::Caller, &row.tags())
    }

    /// The same for a row that is no record of its table's type, for this reason: a document of the collection
    /// `unfit_TABLE`, whose name is that of no record type.
    ///
    /// # Errors
    /// A [`RecordError`] that names the offending field.
    pub fn imported_document(data: &str, row: Row<'_>, unfit: &str) -> Result<Self, RecordError> {
        let collection = format!("unfit_{}", row.table);
        check::check_collection(&collection)?;
        let own = [(COLLECTION_TAG, collection.as_str()), (UNFIT_TAG, unfit)];
        let tags: Vec<_> = row.tags().into_iter().chain(own).collect();
        Self::encoded(RecordType::Document, data, Author::Caller, &tags)
    }

    /// Takes back the record with this hash. `collection` is the name under which it was found. The record itself
    /// stays; a tombstone of one that Supabase has is never mirrored, so it is a document.
    ///
    /// # Errors
    /// The name of the collection is none.
    pub fn tombstone(collection: &str, deleted: &Hash) -> Result<Self, RecordError> {
        Self::note(collection, DELETED_TAG, deleted, Flags::TOMBSTONE)
    }

    /// Says that the record before this one stands for a record that was taken back.
    ///
    /// # Errors
    /// The name of the collection is none.
    pub fn restoration(collection: &str, deleted: &Hash) -> Result<Self, RecordError> {
        Self::note(collection, RESTORED_TAG, deleted, Flags::MUTATION)
    }

    /// The same record anew.
    ///
    /// # Errors
    /// The block has more in it than a record holds, which no block of a strand has.
    pub fn again(block: &Block) -> Result<Self, RecordError> {
        let payload = block.payload.clone();
        Self::of_payload(block.header.record_type, Flags::NONE, payload)
    }

    fn note(
        collection: &str,
        tag: &str,
        deleted: &Hash,
        flags: Flags,
    ) -> Result<Self, RecordError> {
        check::check_collection(collection)?;
        let deleted = deleted.to_string();
        let tags = [(COLLECTION_TAG, collection), (tag, deleted.as_str())];
        let note = Self::encoded(RecordType::Document, "{}", Author::Strand, &tags)?;
        Ok(Self { flags, ..note })
    }

    fn encoded(
        record_type: RecordType,
        data: &str,
        author: Author,
        tags: &[(&str, &str)],
    ) -> Result<Self, RecordError> {
        let payload = encode::encode(record_type, data, author, tags)?;
        Self::of_payload(record_type, Flags::NONE, payload)
    }

    /// A record of what was encoded.
    fn of_payload(kind: RecordType, flags: Flags, payload: Vec<u8>) -> Result<Self, RecordError> {
        if payload.len() > PAYLOAD_MAX_BYTES {
            return Err(RecordError::TooLarge {
                bytes: payload.len(),
            });
        }
        let payload_hash = Hash::of_payload(&payload);
        Ok(Self {
            kind,
            flags,
            payload,
            payload_hash,
        })
    }

    /// What kind of record it is.
    pub fn record_type(&self) -> RecordType {
        self.kind
    }

    /// What kind of block it makes, beside its place in the chain.
    pub fn flags(&self) -> Flags {
        self.flags
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
