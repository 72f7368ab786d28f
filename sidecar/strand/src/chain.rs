//! Linking a record to the head, and following a chain of blocks to see whether it holds.

use uuid::Uuid;

use crate::block::{Block, Flags, Header, SCHEMA_VERSION, Seq};
use crate::hash::Hash;
use crate::hlc::Hlc;
use crate::record::Record;

/// The newest block of a strand, or the place before the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Seq of the newest block; 0 when there is none.
    pub seq: Seq,
    /// Its hash; all zeros when there is none.
    pub hash: Hash,
    /// Its time.
    pub hlc: Hlc,
}

/// How a chain breaks at a block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Break {
    /// The block has another seq than the one that follows.
    #[error("its seq is {found}")]
    Seq {
        /// The seq found.
        found: Seq,
    },
    /// Its parent is not the block before.
    #[error("its parent is {found}, the block before is {expected}")]
    Parent {
        /// Hash of the block before.
        expected: Hash,
        /// The parent that the block names.
        found: Hash,
    },
    /// Its time is not after that of the block before.
    #[error("its time is not after that of the block before")]
    Time,
    /// The first block alone is a genesis, and it must be one.
    #[error("its genesis flag does not fit its place")]
    Genesis,
    /// The payload is not the one whose hash the header carries.
    #[error("its payload has been altered")]
    Payload,
    /// The header is not the one that the hash is of.
    #[error("its header has been altered: its hash is {found}, {expected} was recorded")]
    Hash {
        /// The hash recorded.
        expected: Hash,
        /// The hash that the header has.
        found: Hash,
    },
    /// The block's hash is not the one whose first four bytes an index recorded.
    #[error("it has been altered: its hash should begin with {prefix:08x}")]
    Altered {
        /// The recorded beginning of the hash.
        prefix: u32,
    },
    /// The block is missing.
    #[error("it is missing")]
    Missing,
    /// What holds the block can't be read.
    #[error("it can't be read: {0}")]
    Unreadable(String),
}

/// The first block at which a chain breaks, and how.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the chain breaks at seq {seq}: {reason}")]
pub struct ChainError {
    /// Seq of the first block that does not hold.
    pub seq: Seq,
    /// How it does not.
    pub reason: Break,
}

impl Head {
    /// The head of an empty strand.
    pub const EMPTY: Self = Self {
        seq: 0,
        hash: Hash::ZERO,
        hlc: Hlc::ZERO,
    };

    /// The block that makes `record` the new head. `now_ms` is the wall clock's.
    pub fn link(&self, record: Record, record_id: impl FnOnce(u64) -> Uuid, now_ms: u64) -> Block {
        let timestamp_hlc = self.hlc.next(now_ms);
        let header = Header {
            flags: if self.seq == 0 {
                record.flags().with(Flags::GENESIS)
            } else {
                record.flags()
            },
            schema_version: SCHEMA_VERSION,
            record_type: record.record_type(),
            seq: self.seq + 1,
            record_id: record_id(timestamp_hlc.ms()),
            timestamp_hlc,
            parent_hash: self.hash,
            payload_len: payload_len(record.payload()),
            payload_hash: record.payload_hash(),
        };
        Block {
            header,
            hash: header.hash(),
            payload: record.into_payload(),
        }
    }

    /// The head that `block` makes, if it follows this one and is whole. A payload that is gone is not missed: the header
    /// says all that the chain needs of it.
    ///
    /// # Errors
    /// How the chain breaks at it.
    pub fn follow(&self, block: &Block) -> Result<Self, ChainError> {
        let header = &block.header;
        let seq = self.seq + 1;
        let broken = |reason| Err(ChainError { seq, reason });
        if header.seq != seq {
            return broken(Break::Seq { found: header.seq });
        }
        if header.parent_hash != self.hash {
            return broken(Break::Parent {
                expected: self.hash,
                found: header.parent_hash,
            });
        }
        if header.timestamp_hlc <= self.hlc {
            return broken(Break::Time);
        }
        if header.flags.contains(Flags::GENESIS) != (seq == 1) {
            return broken(Break::Genesis);
        }
        let has_its_payload = header.payload_len == payload_len(&block.payload)
            && header.payload_hash == Hash::of_payload(&block.payload);
        if !has_its_payload && !block.is_gone() {
            return broken(Break::Payload);
        }
        let found = header.hash();
        if found != block.hash {
            return broken(Break::Hash {
                expected: block.hash,
                found,
            });
        }
        Ok(Self::of(block))
    }

    /// The head that a block is, without a check.
    pub fn of(block: &Block) -> Self {
        Self {
            seq: block.header.seq,
            hash: block.hash,
            hlc: block.header.timestamp_hlc,
        }
    }
}

/// Follows blocks from `anchor` (where the chain begins) up to `head`, which must be known from
/// elsewhere: a chain that was cut at its end still holds, and only its head shows the cut.
///
/// # Errors
/// The first seq at which the chain breaks, and how.
pub fn verify<'a>(
    anchor: Head,
    blocks: impl IntoIterator<Item = &'a Block>,
    head: Head,
) -> Result<(), ChainError> {
    let mut at = anchor;
    for block in blocks {
        at = at.follow(block)?;
        if at.seq == head.seq && at.hash != head.hash {
            let reason = Break::Hash {
                expected: head.hash,
                found: at.hash,
            };
            return Err(ChainError {
                seq: at.seq,
                reason,
            });
        }
        if at.seq > head.seq {
            return Err(ChainError {
                seq: at.seq,
                reason: Break::Seq { found: at.seq },
            });
        }
    }
    if at.seq < head.seq {
        return Err(ChainError {
            seq: at.seq + 1,
            reason: Break::Missing,
        });
    }
    Ok(())
}

/// A length that fits: payloads are bounded at 1 MiB.
fn payload_len(payload: &[u8]) -> u32 {
    u32::try_from(payload.len()).unwrap_or(u32::MAX)
}
