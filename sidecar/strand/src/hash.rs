//! [`Hash`]: 32 bytes of BLAKE3, hex on the way out and in, and the two keyed contexts in which the
//! strand hashes. The contexts carry a version, so that a later format can never produce the hash of
//! an earlier one by accident.

use std::fmt;
use std::str::FromStr;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// BLAKE3 derive-key context of a block header.
pub const HEADER_CONTEXT: &str = "boboyka.sapixdb.com 2026-11 strand block header v1";

/// BLAKE3 derive-key context of a payload.
pub const PAYLOAD_CONTEXT: &str = "boboyka.sapixdb.com 2026-11 strand payload v1";

/// A BLAKE3 hash: of a block's header (then it is the block's `record_hash`) or of a payload.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hash([u8; 32]);

/// Text that is not 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a hash is 64 hexadecimal digits")]
pub struct ParseHashError;

impl Hash {
    /// Length in bytes.
    pub const LEN: usize = 32;

    /// The parent of a strand's first block.
    pub const ZERO: Self = Self([0; 32]);

    /// A hash from its 32 bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first four bytes as a big-endian number: what indexes sort by.
    pub fn prefix(&self) -> u32 {
        let [a, b, c, d, ..] = self.0;
        u32::from_be_bytes([a, b, c, d])
    }

    /// The hash of a payload's bytes.
    pub fn of_payload(payload: &[u8]) -> Self {
        Self::keyed(&Keys::get().payload, payload)
    }

    /// The hash of an encoded block header.
    pub fn of_header(header: &[u8]) -> Self {
        Self::keyed(&Keys::get().header, header)
    }

    fn keyed(hasher: &blake3::Hasher, bytes: &[u8]) -> Self {
        Self(*hasher.clone().update(bytes).finalize().as_bytes())
    }
}

/// The two hashers after their contexts, made once: deriving a key costs as much as hashing a header.
struct Keys {
    header: blake3::Hasher,
    payload: blake3::Hasher,
}

impl Keys {
    fn get() -> &'static Self {
        static KEYS: std::sync::OnceLock<Keys> = std::sync::OnceLock::new();
        KEYS.get_or_init(|| Self {
            header: blake3::Hasher::new_derive_key(HEADER_CONTEXT),
            payload: blake3::Hasher::new_derive_key(PAYLOAD_CONTEXT),
        })
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(blake3::Hash::from_bytes(self.0).to_hex().as_str())
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Hash {
    type Err = ParseHashError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        blake3::Hash::from_hex(text)
            .map(|hash| Self(*hash.as_bytes()))
            .map_err(|_| ParseHashError)
    }
}

/// Hexadecimal text where people read (JSON), 32 bytes where they do not (`MessagePack`).
impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_bytes(&self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            deserializer.deserialize_str(HashVisitor)
        } else {
            deserializer.deserialize_bytes(HashVisitor)
        }
    }
}

struct HashVisitor;

impl Visitor<'_> for HashVisitor {
    type Value = Hash;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a hash: 64 hexadecimal digits or 32 bytes")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Hash, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Hash, E> {
        bytes
            .try_into()
            .map(Hash)
            .map_err(|_| E::invalid_length(bytes.len(), &self))
    }
}
