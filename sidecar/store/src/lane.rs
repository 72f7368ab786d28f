//! What the store keeps of a mirror lane: how far it came, and what Supabase will never accept.
//!
//! The invariant: `mark ≤ head`; every record of the lane up to its mark is mirrored or a dead letter.

use boboyka_strand::{Hash, RecordType, Seq};

/// A lane's durable progress. With the strand's counts it yields the backlog without a scan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// Every record of the lane up to here is mirrored or a dead letter.
    pub seq: Seq,
    /// How many were mirrored.
    pub mirrored: u64,
    /// How many are dead letters now.
    pub dead_lettered: u64,
}

/// A record that Supabase refuses for its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The lane.
    pub record_type: RecordType,
    /// The record's seq.
    pub seq: Seq,
    /// The record's hash.
    pub record_hash: Hash,
    /// `PostgREST`'s or Postgres' code.
    pub code: String,
    /// Why, without the record's data.
    pub message: String,
    /// How often the mirror sent it.
    pub attempts: u32,
    /// When it became a dead letter, in milliseconds since 1970.
    pub since_ms: u64,
}
