//! What the store keeps of a mirror lane: how far it came, and what Supabase will never accept.
//!
//! The invariant: `mark ≤ head`; every record of the lane up to its mark is mirrored or a dead letter.

use boboyka_strand::{Hash, RecordType, Seq};

use crate::floor::Floor;

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

impl Mark {
    /// What was pruned and mirrored is mirrored, also when the mark of it is not durable.
    pub(crate) fn raise_to(&mut self, floor: &Floor, lane: RecordType) {
        if self.seq < floor.head.seq {
            self.seq = floor.head.seq;
            self.mirrored = floor.counts[lane].saturating_sub(floor.unmirrored[lane]);
        }
    }
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
