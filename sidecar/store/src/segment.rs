//! A segment: a sealed, immutable file of consecutive blocks, with what is needed to find one in it.
//!
//! Layout, told byte by byte in `docs/strand-format.md`: magic and strand id, compressed runs of a few
//! hundred blocks ("frames"), the hash index, the key index with its filter, a footer, a trailer with
//! a digest over all before it. Nothing in a segment ever changes; it is read with positioned reads.

mod bloom;
mod read;
mod search;
mod verify;
mod write;

use std::path::{Path, PathBuf};

use boboyka_strand::{Hash, Head, RECORD_TYPES, Seq};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub(crate) use bloom::Bloom;
pub(crate) use verify::follow_run;
pub(crate) use write::SegmentWriter;

use crate::key::IdempotencyKey;

/// First bytes of a segment file; the last one is the format's version.
const MAGIC: &[u8; 8] = b"BBKSEG\0\x01";
/// Last bytes of a segment file.
const END_MAGIC: &[u8; 8] = b"BBKEND\0\x01";
/// BLAKE3 derive-key context of a segment's digest.
const DIGEST_CONTEXT: &str = "boboyka.sapixdb.com 2026-11 segment digest v1";
/// Magic and strand id.
const HEADER_BYTES: usize = 24;
/// Place of the footer, digest, magic.
const TRAILER_BYTES: usize = 8 + Hash::LEN + 8;
/// The same, as a length in the file.
const TRAILER_LEN: u64 = TRAILER_BYTES as u64;
/// A hash index entry: the first four bytes of a hash, a position.
pub(crate) const HASH_ENTRY_LEN: usize = 6;
/// A key index entry: an idempotency key, a position.
const KEY_ENTRY_LEN: usize = IdempotencyKey::LEN + 2;
/// Positions in the indexes have 16 bits.
pub(crate) const SEGMENT_MAX_BLOCKS: usize = u16::MAX as usize;

/// What is known of a segment without opening it; also the first part of its footer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SegmentMeta {
    /// The strand it is of.
    pub(crate) strand: Uuid,
    /// The head before its first block.
    pub(crate) before: Head,
    /// Its last block.
    pub(crate) head: Head,
    /// Blocks per record type.
    pub(crate) counts: [u32; RECORD_TYPES],
    /// Blocks with an idempotency key.
    pub(crate) keys: u32,
    /// Length of all payloads before compression.
    pub(crate) payload_bytes: u64,
    /// When it was sealed.
    pub(crate) sealed_at_ms: u64,
    /// Where the frames end and the hash index begins.
    pub(crate) frames_end: u64,
}

impl SegmentMeta {
    pub(crate) fn first_seq(&self) -> Seq {
        self.before.seq + 1
    }

    /// How many blocks it has.
    pub(crate) fn len(&self) -> u64 {
        self.head.seq - self.before.seq
    }

    fn key_index_at(&self) -> u64 {
        self.frames_end + self.len() * HASH_ENTRY_LEN as u64
    }

    fn bloom_at(&self) -> u64 {
        self.key_index_at() + u64::from(self.keys) * KEY_ENTRY_LEN as u64
    }

    fn footer_at(&self) -> u64 {
        self.bloom_at() + Bloom::len_for(self.keys)
    }
}

/// A frame: a compressed run in the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Frame {
    /// Where it begins.
    at: u64,
    /// Its length in the file.
    len: u32,
    /// Its length when decompressed.
    raw_len: u32,
    /// Its first block.
    pub(crate) first_seq: Seq,
    /// Time of its first block, packed.
    pub(crate) first_hlc: u64,
    /// Blocks per record type.
    pub(crate) counts: [u16; RECORD_TYPES],
}

/// What stands behind the indexes, as `MessagePack`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Footer {
    meta: SegmentMeta,
    frames: Vec<Frame>,
}

/// A segment as the catalogue knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Segment {
    /// What its footer says.
    pub(crate) meta: SegmentMeta,
    /// Digest over the file up to the digest itself.
    pub(crate) digest: Hash,
    /// Length of the file.
    pub(crate) file_len: u64,
    /// Where the file lies; not part of the catalogue's entry.
    #[serde(skip)]
    path: PathBuf,
}

impl Segment {
    /// The name of the file of a segment that begins with `first_seq`.
    pub(crate) fn file_name(first_seq: Seq) -> String {
        format!("{first_seq:020}.seg")
    }

    /// The same segment, its file in `folder`.
    pub(crate) fn in_folder(mut self, folder: &Path) -> Self {
        self.path = folder.join(Self::file_name(self.meta.first_seq()));
        self
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}
