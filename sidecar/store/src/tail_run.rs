//! A run as it lies in the tail: the first bytes of its hashes and its idempotency keys, which the
//! chain does not cover, before the run itself, compressed for speed.
//!
//! Layout, numbers big-endian: count of blocks (u16); that many hash prefixes (u32 each); count of keys
//! (u16); that many of position (u16) and key (10 bytes); the LZ4 block with its length before it.

use boboyka_strand::{Block, Hash, Head, RecordType, Seq, key_of, run};

use boboyka_tlog::TreeHash;

use crate::error::TailError;
use crate::key::IdempotencyKey;
use crate::tlog::leaf_of;
use crate::versions::KeyHash;

/// The most blocks in one run: what one lookup in the tail has to decode.
pub(crate) const RUN_MAX_BLOCKS: usize = 256;

/// The most payload bytes in one run, unless a single record is larger.
pub(crate) const RUN_MAX_PAYLOAD_BYTES: usize = 48 * 1024;

/// The most that a run may claim to be long when decompressed: a record of the largest size and all
/// that stands around it. A damaged length must not make the store ask for gigabytes.
const RUN_MAX_BYTES: usize = 2 * 1024 * 1024;

/// A tail run taken apart.
pub(crate) struct Unpacked {
    /// The first four bytes of each block's hash.
    pub(crate) prefixes: Vec<u32>,
    /// Idempotency keys with their blocks' positions.
    pub(crate) keys: Vec<(usize, IdempotencyKey)>,
    /// The run, decompressed.
    pub(crate) run: Vec<u8>,
}

/// What the tail knows of a block without decoding it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TailEntry {
    pub(crate) hash: Hash,
    /// In the transparency log.
    pub(crate) leaf: TreeHash,
    pub(crate) ms: u64,
    pub(crate) record_type: RecordType,
    pub(crate) key: Option<IdempotencyKey>,
    /// The key whose state the record tells.
    pub(crate) version_of: Option<KeyHash>,
}

/// A run in the tail: what one commit, or a part of a large one, appended.
#[derive(Debug)]
pub(crate) struct TailRun {
    pub(crate) before: Head,
    pub(crate) head: Head,
    pub(crate) entries: Box<[TailEntry]>,
    /// As it lies on the disk.
    pub(crate) bytes: Box<[u8]>,
}

impl TailEntry {
    /// What the tail keeps in memory of a block.
    pub(crate) fn of(block: &Block, key: Option<IdempotencyKey>) -> Self {
        let record_type = block.header.record_type;
        let version_of = key_of(record_type, &block.payload);
        Self {
            hash: block.hash,
            leaf: leaf_of(&block.header),
            ms: block.header.timestamp_hlc.ms(),
            record_type,
            key,
            version_of: version_of.map(|key| KeyHash::of(record_type, key)),
        }
    }
}

impl TailRun {
    pub(crate) fn first_seq(&self) -> Seq {
        self.before.seq + 1
    }

    /// Whether a block is in it.
    pub(crate) fn holds(&self, seq: Seq) -> bool {
        (self.first_seq()..=self.head.seq).contains(&seq)
    }

    /// Its blocks, their chain recomputed.
    pub(crate) fn blocks(&self) -> Result<Vec<Block>, TailError> {
        let unpacked = unpack(&self.bytes)?;
        run::decode(&unpacked.run).map_err(|error| TailError::Value {
            what: "run",
            why: error.to_string(),
        })
    }
}

/// The bytes of a run that follows `before`.
pub(crate) fn pack(before: &Head, blocks: &[Block], keys: &[Option<IdempotencyKey>]) -> Vec<u8> {
    let run = run::encode(before, blocks);
    let keyed: Vec<_> = (0u16..)
        .zip(keys)
        .filter_map(|(at, key)| key.map(|key| (at, key)))
        .collect();
    let mut out = Vec::with_capacity(run.len() / 2 + blocks.len() * 4 + keyed.len() * 12 + 16);
    out.extend_from_slice(&len16(blocks.len()));
    for block in blocks {
        out.extend_from_slice(&block.hash.prefix().to_be_bytes());
    }
    out.extend_from_slice(&len16(keyed.len()));
    for (position, key) in keyed {
        out.extend_from_slice(&position.to_be_bytes());
        out.extend_from_slice(key.as_bytes());
    }
    out.extend_from_slice(&lz4_flex::block::compress_prepend_size(&run));
    out
}

/// Takes a run's bytes apart; whether its chain holds is for the caller to see.
pub(crate) fn unpack(bytes: &[u8]) -> Result<Unpacked, TailError> {
    unpack_parts(bytes).ok_or_else(|| TailError::Value {
        what: "run",
        why: "it is cut short or its compression is broken".to_owned(),
    })
}

fn unpack_parts(bytes: &[u8]) -> Option<Unpacked> {
    let (count, mut rest) = bytes.split_first_chunk()?;
    let mut prefixes = Vec::new();
    for _ in 0..u16::from_be_bytes(*count) {
        let (prefix, after) = rest.split_first_chunk()?;
        prefixes.push(u32::from_be_bytes(*prefix));
        rest = after;
    }
    let (count, mut rest) = rest.split_first_chunk()?;
    let mut keys = Vec::new();
    for _ in 0..u16::from_be_bytes(*count) {
        let (position, after) = rest.split_first_chunk()?;
        let (key, after) = after.split_first_chunk()?;
        keys.push((
            usize::from(u16::from_be_bytes(*position)),
            IdempotencyKey::from_bytes(*key),
        ));
        rest = after;
    }
    let (len, packed) = rest.split_first_chunk()?;
    let len = usize::try_from(u32::from_le_bytes(*len))
        .ok()
        .filter(|len| *len <= RUN_MAX_BYTES)?;
    let run = lz4_flex::block::decompress(packed, len).ok()?;
    Some(Unpacked {
        prefixes,
        keys,
        run,
    })
}

/// Counts in a run are bounded by [`RUN_MAX_BLOCKS`].
fn len16(len: usize) -> [u8; 2] {
    u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes()
}
