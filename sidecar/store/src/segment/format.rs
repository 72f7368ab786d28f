//! The parts of a segment file and what the catalogue keeps of it. Footer and catalogue entry are
//! `MessagePack` arrays whose elements never move, see [`crate::stored`].

use std::path::{Path, PathBuf};

use boboyka_strand::{Hash, Head, Hlc, PerType, Seq};
use uuid::Uuid;

use super::bloom::Bloom;
use super::gone::{GONE_KEY_LEN, Gone, GoneForm};
use super::index::{Checks, IndexSums};
use crate::counts::Counts;
use crate::error::Unreadable;
use crate::key::IdempotencyKey;
use crate::stored::{HeadForm, Stored, head_form, head_of};

/// First bytes of a segment file; the last one is the format's version.
pub(super) const MAGIC: &[u8; 8] = b"BBKSEG\0\x01";
/// First bytes of the file of a segment that was rewritten without payloads.
pub(super) const MAGIC_STRIPPED: &[u8; 8] = b"BBKSEG\0\x02";
/// Last bytes of a segment file.
pub(super) const END_MAGIC: &[u8; 8] = b"BBKEND\0\x01";
/// BLAKE3 derive-key context of a segment's digest.
pub(super) const DIGEST_CONTEXT: &str = "boboyka.sapixdb.com 2026-11 segment digest v1";
/// Magic and strand id.
pub(super) const HEADER_BYTES: usize = 24;
/// Place of the footer, digest, magic.
pub(super) const TRAILER_BYTES: usize = 8 + Hash::LEN + 8;
/// The same, as a length in the file.
pub(super) const TRAILER_LEN: u64 = TRAILER_BYTES as u64;
/// A hash index entry: the first four bytes of a hash, a position.
pub(crate) const HASH_ENTRY_LEN: usize = 6;
/// A key index entry: an idempotency key, a position.
pub(super) const KEY_ENTRY_LEN: usize = IdempotencyKey::LEN + 2;
/// Positions in the indexes have 16 bits.
pub(crate) const SEGMENT_MAX_BLOCKS: usize = u16::MAX as usize;

/// The longest frame when decompressed: a record of the largest size and all that stands around it are far below. A
/// damaged length must not make the store ask for gigabytes.
pub(super) const FRAME_MAX_BYTES: u32 = 8 * 1024 * 1024;

/// What is known of a segment without opening it; also the first part of its footer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentMeta {
    /// The strand it is of.
    pub(crate) strand: Uuid,
    /// The head before its first block.
    pub(crate) before: Head,
    /// Its last block.
    pub(crate) head: Head,
    /// Blocks per record type.
    pub(crate) counts: PerType<u32>,
    /// Blocks with an idempotency key.
    pub(crate) keys: u32,
    /// Length of all payloads before compression.
    pub(crate) payload_bytes: u64,
    /// When it was sealed.
    pub(crate) sealed_at_ms: u64,
    /// Where the frames end and the hash index begins.
    pub(crate) frames_end: u64,
    /// What is gone of it; `None` for a segment that was never rewritten.
    pub(crate) gone: Option<Gone>,
}

impl SegmentMeta {
    pub(crate) fn first_seq(&self) -> Seq {
        self.before.seq.saturating_add(1)
    }

    /// How many blocks it has.
    pub(crate) fn len(&self) -> u64 {
        self.head.seq.saturating_sub(self.before.seq)
    }

    /// Adds its blocks per record type to counts.
    pub(crate) fn add_to(&self, counts: &mut PerType<u64>) {
        for (record_type, more) in self.counts {
            counts[record_type] += u64::from(more);
        }
    }

    pub(super) fn key_index_at(&self) -> u64 {
        let len = self.len().saturating_mul(HASH_ENTRY_LEN as u64);
        self.frames_end.saturating_add(len)
    }

    pub(super) fn bloom_at(&self) -> u64 {
        let len = u64::from(self.keys) * KEY_ENTRY_LEN as u64;
        self.key_index_at().saturating_add(len)
    }

    pub(crate) fn gone_keys_at(&self) -> u64 {
        self.bloom_at().saturating_add(Bloom::len_for(self.keys))
    }

    pub(super) fn footer_at(&self) -> u64 {
        let keys = self.gone.map_or(0, |gone| u64::from(gone.keys));
        self.gone_keys_at()
            .saturating_add(keys * GONE_KEY_LEN as u64)
    }

    /// The name of its file.
    pub(crate) fn file_name(&self) -> String {
        let first_seq = self.first_seq();
        match self.gone {
            Some(Gone { times, .. }) => format!("{first_seq:020}-{times}.seg"),
            None => Segment::file_name(first_seq),
        }
    }

    /// When a block of it was appended. Times in the strand stay ahead after the clock was ahead once; the clock was right
    /// again when the segment was sealed, and no block is younger than that.
    pub(crate) fn appended_ms(&self, block: Hlc) -> u64 {
        block.ms().min(self.sealed_at_ms)
    }

    /// Records of each type that may still have a payload to lose.
    pub(crate) fn held(&self) -> PerType<u64> {
        let went = self.gone.map(|gone| gone.types).unwrap_or_default();
        self.counts
            .map(|kind, count| if went[kind] { 0 } else { u64::from(count) })
    }
}

/// A frame: a compressed run in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Where it begins.
    pub(super) at: u64,
    /// Its length in the file.
    pub(super) len: u32,
    /// Its length when decompressed.
    pub(super) raw_len: u32,
    /// Its first block.
    pub(crate) first_seq: Seq,
    /// Time of its first block, packed.
    pub(crate) first_hlc: u64,
    /// Blocks per record type.
    pub(crate) counts: PerType<u16>,
}

/// What stands behind the indexes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Footer {
    pub(super) meta: SegmentMeta,
    pub(super) frames: Vec<Frame>,
}

impl Footer {
    /// Whether its frames follow one another and hold what the segment holds. A reader skips a frame for what the list
    /// says of it, so a list that is wrong would hide blocks.
    pub(super) fn lists_all(&self) -> bool {
        let (mut at, mut seq) = (HEADER_BYTES as u64, self.meta.before.seq);
        let (mut hlc, mut counts) = (self.meta.before.hlc.get(), PerType::<u32>::default());
        for frame in &self.frames {
            if (frame.at, frame.first_seq) != (at, seq.saturating_add(1)) || frame.first_hlc <= hlc
            {
                return false;
            }
            at = at.saturating_add(u64::from(frame.len));
            hlc = frame.first_hlc;
            for (record_type, more) in frame.counts {
                counts[record_type] = counts[record_type].saturating_add(u32::from(more));
                seq = seq.saturating_add(u64::from(more));
            }
        }
        let (end, head) = (self.meta.frames_end, &self.meta.head);
        (at, seq, counts) == (end, head.seq, self.meta.counts) && hlc <= head.hlc.get()
    }
}

/// A segment as the catalogue knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// What its footer says.
    pub(crate) meta: SegmentMeta,
    /// Digest over the file up to the digest itself.
    pub(crate) digest: Hash,
    /// Length of the file.
    pub(crate) file_len: u64,
    /// Of its indexes; a segment of an earlier version has none.
    pub(super) sums: Option<IndexSums>,
    /// What checks of its indexes have found; not part of the catalogue's entry.
    pub(super) checks: Checks,
    /// Where the file lies; not part of the catalogue's entry.
    pub(super) path: PathBuf,
}

impl Segment {
    /// The name of the file of a segment that begins with `first_seq` and was never rewritten.
    pub(crate) fn file_name(first_seq: Seq) -> String {
        format!("{first_seq:020}.seg")
    }

    /// The first seq that a name tells of, and how often the segment was rewritten.
    pub(crate) fn parse_name(name: &str) -> Option<(Seq, u32)> {
        let name = name.strip_suffix(".seg")?;
        match name.split_once('-') {
            Some((seq, times)) => Some((seq.parse().ok()?, times.parse().ok()?)),
            None => Some((name.parse().ok()?, 0)),
        }
    }

    /// The same segment, its file in `folder`.
    pub(crate) fn in_folder(mut self, folder: &Path) -> Self {
        self.path = folder.join(self.meta.file_name());
        self
    }

    /// Whether a block is in it.
    pub(crate) fn holds(&self, seq: Seq) -> bool {
        (self.meta.first_seq()..=self.meta.head.seq).contains(&seq)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// Strand id, head before it, last head, counts, keys, payload bytes, sealed at (ms), end of the frames.
type MetaForm = (Uuid, HeadForm, HeadForm, Counts<u32>, u32, u64, u64, u64);
/// Place, length, length when decompressed, first seq, first packed time, counts.
type FrameForm = (u64, u32, u32, Seq, u64, Counts<u16>);

fn meta_form(meta: &SegmentMeta) -> MetaForm {
    (
        meta.strand,
        head_form(&meta.before),
        head_form(&meta.head),
        Counts(meta.counts),
        meta.keys,
        meta.payload_bytes,
        meta.sealed_at_ms,
        meta.frames_end,
    )
}

fn meta_of(form: MetaForm) -> SegmentMeta {
    let (strand, before, head, counts, keys, payload_bytes, sealed_at_ms, frames_end) = form;
    SegmentMeta {
        strand,
        before: head_of(before),
        head: head_of(head),
        counts: counts.0,
        keys,
        payload_bytes,
        sealed_at_ms,
        frames_end,
        gone: None,
    }
}

/// Hashes of the hash index, the key index and the filter.
type SumsForm = (Hash, Hash, Hash);

/// The catalogue's entry: what the footer says, digest, length of the file, hashes of the indexes or nil, what is gone. An
/// entry of a segment that was never rewritten ends before the last of these, one of an earlier version before the last two.
impl Stored for Segment {
    const NAME: &'static str = "catalogue entry";
    type Form = (MetaForm, Hash, u64, Option<SumsForm>);

    fn to_form(&self) -> Self::Form {
        let sums = self.sums.map(|sums| (sums.hashes, sums.keys, sums.filter));
        (meta_form(&self.meta), self.digest, self.file_len, sums)
    }

    fn from_form((meta, digest, file_len, sums): Self::Form) -> Result<Self, String> {
        let sums = sums.map(|(hashes, keys, filter)| IndexSums {
            hashes,
            keys,
            filter,
        });
        Ok(Self {
            meta: meta_of(meta),
            digest,
            file_len,
            sums,
            checks: Checks::default(),
            path: PathBuf::new(),
        })
    }

    fn to_bytes(&self) -> Result<Vec<u8>, Unreadable> {
        let (meta, digest, file_len, sums) = self.to_form();
        let bytes = match &self.meta.gone {
            Some(gone) => rmp_serde::to_vec(&(meta, digest, file_len, sums, gone.to_form())),
            None => rmp_serde::to_vec(&(meta, digest, file_len, sums)),
        };
        bytes.map_err(|error| Self::unreadable(error.to_string()))
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, Unreadable> {
        type Stripped = (MetaForm, Hash, u64, Option<SumsForm>, GoneForm);
        if let Ok((meta, digest, file_len, sums, gone)) = rmp_serde::from_slice::<Stripped>(bytes) {
            let mut segment =
                Self::from_form((meta, digest, file_len, sums)).map_err(Self::unreadable)?;
            segment.meta.gone = Some(Gone::of_form(gone));
            return Ok(segment);
        }
        let form = rmp_serde::from_slice::<Self::Form>(bytes).or_else(|error| {
            let earlier = rmp_serde::from_slice::<(MetaForm, Hash, u64)>(bytes);
            let (meta, digest, file_len) = earlier.map_err(|_| error)?;
            Ok((meta, digest, file_len, None))
        });
        let form =
            form.map_err(|error: rmp_serde::decode::Error| Self::unreadable(error.to_string()))?;
        Self::from_form(form).map_err(Self::unreadable)
    }
}

impl Stored for Footer {
    const NAME: &'static str = "footer";
    type Form = (MetaForm, Vec<FrameForm>);

    fn to_form(&self) -> Self::Form {
        let form = |frame: &Frame| {
            let counts = Counts(frame.counts);
            (
                frame.at,
                frame.len,
                frame.raw_len,
                frame.first_seq,
                frame.first_hlc,
                counts,
            )
        };
        (
            meta_form(&self.meta),
            self.frames.iter().map(form).collect(),
        )
    }

    fn from_form((meta, frames): Self::Form) -> Result<Self, String> {
        let frame = |(at, len, raw_len, first_seq, first_hlc, counts): FrameForm| Frame {
            at,
            len,
            raw_len,
            first_seq,
            first_hlc,
            counts: counts.0,
        };
        Ok(Self {
            meta: meta_of(meta),
            frames: frames.into_iter().map(frame).collect(),
        })
    }

    fn to_bytes(&self) -> Result<Vec<u8>, Unreadable> {
        let (meta, frames) = self.to_form();
        let bytes = match &self.meta.gone {
            Some(gone) => rmp_serde::to_vec(&(meta, frames, gone.to_form())),
            None => rmp_serde::to_vec(&(meta, frames)),
        };
        bytes.map_err(|error| Self::unreadable(error.to_string()))
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, Unreadable> {
        type Stripped = (MetaForm, Vec<FrameForm>, GoneForm);
        if let Ok((meta, frames, gone)) = rmp_serde::from_slice::<Stripped>(bytes) {
            let mut footer = Self::from_form((meta, frames)).map_err(Self::unreadable)?;
            footer.meta.gone = Some(Gone::of_form(gone));
            return Ok(footer);
        }
        let form = rmp_serde::from_slice(bytes);
        let form = form.map_err(|error| Self::unreadable(error.to_string()))?;
        Self::from_form(form).map_err(Self::unreadable)
    }
}
