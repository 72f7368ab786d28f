//! A run: consecutive blocks as the store keeps them, before compression.
//!
//! Nothing is kept that can be computed: seqs follow from the first one, parents and payload hashes
//! from the blocks themselves. The run carries the hash before its first block and the hash of its
//! last, and decoding recomputes the chain between them, so a run that decodes is a run that holds.
//! Values of one kind lie together, which is what makes them compress.

mod varint;

use uuid::Uuid;

use crate::block::{Block, Flags, Header, Seq};
use crate::chain::Head;
use crate::hash::Hash;
use crate::hlc::Hlc;
use crate::record_id::{successor, with_ms};
use crate::record_type::RecordType;
use varint::{put_varint, take_varint};

/// The version of a run whose blocks have their payloads.
pub const RUN_VERSION: u8 = 1;
/// The version of a run in which payloads are gone.
pub const RUN_VERSION_GONE: u8 = 2;

/// Where payloads are gone: this block has its payload …
const HERE: u8 = 0;
/// … or only the payload's hash.
const GONE: u8 = 1;

/// How a record id is kept: the id before it plus one, in this block's millisecond …
const ID_SUCCESSOR: u8 = 0;
/// … or its last ten bytes, in this block's millisecond …
const ID_IN_MS: u8 = 1;
/// … or all sixteen.
const ID_WHOLE: u8 = 2;

/// Why a run can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// A newer version, or no run at all.
    #[error("run version {0} is not known")]
    Version(u8),
    /// The bytes end too early, go on too long, or say something impossible.
    #[error("the run is malformed at its {0}")]
    Malformed(&'static str),
    /// The blocks read do not lead to the recorded last hash: something in the run was altered.
    #[error("the run of seqs {first} to {last} does not lead to its recorded last hash")]
    Broken {
        /// The first seq.
        first: Seq,
        /// The last seq.
        last: Seq,
    },
}

/// The bytes of a run. `before` is the head before its first block.
///
/// The blocks must be at least one, consecutive and follow `before`: the store passes what it linked.
pub fn encode(before: &Head, blocks: &[Block]) -> Vec<u8> {
    let payloads: usize = blocks.iter().map(|block| block.payload.len()).sum();
    let mut out = Vec::with_capacity(96 + blocks.len() * 16 + payloads);
    let last_hash = blocks.last().map_or(before.hash, |block| block.hash);
    let has_gone = blocks.iter().any(Block::is_gone);
    out.push(if has_gone {
        RUN_VERSION_GONE
    } else {
        RUN_VERSION
    });
    put_varint(&mut out, blocks.len() as u64);
    put_varint(&mut out, before.seq + 1);
    out.extend_from_slice(before.hash.as_bytes());
    out.extend_from_slice(last_hash.as_bytes());
    out.extend(blocks.iter().map(|block| block.header.flags.bits()));
    out.extend(blocks.iter().map(|block| block.header.record_type.code()));
    for block in blocks {
        put_varint(&mut out, u64::from(block.header.schema_version));
    }
    let mut time = 0;
    for block in blocks {
        let hlc = block.header.timestamp_hlc.get();
        put_varint(&mut out, hlc - time);
        time = hlc;
    }
    encode_ids(&mut out, blocks);
    for block in blocks {
        put_varint(&mut out, u64::from(block.header.payload_len));
    }
    if has_gone {
        let mark = |block: &Block| if block.is_gone() { GONE } else { HERE };
        out.extend(blocks.iter().map(mark));
    }
    for block in blocks {
        if block.is_gone() {
            out.extend_from_slice(block.header.payload_hash.as_bytes());
        } else {
            out.extend_from_slice(&block.payload);
        }
    }
    out
}

fn encode_ids(out: &mut Vec<u8>, blocks: &[Block]) {
    let mut before = Uuid::nil();
    for block in blocks {
        let (id, ms) = (block.header.record_id, block.header.timestamp_hlc.ms());
        if id == successor(before, ms) {
            out.push(ID_SUCCESSOR);
        } else if id == with_ms(id.as_u128(), ms) {
            out.push(ID_IN_MS);
            out.extend(id.as_bytes().iter().skip(6));
        } else {
            out.push(ID_WHOLE);
            out.extend_from_slice(id.as_bytes());
        }
        before = id;
    }
}

/// A run as it was read: its blocks with their chain recomputed, and the last hash it should lead to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The blocks, their hashes computed from what was read.
    pub blocks: Vec<Block>,
    /// The hash of the last block as it was recorded.
    pub last_hash: Hash,
}

/// A run's blocks, checked.
///
/// # Errors
/// [`RunError`] when the bytes are no run or anything in it was altered.
pub fn decode(bytes: &[u8]) -> Result<Vec<Block>, RunError> {
    let run = read(bytes)?;
    match (run.blocks.first(), run.blocks.last()) {
        (Some(first), Some(last)) if last.hash != run.last_hash => Err(RunError::Broken {
            first: first.header.seq,
            last: last.header.seq,
        }),
        _ => Ok(run.blocks),
    }
}

/// Reads a run without asking whether it leads to its last hash: for finding out where it does not.
///
/// # Errors
/// [`RunError`] when the bytes are no run.
pub fn read(bytes: &[u8]) -> Result<Run, RunError> {
    let mut rest = bytes;
    let version = take(&mut rest, 1, "version")?
        .first()
        .copied()
        .unwrap_or_default();
    if ![RUN_VERSION, RUN_VERSION_GONE].contains(&version) {
        return Err(RunError::Version(version));
    }
    let count = usize::try_from(take_varint(&mut rest).ok_or(RunError::Malformed("count"))?)
        .ok()
        .filter(|count| (1..=rest.len()).contains(count))
        .ok_or(RunError::Malformed("count"))?;
    let first = take_varint(&mut rest).ok_or(RunError::Malformed("first seq"))?;
    let mut parent_hash = take_hash(&mut rest)?;
    let last_hash = take_hash(&mut rest)?;
    let flags = take(&mut rest, count, "flags")?;
    let types = take(&mut rest, count, "record types")?;
    let schemas = take_varints(&mut rest, count, "schema versions")?;
    let times = take_varints(&mut rest, count, "times")?;
    let ids = decode_ids(&mut rest, &times)?;
    let lens = take_varints(&mut rest, count, "payload lengths")?;
    let all_here = vec![HERE; count];
    let marks = match version {
        RUN_VERSION_GONE => take(&mut rest, count, "gone payloads")?,
        _ => &all_here,
    };

    let mut blocks = Vec::with_capacity(count);
    let mut hlc = 0u64;
    let columns = flags
        .iter()
        .zip(types)
        .zip(schemas)
        .zip(times)
        .zip(ids)
        .zip(lens)
        .zip(marks);
    for (seq, ((((((flags, kind), schema), time), record_id), len), mark)) in (first..).zip(columns)
    {
        hlc = hlc.checked_add(time).ok_or(RunError::Malformed("times"))?;
        let payload_len = u32::try_from(len).map_err(|_| RunError::Malformed("payload lengths"))?;
        let (payload, payload_hash) = take_payload(&mut rest, payload_len, *mark)?;
        let header = Header {
            flags: Flags::from_bits(*flags).ok_or(RunError::Malformed("flags"))?,
            schema_version: u16::try_from(schema)
                .map_err(|_| RunError::Malformed("schema versions"))?,
            record_type: RecordType::from_code(*kind).ok_or(RunError::Malformed("record types"))?,
            seq,
            record_id,
            timestamp_hlc: Hlc::new(hlc),
            parent_hash,
            payload_len,
            payload_hash,
        };
        let hash = header.hash();
        parent_hash = hash;
        blocks.push(Block {
            header,
            hash,
            payload: payload.to_vec(),
        });
    }
    if !rest.is_empty() {
        return Err(RunError::Malformed("end"));
    }
    Ok(Run { blocks, last_hash })
}

/// The payload of a block and its hash; of one that is gone the hash is all there is.
fn take_payload<'a>(rest: &mut &'a [u8], len: u32, mark: u8) -> Result<(&'a [u8], Hash), RunError> {
    match mark {
        HERE => {
            let len = usize::try_from(len).map_err(|_| RunError::Malformed("payload lengths"))?;
            let payload = take(rest, len, "payloads")?;
            Ok((payload, Hash::of_payload(payload)))
        }
        GONE if len > 0 => Ok((&[], take_hash(rest)?)),
        _ => Err(RunError::Malformed("gone payloads")),
    }
}

fn decode_ids(rest: &mut &[u8], times: &[u64]) -> Result<Vec<Uuid>, RunError> {
    const WHAT: &str = "record ids";
    let mut ids = Vec::with_capacity(times.len());
    let mut before = Uuid::nil();
    let mut hlc = 0u64;
    for time in times {
        hlc = hlc.wrapping_add(*time);
        let ms = Hlc::new(hlc).ms();
        let form = take(rest, 1, WHAT)?.first().copied();
        before = match form {
            Some(ID_SUCCESSOR) => successor(before, ms),
            Some(ID_IN_MS) => {
                let tail = take(rest, 10, WHAT)?;
                let tail = tail
                    .iter()
                    .fold(0u128, |id, byte| id << 8 | u128::from(*byte));
                with_ms(tail, ms)
            }
            Some(ID_WHOLE) => {
                Uuid::from_slice(take(rest, 16, WHAT)?).map_err(|_| RunError::Malformed(WHAT))?
            }
            _ => return Err(RunError::Malformed(WHAT)),
        };
        ids.push(before);
    }
    Ok(ids)
}

fn take<'a>(rest: &mut &'a [u8], len: usize, what: &'static str) -> Result<&'a [u8], RunError> {
    let (taken, after) = rest
        .split_at_checked(len)
        .ok_or(RunError::Malformed(what))?;
    *rest = after;
    Ok(taken)
}

fn take_hash(rest: &mut &[u8]) -> Result<Hash, RunError> {
    let bytes = take(rest, Hash::LEN, "hashes")?;
    bytes
        .try_into()
        .map(Hash::from_bytes)
        .map_err(|_| RunError::Malformed("hashes"))
}

fn take_varints(rest: &mut &[u8], count: usize, what: &'static str) -> Result<Vec<u64>, RunError> {
    (0..count)
        .map(|_| take_varint(rest).ok_or(RunError::Malformed(what)))
        .collect()
}
