//! The parts of a version file; `docs/strand-format.md` has the byte layout. Every part that is read by itself carries a
//! checksum, keyed with what the file is of and covering its place, so that a part of another file, or of another place, is
//! none either.

use boboyka_strand::{Hash, Seq};
use uuid::Uuid;

use super::entry::{Entry, KeyHash};

/// First bytes of a footer; the last one is the format's version.
const MAGIC: &[u8; 8] = b"BBKVER\0\x01";
/// BLAKE3 derive-key context of a file's checksums.
const CONTEXT: &str = "boboyka.sapixdb.com 2026-11 version file v1";
const SUM_LEN: usize = 8;

/// What one lookup reads.
pub(super) const PAGE_LEN: usize = 4096;
/// Entries of a page; all but the last are full.
pub(super) const PAGE_ENTRIES: usize = 314;
const PAGE_COUNT_AT: usize = PAGE_LEN - SUM_LEN - 2;

/// The filter over some pages.
pub(super) const FILTER_LEN: usize = 512;
/// How many pages it is over.
pub(super) const FILTER_PAGES: usize = 2;
const FILTER_BYTES: usize = FILTER_LEN - SUM_LEN;
/// With six bits for each entry, four probes rule out all but some in a hundred.
const PROBES: u32 = 4;

pub(super) const FOOTER_LEN: usize = 112;

/// A part of the file: its kind, and its number among those of the kind.
#[derive(Clone, Copy)]
pub(super) enum Part {
    Page(u64),
    Filter(u64),
    Fences,
    Footer,
}

/// Makes the checksums of one file.
#[derive(Clone, Debug)]
pub(super) struct Sums([u8; 32]);

impl Sums {
    pub(super) fn of(strand: Uuid, range: &Range) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
        hasher.update(strand.as_bytes());
        hasher.update(&range.first.to_be_bytes());
        hasher.update(&range.last.to_be_bytes());
        hasher.update(range.last_hash.as_bytes());
        Self(*hasher.finalize().as_bytes())
    }

    pub(super) fn sum(&self, part: Part, content: &[u8]) -> [u8; SUM_LEN] {
        let (kind, number) = match part {
            Part::Page(number) => (0u8, number),
            Part::Filter(number) => (1, number),
            Part::Fences => (2, 0),
            Part::Footer => (3, 0),
        };
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(content);
        hasher.update(&[kind]);
        hasher.update(&number.to_be_bytes());
        let mut sum = [0; SUM_LEN];
        hasher.finalize_xof().fill(&mut sum);
        sum
    }

    /// The content of a part that ends with its checksum, if that holds.
    fn checked<'a>(&self, part: Part, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let (content, sum) = bytes.split_last_chunk::<SUM_LEN>()?;
        (self.sum(part, content) == *sum).then_some(content)
    }
}

/// The blocks that a file covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    /// The first block.
    pub(crate) first: Seq,
    /// The last block.
    pub(crate) last: Seq,
    /// Its hash, which stands for all blocks before it.
    pub(crate) last_hash: Hash,
}

/// The page of these entries, at most [`PAGE_ENTRIES`].
pub(super) fn page(sums: &Sums, number: u64, entries: &[Entry]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(PAGE_LEN);
    for entry in entries {
        bytes.extend_from_slice(&entry.to_bytes());
    }
    bytes.resize(PAGE_COUNT_AT, 0);
    let count = u16::try_from(entries.len()).unwrap_or(u16::MAX);
    bytes.extend_from_slice(&count.to_be_bytes());
    let sum = sums.sum(Part::Page(number), &bytes);
    bytes.extend_from_slice(&sum);
    bytes
}

/// The entries of a page, if it holds.
pub(super) fn entries_of(sums: &Sums, number: u64, bytes: &[u8]) -> Option<Vec<Entry>> {
    let content = sums.checked(Part::Page(number), bytes)?;
    let (entries, count) = content.split_last_chunk::<2>()?;
    let (entries, _) = entries.as_chunks::<{ Entry::LEN }>();
    let count = usize::from(u16::from_be_bytes(*count));
    let entries = entries.get(..count)?;
    Some(entries.iter().map(Entry::from_bytes).collect())
}

/// The filter of these entries, those of [`FILTER_PAGES`] pages.
pub(super) fn filter(sums: &Sums, number: u64, entries: &[Entry]) -> Vec<u8> {
    let mut bytes = vec![0; FILTER_BYTES];
    for entry in entries {
        for (byte, mask) in probes(entry.key) {
            if let Some(byte) = bytes.get_mut(byte) {
                *byte |= mask;
            }
        }
    }
    let sum = sums.sum(Part::Filter(number), &bytes);
    bytes.extend_from_slice(&sum);
    bytes
}

/// Whether a filter's pages may have an entry of the key; `None` if the filter does not hold.
pub(super) fn may_hold(sums: &Sums, number: u64, bytes: &[u8], key: KeyHash) -> Option<bool> {
    let filter = sums.checked(Part::Filter(number), bytes)?;
    let is_set = |(byte, mask)| filter.get(byte).is_some_and(|bits: &u8| bits & mask != 0);
    Some(probes(key).all(is_set))
}

/// The bits that stand for a key: byte and mask each. The keys of one filter begin alike, so their bits are mixed first.
fn probes(key: KeyHash) -> impl Iterator<Item = (usize, u8)> {
    const BITS: u64 = FILTER_BYTES as u64 * 8;
    let mixed = key.get().wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let (start, step) = (mixed >> 32, (mixed & u64::from(u32::MAX)) | 1);
    (0..u64::from(PROBES)).map(move |probe| {
        let bit = (start + probe * step) % BITS;
        let byte = usize::try_from(bit / 8).unwrap_or(usize::MAX);
        (byte, 1 << (bit % 8))
    })
}

/// The last part of a file: what it is of, and where its other parts are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Footer {
    pub(super) strand: Uuid,
    pub(super) range: Range,
    pub(super) level: u64,
    pub(super) entries: u64,
    pub(super) pages: u64,
    /// Room for filters before the first page; those behind the last one in use are zeros.
    pub(super) filters: u64,
}

impl Footer {
    pub(super) fn to_bytes(self, sums: &Sums) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(FOOTER_LEN);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(self.strand.as_bytes());
        bytes.extend_from_slice(&self.range.first.to_be_bytes());
        bytes.extend_from_slice(&self.range.last.to_be_bytes());
        bytes.extend_from_slice(self.range.last_hash.as_bytes());
        for number in [self.level, self.entries, self.pages, self.filters] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        let sum = sums.sum(Part::Footer, &bytes);
        bytes.extend_from_slice(&sum);
        bytes
    }

    /// The footer and the file's checksums, if it holds.
    pub(super) fn read(bytes: &[u8; FOOTER_LEN]) -> Option<(Self, Sums)> {
        let mut rest = bytes.strip_prefix(MAGIC)?;
        let strand = Uuid::from_bytes(take(&mut rest)?);
        let range = Range {
            first: take_number(&mut rest)?,
            last: take_number(&mut rest)?,
            last_hash: Hash::from_bytes(take(&mut rest)?),
        };
        let footer = Self {
            strand,
            range,
            level: take_number(&mut rest)?,
            entries: take_number(&mut rest)?,
            pages: take_number(&mut rest)?,
            filters: take_number(&mut rest)?,
        };
        let sums = Sums::of(strand, &range);
        sums.checked(Part::Footer, bytes)?;
        Some((footer, sums))
    }

    pub(super) fn pages_at(&self) -> u64 {
        self.filters.saturating_mul(FILTER_LEN as u64)
    }

    pub(super) fn fences_at(&self) -> u64 {
        let pages = self.pages.saturating_mul(PAGE_LEN as u64);
        self.pages_at().saturating_add(pages)
    }

    pub(super) fn fences_len(&self) -> u64 {
        let fences = self.pages.saturating_mul(Entry::LEN as u64);
        fences.saturating_add(SUM_LEN as u64)
    }
}

/// The first entry of each page, as they lie in the file.
pub(super) fn fences(sums: &Sums, fences: &[Entry]) -> Vec<u8> {
    let mut bytes: Vec<u8> = fences.iter().flat_map(|entry| entry.to_bytes()).collect();
    let sum = sums.sum(Part::Fences, &bytes);
    bytes.extend_from_slice(&sum);
    bytes
}

/// The first entry of each page, if what was read holds.
pub(super) fn fences_of(sums: &Sums, bytes: &[u8]) -> Option<Box<[Entry]>> {
    let (fences, _) = sums.checked(Part::Fences, bytes)?.as_chunks();
    Some(fences.iter().map(Entry::from_bytes).collect())
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*taken)
}

fn take_number(rest: &mut &[u8]) -> Option<u64> {
    take(rest).map(u64::from_be_bytes)
}
