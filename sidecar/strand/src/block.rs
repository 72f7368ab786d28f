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

/// Bytes that are no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Not [`HEADER_LEN`] bytes.
    #[error("a header has {HEADER_LEN} bytes, not {0}")]
    Length(usize),
    /// Another version than [`HEADER_VERSION`].
    #[error("the header's version is {0}, only {HEADER_VERSION} is known")]
    Version(u8),
    /// A flag without a meaning.
    #[error("the header's flags are {0:#04x}, which have a bit without a meaning")]
    Flags(u8),
    /// No record type.
    #[error("the header's record type is {0}, which is none")]
    RecordType(u8),
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

    /// The header of these bytes: the inverse of [`Header::encode`].
    ///
    /// # Errors
    /// Which field holds what no header has.
    pub fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        let whole: &[u8; HEADER_LEN] = bytes
            .try_into()
            .map_err(|_| HeaderError::Length(bytes.len()))?;
        let mut rest = whole.as_slice();
        let [version, flags, schema_high, schema_low, kind] = take(&mut rest);
        if version != HEADER_VERSION {
            return Err(HeaderError::Version(version));
        }
        Ok(Self {
            flags: Flags::from_bits(flags).ok_or(HeaderError::Flags(flags))?,
            schema_version: u16::from_be_bytes([schema_high, schema_low]),
            record_type: RecordType::from_code(kind).ok_or(HeaderError::RecordType(kind))?,
            seq: u64::from_be_bytes(take(&mut rest)),
            record_id: Uuid::from_bytes(take(&mut rest)),
            timestamp_hlc: Hlc::new(u64::from_be_bytes(take(&mut rest))),
            parent_hash: Hash::from_bytes(take(&mut rest)),
            payload_len: u32::from_be_bytes(take(&mut rest)),
            payload_hash: Hash::from_bytes(take(&mut rest)),
        })
    }

    /// The block's hash, on the wire `record_hash`.
    pub fn hash(&self) -> Hash {
        Hash::of_header(&self.encode())
    }
}

/// The next bytes of a header, whose length is known.
fn take<const N: usize>(rest: &mut &[u8]) -> [u8; N] {
    let (field, after) = rest.split_first_chunk().unwrap_or((&[0; N], &[]));
    *rest = after;
    *field
}

/// A record with its place in the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// What the hash covers.
    pub header: Header,
    /// Hash of the header: `record_hash`.
    pub hash: Hash,
    /// The record as canonical `MessagePack` (see [`crate::record`]); empty if it is gone.
    pub payload: Vec<u8>,
}

impl Block {
    /// Whether retention let the payload go: the header stays, with its length and its hash. No record is empty.
    pub fn is_gone(&self) -> bool {
        self.payload.is_empty() && self.header.payload_len > 0
    }
}
