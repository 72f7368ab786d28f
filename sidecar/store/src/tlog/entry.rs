//! An entry of the transparency log.

use boboyka_strand::Block;
use boboyka_strand::block::HEADER_LEN;
use boboyka_tlog::TreeHash;

/// An entry of the transparency log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// A block's header.
    Header([u8; HEADER_LEN]),
    /// The block is lost, or was pruned before its header was in a tree: the entry is empty.
    Unknown,
}

impl Entry {
    pub(crate) fn of(block: &Block) -> Self {
        Self::Header(block.header.encode())
    }

    /// The entry's bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Header(bytes) => bytes,
            Self::Unknown => &[],
        }
    }

    /// As it stands among others: behind its length.
    pub(crate) fn encoded(&self) -> Vec<u8> {
        let bytes = self.bytes();
        let len = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
        [&len.to_be_bytes(), bytes].concat()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [] => Some(Self::Unknown),
            _ => Some(Self::Header(bytes.try_into().ok()?)),
        }
    }

    pub(crate) fn leaf(&self) -> TreeHash {
        TreeHash::of_leaf(self.bytes())
    }
}
