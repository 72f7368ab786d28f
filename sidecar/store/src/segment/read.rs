//! Reading a segment: its footer, single frames, lookups by hash and by idempotency key.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use boboyka_strand::{Block, Break, ChainError, Hash, Seq, run};

use super::bloom::Bloom;
use super::format::{
    END_MAGIC, FRAME_MAX_BYTES, Footer, Frame, HASH_ENTRY_LEN, HEADER_BYTES, KEY_ENTRY_LEN, MAGIC,
    MAGIC_STRIPPED, Segment, TRAILER_BYTES, TRAILER_LEN,
};
use super::found;
use super::index::{Checks, sum};
use super::search::SortedIndex;
use crate::error::ReadError;
use crate::key::IdempotencyKey;
use crate::stored::Stored as _;

/// The longest footer that is read: one of a full segment of one-block frames is far below.
const FOOTER_MAX_BYTES: u64 = 16 * 1024 * 1024;

/// A segment whose file is open and whose frames are known.
pub(crate) struct OpenSegment<'a> {
    pub(super) segment: &'a Segment,
    pub(super) file: File,
    frames: Vec<Frame>,
}

impl Segment {
    /// Opens the file for reading blocks, also without a footer that holds.
    pub(crate) fn open(&self) -> Result<OpenSegment<'_>, ReadError> {
        let file = self.open_file()?;
        let frames = self.read_footer(&file).map(|footer| footer.frames);
        let frames = frames.or_else(|error| found::frames(self, &file).ok_or(error))?;
        Ok(OpenSegment {
            segment: self,
            file,
            frames,
        })
    }

    /// Reads a segment's footer and trailer, without the catalogue.
    pub(crate) fn discover(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let file_len = file.metadata()?.len();
        let trailer_at = file_len
            .checked_sub(TRAILER_LEN)
            .filter(|at| *at >= HEADER_BYTES as u64)
            .ok_or_else(|| malformed("too short"))?;
        let mut header = [0; HEADER_BYTES];
        file.read_exact_at(&mut header, 0)?;
        let mut trailer = [0; TRAILER_BYTES];
        file.read_exact_at(&mut trailer, trailer_at)?;
        let is_stripped = header.starts_with(MAGIC_STRIPPED);
        if !is_stripped && !header.starts_with(MAGIC) || !trailer.ends_with(END_MAGIC) {
            return Err(malformed("no segment, or one of another version"));
        }
        let (footer_at, rest) = trailer
            .split_first_chunk()
            .ok_or_else(|| malformed("trailer"))?;
        let (digest, _) = rest
            .split_first_chunk()
            .ok_or_else(|| malformed("trailer"))?;
        let footer = footer_between(&file, u64::from_be_bytes(*footer_at), trailer_at)?;
        if header.get(8..) != Some(footer.meta.strand.as_bytes()) {
            return Err(malformed("header and footer name different strands"));
        }
        let digest = Hash::from_bytes(*digest);
        let segment = Self {
            meta: footer.meta,
            digest,
            file_len,
            sums: None,
            checks: Checks::default(),
            path: path.to_owned(),
        };
        if is_stripped != segment.meta.gone.is_some() {
            return Err(malformed("header and footer name different versions"));
        }
        if segment.meta.footer_at() != u64::from_be_bytes(*footer_at) {
            return Err(malformed("its footer and its length disagree"));
        }
        Ok(segment)
    }

    /// The filter over its idempotency keys.
    pub(crate) fn read_bloom(&self) -> Result<Bloom, ReadError> {
        if self.meta.keys == 0 {
            return Ok(Bloom::from_bytes(Vec::new()));
        }
        let len = usize::try_from(Bloom::len_for(self.meta.keys)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; len];
        let file = self.open_file()?;
        file.read_exact_at(&mut bytes, self.meta.bloom_at())
            .map_err(|e| self.io(e))?;
        if self.sums.is_some_and(|sums| sums.filter != sum(&bytes)) {
            let file = self.path.display().to_string();
            tracing::error!(
                file,
                "the key filter of the segment {file} is damaged and not used: restore the file from a backup"
            );
            return Ok(Bloom::of_anything());
        }
        Ok(Bloom::from_bytes(bytes))
    }

    /// The seqs of blocks whose hash begins like `hash`: hardly ever more than one.
    pub(crate) fn seqs_like(&self, hash: &Hash) -> Result<Vec<Seq>, ReadError> {
        let file = self.open_file()?;
        if !self.hash_index_holds(&file)? {
            return self.scan(hash);
        }
        let found = self
            .hash_index()
            .find(&file, hash.prefix())
            .map_err(|e| self.io(e))?;
        Ok(found.iter().map(|entry| self.seq_of(entry)).collect())
    }

    /// The same, without the index.
    fn scan(&self, hash: &Hash) -> Result<Vec<Seq>, ReadError> {
        let open = self.open()?;
        let mut damage = None;
        for frame in open.frames() {
            match open.read(frame) {
                Ok(blocks) => {
                    if let Some(found) = blocks.iter().find(|block| block.hash == *hash) {
                        return Ok(vec![found.header.seq]);
                    }
                }
                // The block may well be in a frame that can be read.
                Err(error) => damage = Some(error),
            }
        }
        damage.map_or(Ok(Vec::new()), Err)
    }

    /// The newest block with this idempotency key.
    pub(crate) fn seq_of_key(&self, key: IdempotencyKey) -> Result<Option<Seq>, ReadError> {
        let index = self.key_index();
        let file = self.open_file()?;
        if !self.key_index_holds(&file)? {
            // The keys are nowhere else.
            return Err(self.damaged("its key index is not the one that was sealed"));
        }
        let found = index.find(&file, key.prefix()).map_err(|e| self.io(e))?;
        let matching = found
            .iter()
            .filter(|entry| entry.starts_with(key.as_bytes()));
        Ok(matching.map(|entry| self.seq_of(entry)).max())
    }

    pub(super) fn key_index(&self) -> SortedIndex {
        SortedIndex {
            at: self.meta.key_index_at(),
            entries: usize::try_from(self.meta.keys).unwrap_or(usize::MAX),
            entry_len: KEY_ENTRY_LEN,
        }
    }

    /// The whole hash index, as it lies in the file.
    pub(crate) fn read_hash_index(&self) -> io::Result<Vec<u8>> {
        let index = self.hash_index();
        index.read(&File::open(&self.path)?, 0, index.entries)
    }

    pub(super) fn hash_index(&self) -> SortedIndex {
        SortedIndex {
            at: self.meta.frames_end,
            entries: usize::try_from(self.meta.len()).unwrap_or(usize::MAX),
            entry_len: HASH_ENTRY_LEN,
        }
    }

    /// The seq whose position an index entry ends with.
    pub(super) fn seq_of(&self, entry: &[u8]) -> Seq {
        let position = entry
            .last_chunk()
            .map_or(0, |bytes| u16::from_be_bytes(*bytes));
        self.meta.first_seq() + u64::from(position)
    }

    pub(super) fn open_file(&self) -> Result<File, ReadError> {
        File::open(&self.path).map_err(|error| self.io(error))
    }

    fn read_footer(&self, file: &File) -> Result<Footer, ReadError> {
        let end = self.file_len - TRAILER_LEN;
        let footer =
            footer_between(file, self.meta.footer_at(), end).map_err(|error| self.io(error))?;
        if footer.meta != self.meta {
            return Err(self.damaged("its footer is not the one that was catalogued"));
        }
        if !footer.lists_all() {
            return Err(self.damaged("its list of frames is damaged"));
        }
        Ok(footer)
    }

    pub(super) fn io(&self, source: io::Error) -> ReadError {
        ReadError::Io {
            path: self.path.clone(),
            source,
        }
    }

    /// The whole segment can't be read.
    pub(crate) fn damaged(&self, why: &str) -> ReadError {
        let (first, last) = (self.meta.first_seq(), self.meta.head.seq);
        let reason = Break::Unreadable(why.to_owned());
        ReadError::Damaged {
            first,
            last,
            source: ChainError { seq: first, reason },
        }
    }
}

impl OpenSegment<'_> {
    /// All frames, oldest first.
    pub(crate) fn frames(&self) -> &[Frame] {
        &self.frames
    }

    /// The frame that holds a block.
    pub(crate) fn frame_of(&self, seq: Seq) -> Option<&Frame> {
        let after = self.frames.partition_point(|frame| frame.first_seq <= seq);
        self.frames.get(after.checked_sub(1)?)
    }

    /// A frame's blocks, their chain recomputed and checked against the frame's last hash.
    pub(crate) fn read(&self, frame: &Frame) -> Result<Vec<Block>, ReadError> {
        let raw = self.read_raw(frame)?;
        run::decode(&raw).map_err(|error| Self::unreadable(frame, error.to_string()))
    }

    /// A frame's run, decompressed.
    pub(super) fn read_raw(&self, frame: &Frame) -> Result<Vec<u8>, ReadError> {
        let end = frame.at.saturating_add(u64::from(frame.len));
        if frame.raw_len > FRAME_MAX_BYTES || end > self.segment.meta.frames_end {
            return Err(Self::unreadable(
                frame,
                "its length means nothing".to_owned(),
            ));
        }
        let mut packed = vec![0; frame.len as usize];
        self.file
            .read_exact_at(&mut packed, frame.at)
            .map_err(|e| self.segment.io(e))?;
        // What the footer says of it may be damaged.
        let raw_len = found::raw_len_of(&packed).unwrap_or(frame.raw_len);
        zstd::bulk::decompress(&packed, raw_len as usize)
            .map_err(|error| Self::unreadable(frame, error.to_string()))
    }

    pub(super) fn unreadable(frame: &Frame, why: String) -> ReadError {
        let blocks: u64 = frame.counts.values().copied().map(u64::from).sum();
        let last = frame.first_seq.saturating_add(blocks.saturating_sub(1));
        let source = ChainError {
            seq: frame.first_seq,
            reason: Break::Unreadable(why),
        };
        ReadError::Damaged {
            first: frame.first_seq,
            last,
            source,
        }
    }
}

fn footer_between(file: &File, at: u64, end: u64) -> io::Result<Footer> {
    let len = end
        .checked_sub(at)
        .filter(|len| *len <= FOOTER_MAX_BYTES)
        .ok_or_else(|| malformed("its footer lies outside of the file"))?;
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
    file.read_exact_at(&mut bytes, at)?;
    Footer::from_bytes(&bytes).map_err(|error| malformed(&error.to_string()))
}

fn malformed(why: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("not a whole segment: {why}"),
    )
}
