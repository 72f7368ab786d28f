//! One frame: what a commit is in the journal. Pure: bytes in, bytes out.
//!
//! Layout, numbers big-endian:
//!
//! | offset | bytes | field |
//! | --- | --- | --- |
//! | 0 | 8 | magic |
//! | 8 | 4 | length of the body |
//! | 12 | 4 | flags: 1 for a frame that carries over what an earlier process wrote |
//! | 16 | 8 | generation of the file |
//! | 24 | 8 | nonce of the file |
//! | 32 | 8 | number; each frame's is the number of the one before plus one |
//! | 40 | 8 | first seq in it, 0 if it has no blocks |
//! | 48 | 8 | last seq in it, 0 if it has no blocks |
//! | 56 | 16 | checksum of the frame before |
//! | 72 | 8 | checksum of the header so far |
//! | 80 | … | body: entries |
//! | … | 16 | checksum of all before it |
//! | … | … | zeros up to a multiple of 512 |
//!
//! The checksums are BLAKE3 with the file's key.

use boboyka_strand::Seq;

/// First bytes of a frame; the last one is the format's version.
const MAGIC: &[u8; 8] = b"BBKFRM\0\x01";
/// Frames begin at multiples of this: a disk writes so much whole or not at all.
pub(crate) const ALIGN: usize = 512;
/// Length of the header.
pub(crate) const HEADER_LEN: usize = 80;
const CHECKED_LEN: usize = 72;
const SUM_LEN: usize = 16;
const CARRY: u32 = 1;

/// A frame's checksum.
pub(crate) type Sum = [u8; SUM_LEN];
/// The key of a file's checksums.
pub(crate) type Key = [u8; 32];

/// What a frame says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHead {
    pub(crate) generation: u64,
    pub(crate) nonce: u64,
    pub(crate) number: u64,
    pub(crate) first: Seq,
    pub(crate) last: Seq,
    /// It carries over what an earlier process wrote: the numbers before it may be missing.
    pub(crate) carry: bool,
    /// Checksum of the frame before.
    pub(crate) before: Sum,
}

/// A frame on its way: header, body and checksum are taken in order, in pieces of any length.
pub(crate) struct Encoder(blake3::Hasher);

impl Encoder {
    /// Begins a frame with a body of this length: adds the header to `out`.
    pub(crate) fn begin(key: &Key, head: &FrameHead, body_len: u32, out: &mut Vec<u8>) -> Self {
        out.extend_from_slice(&header(head, body_len, key));
        Self(blake3::Hasher::new_keyed(key))
    }

    /// Takes in the next piece, the header first.
    pub(crate) fn take(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// The checksum, which stands behind the body.
    pub(crate) fn end(self) -> Sum {
        let mut sum = Sum::default();
        self.0.finalize_xof().fill(&mut sum);
        sum
    }
}

/// The header at the beginning of `bytes`, with the length of the body; `None` when there is none that holds.
pub(crate) fn read_head(bytes: &[u8], key: &Key) -> Option<(FrameHead, u32)> {
    let (head, body_len) = unchecked_head(bytes)?;
    (bytes.get(..HEADER_LEN)? == header(&head, body_len, key)).then_some((head, body_len))
}

/// What the header at the beginning of `bytes` says, whoever wrote it.
pub(crate) fn unchecked_head(bytes: &[u8]) -> Option<(FrameHead, u32)> {
    let rest = bytes.get(..CHECKED_LEN)?.strip_prefix(MAGIC)?;
    let (body_len, rest) = rest.split_first_chunk()?;
    let (flags, mut rest) = rest.split_first_chunk()?;
    let mut number = || {
        let (number, after) = rest.split_first_chunk()?;
        rest = after;
        Some(u64::from_be_bytes(*number))
    };
    let head = FrameHead {
        generation: number()?,
        nonce: number()?,
        number: number()?,
        first: number()?,
        last: number()?,
        carry: u32::from_be_bytes(*flags) & CARRY != 0,
        before: rest.try_into().ok()?,
    };
    Some((head, u32::from_be_bytes(*body_len)))
}

/// The body and the checksum of the frame in `bytes`, which [`frame_len`] says how long to take; `None` when it does
/// not hold.
pub(crate) fn read_body<'a>(bytes: &'a [u8], body_len: u32, key: &Key) -> Option<(&'a [u8], Sum)> {
    let end = HEADER_LEN.checked_add(usize::try_from(body_len).ok()?)?;
    let (content, rest) = bytes.split_at_checked(end)?;
    let sum: Sum = *rest.first_chunk()?;
    (keyed(key, content) == sum).then_some((content.get(HEADER_LEN..)?, sum))
}

/// Length of a frame with a body of this length, with the zeros behind it.
pub(crate) fn frame_len(body_len: usize) -> usize {
    (HEADER_LEN + body_len + SUM_LEN).next_multiple_of(ALIGN)
}

fn header(head: &FrameHead, body_len: u32, key: &Key) -> [u8; HEADER_LEN] {
    let flags = if head.carry { CARRY } else { 0 };
    let mut bytes = Vec::with_capacity(HEADER_LEN);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&body_len.to_be_bytes());
    bytes.extend_from_slice(&flags.to_be_bytes());
    for number in [
        head.generation,
        head.nonce,
        head.number,
        head.first,
        head.last,
    ] {
        bytes.extend_from_slice(&number.to_be_bytes());
    }
    bytes.extend_from_slice(&head.before);
    let check: [u8; HEADER_LEN - CHECKED_LEN] = keyed(key, &bytes);
    bytes.extend_from_slice(&check);
    let mut header = [0; HEADER_LEN];
    header
        .iter_mut()
        .zip(bytes)
        .for_each(|(to, from)| *to = from);
    header
}

/// The first `N` bytes of the content's BLAKE3 under a key.
pub(crate) fn keyed<const N: usize>(key: &Key, content: &[u8]) -> [u8; N] {
    let mut sum = [0; N];
    blake3::Hasher::new_keyed(key)
        .update(content)
        .finalize_xof()
        .fill(&mut sum);
    sum
}

#[cfg(test)]
mod tests;
