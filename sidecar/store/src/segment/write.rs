//! Writing a segment: blocks in, a synced file out. Until the file has its final name, no reader finds it.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use boboyka_strand::{Block, Hash, Head, PerType, run};
use uuid::Uuid;

use super::bloom::Bloom;
use super::format::{
    DIGEST_CONTEXT, END_MAGIC, Footer, Frame, HASH_ENTRY_LEN, KEY_ENTRY_LEN, MAGIC, MAGIC_STRIPPED,
    Segment, SegmentMeta,
};
use super::gone::Gone;
use super::index::{Checks, IndexSums};
use crate::error::OpenError;
use crate::files::{self, failed};
use crate::key::IdempotencyKey;
use crate::stored::Stored as _;

/// Blocks per frame: what one lookup has to decompress.
const FRAME_BLOCKS: usize = 256;
/// Payload bytes after which a frame is closed early.
const FRAME_PAYLOAD_BYTES: usize = 256 * 1024;
/// The level at which compressing costs about as much as all else in sealing.
const ZSTD_LEVEL: i32 = 3;

/// A segment being written.
pub(crate) struct SegmentWriter {
    folder: PathBuf,
    unfinished: PathBuf,
    file: HashingFile,
    compressor: zstd::bulk::Compressor<'static>,
    meta: SegmentMeta,
    frames: Vec<Frame>,
    pending: Vec<Block>,
    pending_bytes: usize,
    hashes: Vec<(u32, u16)>,
    keys: Vec<(IdempotencyKey, u16)>,
    /// Of versions whose payload is gone.
    gone_keys: Vec<(u16, u64)>,
}

impl SegmentWriter {
    /// Begins the segment that follows `before`.
    pub(crate) fn create(folder: &Path, strand: Uuid, before: Head) -> Result<Self, OpenError> {
        Self::begin(folder, strand, before, None)
    }

    /// Begins a segment that takes the place of `earlier`, and of which payloads of these types are gone.
    pub(crate) fn stripping(
        folder: &Path,
        earlier: &SegmentMeta,
        types: PerType<bool>,
    ) -> Result<Self, OpenError> {
        let before = earlier.gone.unwrap_or_default();
        let gone = Gone {
            times: before.times + 1,
            types: types.map(|kind, goes| goes || before.types[kind]),
            ..Gone::default()
        };
        Self::begin(folder, earlier.strand, earlier.before, Some(gone))
    }

    fn begin(
        folder: &Path,
        strand: Uuid,
        before: Head,
        gone: Option<Gone>,
    ) -> Result<Self, OpenError> {
        let meta = SegmentMeta {
            strand,
            before,
            head: before,
            counts: PerType::default(),
            keys: 0,
            payload_bytes: 0,
            sealed_at_ms: 0,
            frames_end: 0,
            gone,
        };
        let unfinished = files::unfinished(&folder.join(meta.file_name()));
        let file = File::create(&unfinished).map_err(failed("create", &unfinished))?;
        let compressor =
            zstd::bulk::Compressor::new(ZSTD_LEVEL).map_err(failed("compress for", &unfinished))?;
        let mut writer = Self {
            folder: folder.to_owned(),
            unfinished,
            file: HashingFile::new(file),
            compressor,
            meta,
            frames: Vec::new(),
            pending: Vec::with_capacity(FRAME_BLOCKS),
            pending_bytes: 0,
            hashes: Vec::new(),
            keys: Vec::new(),
            gone_keys: Vec::new(),
        };
        writer.write(if gone.is_some() {
            MAGIC_STRIPPED
        } else {
            MAGIC
        })?;
        writer.write(strand.as_bytes())?;
        Ok(writer)
    }

    /// Where it is written until it has its name.
    pub(crate) fn unfinished(&self) -> &Path {
        &self.unfinished
    }

    /// The newest block that it has.
    pub(crate) fn head(&self) -> Head {
        let last = self.pending.last();
        last.map_or(self.meta.head, Head::of)
    }

    /// Adds the next block.
    pub(crate) fn push(
        &mut self,
        block: Block,
        key: Option<IdempotencyKey>,
    ) -> Result<(), OpenError> {
        let position = u16::try_from(self.hashes.len()).unwrap_or(u16::MAX);
        self.hashes.push((block.hash.prefix(), position));
        self.keys.extend(key.map(|key| (key, position)));
        self.meta.counts[block.header.record_type] += 1;
        self.pending_bytes += block.payload.len();
        self.pending.push(block);
        if self.pending.len() >= FRAME_BLOCKS || self.pending_bytes >= FRAME_PAYLOAD_BYTES {
            self.close_frame()?;
        }
        Ok(())
    }

    /// Adds the next block, whose payload is gone; `version_of` is the hash of the key that its record tells the state of.
    pub(crate) fn push_gone(
        &mut self,
        block: Block,
        key: Option<IdempotencyKey>,
        version_of: Option<u64>,
    ) -> Result<(), OpenError> {
        let position = u16::try_from(self.hashes.len()).unwrap_or(u16::MAX);
        if let Some(gone) = &mut self.meta.gone {
            gone.counts[block.header.record_type] += 1;
            gone.keys += u32::from(version_of.is_some());
        }
        self.gone_keys.extend(version_of.map(|key| (position, key)));
        self.push(block, key)
    }

    /// Writes what is left, syncs, and gives the file its name.
    pub(crate) fn finish(mut self, sealed_at_ms: u64) -> Result<Segment, OpenError> {
        self.close_frame()?;
        self.meta.sealed_at_ms = sealed_at_ms;
        self.meta.frames_end = self.file.at;
        let sums = self.write_indexes()?;
        let footer_at = self.file.at;
        let frames = std::mem::take(&mut self.frames);
        let footer = Footer {
            meta: self.meta.clone(),
            frames,
        };
        let footer = footer
            .to_bytes()
            .map_err(|error| failed("encode", &self.unfinished)(io::Error::other(error)))?;
        self.write(&footer)?;
        self.write(&footer_at.to_be_bytes())?;
        let digest = self.file.digest();
        self.write(digest.as_bytes())?;
        self.write(END_MAGIC)?;
        let file_len = self.file.at;
        let file = self.file.flushed();
        let file = file.map_err(failed("write", &self.unfinished))?;
        let segment = Segment {
            meta: self.meta,
            digest,
            file_len,
            sums: Some(sums),
            checks: Checks::default(),
            path: PathBuf::new(),
        };
        let segment = segment.in_folder(&self.folder);
        files::put_in_place(file, &self.unfinished, segment.path())
            .map_err(failed("finish", segment.path()))?;
        Ok(segment)
    }

    fn close_frame(&mut self) -> Result<(), OpenError> {
        let (Some(first), Some(last)) = (self.pending.first(), self.pending.last()) else {
            return Ok(());
        };
        let mut counts = PerType::<u16>::default();
        for block in &self.pending {
            counts[block.header.record_type] += 1;
        }
        let raw = run::encode(&self.meta.head, &self.pending);
        let packed = self
            .compressor
            .compress(&raw)
            .map_err(failed("compress for", &self.unfinished))?;
        self.frames.push(Frame {
            at: self.file.at,
            len: len32(packed.len()),
            raw_len: len32(raw.len()),
            first_seq: first.header.seq,
            first_hlc: first.header.timestamp_hlc.get(),
            counts,
        });
        self.meta.head = Head::of(last);
        self.meta.payload_bytes += self.pending_bytes as u64;
        self.write(&packed)?;
        self.pending.clear();
        self.pending_bytes = 0;
        Ok(())
    }

    fn write_indexes(&mut self) -> Result<IndexSums, OpenError> {
        self.hashes.sort_unstable();
        let mut hashes = Vec::with_capacity(self.hashes.len() * HASH_ENTRY_LEN);
        for (prefix, position) in &self.hashes {
            hashes.extend_from_slice(&prefix.to_be_bytes());
            hashes.extend_from_slice(&position.to_be_bytes());
        }
        self.keys.sort_unstable();
        let mut keyed = Vec::with_capacity(self.keys.len() * KEY_ENTRY_LEN);
        for (key, position) in &self.keys {
            keyed.extend_from_slice(key.as_bytes());
            keyed.extend_from_slice(&position.to_be_bytes());
        }
        self.meta.keys = len32(self.keys.len());
        let keys: Vec<_> = self.keys.iter().map(|(key, _)| *key).collect();
        let filter = Bloom::of(&keys);
        self.write(&hashes)?;
        self.write(&keyed)?;
        self.write(filter.as_bytes())?;
        for (position, key) in std::mem::take(&mut self.gone_keys) {
            self.write(&position.to_be_bytes())?;
            self.write(&key.to_be_bytes())?;
        }
        Ok(IndexSums::of(&hashes, &keyed, filter.as_bytes()))
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), OpenError> {
        self.file
            .write(bytes)
            .map_err(failed("write", &self.unfinished))
    }
}

/// A length that fits: frames and indexes are bounded far below 4 GiB.
fn len32(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// A file that hashes what is written to it.
struct HashingFile {
    file: BufWriter<File>,
    hasher: blake3::Hasher,
    at: u64,
}

impl HashingFile {
    fn new(file: File) -> Self {
        let hasher = blake3::Hasher::new_derive_key(DIGEST_CONTEXT);
        Self {
            file: BufWriter::with_capacity(64 * 1024, file),
            hasher,
            at: 0,
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.at += bytes.len() as u64;
        self.file.write_all(bytes)
    }

    fn digest(&self) -> Hash {
        Hash::from_bytes(*self.hasher.finalize().as_bytes())
    }

    fn flushed(&mut self) -> io::Result<&File> {
        self.file.flush()?;
        Ok(self.file.get_ref())
    }
}
