//! What a caller appends, and what the store answers.

use boboyka_strand::{Block, Hash, Record, RecordType, Seq};
use uuid::Uuid;

use crate::key::IdempotencyKey;

/// A record to append.
#[derive(Clone, Debug)]
pub struct NewRecord {
    /// The record.
    pub record: Record,
    /// The caller's key, for sending the record again safely.
    pub key: Option<IdempotencyKey>,
}

/// The receipt of an appended record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Its type.
    pub record_type: RecordType,
    /// Its seq.
    pub seq: Seq,
    /// Its hash: `record_hash`.
    pub hash: Hash,
    /// The hash of the block before it.
    pub parent_hash: Hash,
    /// Its id.
    pub record_id: Uuid,
    /// When it was appended, in milliseconds since 1970.
    pub ms: u64,
    /// Whether an earlier request with the same idempotency key appended it.
    pub replayed: bool,
}

impl Appended {
    /// The receipt of the record that a block holds.
    pub fn of(block: &Block, replayed: bool) -> Self {
        let header = &block.header;
        Self {
            record_type: header.record_type,
            seq: header.seq,
            hash: block.hash,
            parent_hash: header.parent_hash,
            record_id: header.record_id,
            ms: header.timestamp_hlc.ms(),
            replayed,
        }
    }
}

/// Why the store did not append a record with an idempotency key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyConflict {
    /// An earlier request sent the key with other content.
    #[error("the idempotency key was used with other content in the last 24 hours")]
    OtherContent,
    /// The part of the strand that the answer depends on is damaged.
    #[error(
        "the store can't tell whether the idempotency key was used: a part of the strand is damaged"
    )]
    Unreadable,
}
