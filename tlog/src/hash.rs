//! [`TreeHash`]: SHA-256 as RFC 6962 §2.1 uses it, with a prefix that keeps leaves and nodes apart.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use crate::base64;

/// The hash of a leaf, of a node or of a whole tree. As text it is base64.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TreeHash([u8; 32]);

/// Text that is not 32 bytes in base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a tree hash is 32 bytes in padded base64")]
pub struct ParseTreeHashError;

impl TreeHash {
    /// Length in bytes.
    pub const LEN: usize = 32;

    /// The root of a tree without entries: SHA-256 of nothing.
    pub const EMPTY: Self = Self([
        0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9,
        0x24, 0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52,
        0xb8, 0x55,
    ]);

    /// A hash from its 32 bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The hash of an entry.
    pub fn of_leaf(entry: &[u8]) -> Self {
        let hasher = Sha256::new_with_prefix([0]).chain_update(entry);
        Self(hasher.finalize().into())
    }

    /// The hash of a node, from those of its children.
    pub fn of_node(left: &Self, right: &Self) -> Self {
        let mut bytes = [1; 65];
        let (_, children) = bytes.split_at_mut(1);
        let (first, second) = children.split_at_mut(Self::LEN);
        first.copy_from_slice(&left.0);
        second.copy_from_slice(&right.0);
        Self(Sha256::digest(bytes).into())
    }
}

impl fmt::Display for TreeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base64::encode(&self.0))
    }
}

impl fmt::Debug for TreeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for TreeHash {
    type Err = ParseTreeHashError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = base64::decode(text).ok_or(ParseTreeHashError)?;
        bytes.try_into().map(Self).map_err(|_| ParseTreeHashError)
    }
}
