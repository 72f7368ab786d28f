//! A block: a record with its place in the chain. The header has a fixed width and covers everything
//! else (the payload by its hash), so a chain can be checked without payloads, and a payload without
//! the chain. `docs/strand-format.md` has the byte layout.

use uuid::Uuid;

use crate::hash::Hash;
use crate::hlc::Hlc;
use crate::record_type::RecordType;

/// Length of an encoded header.
pub const HEADER_LEN: usize = 105;

/// The header version that this crate writes.
pub const HEADER_VERSION: u8 = 1;

/// The payload schema version that this crate writes.
pub const SCHEMA_VERSION: u16 = 1;

/// A block's place in its strand. The first block has 1; 0 stands for "before the first".
pub type Seq = u64;

/// Bits of a header's flags, as in `SapixDB`'s client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u8);

impl Flags {
    /// Nothing set.
    pub const NONE: Self = Self(0);
    /// The first block of a strand.
    pub const GENESIS: Self = Self(1);
    /// Takes an earlier record back.
    pub const TOMBSTONE: Self = Self(2);
    /// The payload refers to a blob.
    pub const BLOB: Self = Self(4);
    /// Changes an earlier record.
    pub const MUTATION: Self = Self(8);

    /// The bits.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Flags from bits; `None` when a bit is set that has no meaning.
    pub const fn from_bits(bits: u8) -> Option<Self> {
        if bits & !0b1111 == 0 {
            Some(Self(bits))
        } else {
            None
        }
    }

    /// These flags and those of `other`.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all bits of `other` are set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// All that a block's hash covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What kind of block it is.
    pub flags: Flags,
    /// Version of the payload's schema.
    pub schema_version: u16,
    /// The record's type.
    pub record_type: RecordType,
    /// The block's place.
    pub seq: Seq,
    /// `UUIDv7` of the record.
    pub record_id: Uuid,
    /// When the block was appended.
    pub timestamp_hlc: Hlc,
    /// Hash of the block before; all zeros for the first.
    pub parent_hash: Hash,
    /// Length of the payload in bytes.
    pub payload_len: u32,
    /// Hash of the payload.
    pub payload_hash: Hash,
}

impl Header {
    /// The header's bytes: what [`Header::hash`] hashes.
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        let mut rest = bytes.as_mut_slice();
        let mut put = |field: &[u8]| {
            let (place, after) = std::mem::take(&mut rest).split_at_mut(field.len());
            place.copy_from_slice(field);
            rest = after;
        };
        put(&[HEADER_VERSION, self.flags.bits()]);
        put(&self.schema_version.to_be_bytes());
        put(&[self.record_type.code()]);
        put(&self.seq.to_be_bytes());
        put(self.record_id.as_bytes());
        put(&self.timestamp_hlc.get().to_be_bytes());
        put(self.parent_hash.as_bytes());
        put(&self.payload_len.to_be_bytes());
        put(self.payload_hash.as_bytes());
        bytes
    }

    /// The block's hash, on the wire `record_hash`.
    pub fn hash(&self) -> Hash {
        Hash::of_header(&self.encode())
    }
}

/// A record with its place in the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// What the hash covers.
    pub header: Header,
    /// Hash of the header: `record_hash`.
    pub hash: Hash,
    /// The record as canonical `MessagePack` (see [`crate::record`]).
    pub payload: Vec<u8>,
}
