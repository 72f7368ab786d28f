//! Checking a segment whole: the chain block by block, then the digest over the file.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt as _;

use boboyka_strand::{Block, Break, ChainError, Hash, Head, PerType, run};

use super::follow::follow;
use super::format::{DIGEST_CONTEXT, END_MAGIC, Footer, Segment, TRAILER_BYTES, TRAILER_LEN};
use super::read::OpenSegment;
use super::search::begins;
use crate::error::{ReadError, causes};
use crate::stored::Stored as _;

/// The digest and the magic behind it.
const AFTER_DIGESTED: u64 = TRAILER_LEN - 8;

impl Segment {
    /// Follows the chain through the segment from `before`. `progress` is called after every frame, with
    /// its blocks, and may end the walk.
    ///
    /// # Errors
    /// The first seq that does not hold. A digest that differs although every block holds names
    /// the first seq: something else in the file was altered.
    pub(crate) fn verify(
        &self,
        before: Head,
        progress: &mut dyn FnMut(Head, &[Block]) -> ControlFlow<()>,
    ) -> Result<Head, ChainError> {
        let first = self.meta.first_seq();
        let open = self.open().map_err(|error| broken_at(first, error))?;
        let prefixes = open.prefixes().map_err(|error| broken_at(first, error))?;
        let mut at = before;
        let mut gone = PerType::<u32>::default();
        let mut prefixes = prefixes.into_iter();
        let mut differs = None;
        for frame in open.frames() {
            let raw = open
                .read_raw(frame)
                .map_err(|error| broken_at(frame.first_seq, error))?;
            let run = run::read(&raw).map_err(|error| ChainError {
                seq: frame.first_seq,
                reason: Break::Unreadable(error.to_string()),
            })?;
            at = match follow(at, &run, prefixes.by_ref(), &mut differs) {
                Ok(next) => next,
                // The index tells which block it was.
                Err(error) => return Err(differs.unwrap_or(error)),
            };
            for block in run.blocks.iter().filter(|block| block.is_gone()) {
                gone[block.header.record_type] += 1;
            }
            if progress(at, &run.blocks).is_break() {
                return differs.map_or(Ok(at), Err);
            }
        }
        if at != self.meta.head {
            return Err(differs.unwrap_or(ChainError {
                seq: at.seq + 1,
                reason: Break::Missing,
            }));
        }
        if gone != self.meta.gone.unwrap_or_default().counts {
            let why =
                "the chain holds, but other payloads are gone than the segment says".to_owned();
            let reason = Break::Unreadable(why);
            return Err(ChainError { seq: first, reason });
        }
        if let Some(ChainError { seq, .. }) = differs {
            // The chain leads to the recorded head, so no block was altered.
            let why = "the blocks hold, but the segment's hash index is damaged".to_owned();
            let reason = Break::Unreadable(why);
            return Err(ChainError { seq, reason });
        }
        if self
            .digest_of(&open.file)
            .map_err(|error| broken_at(first, self.io(error)))?
            != self.digest
        {
            let why = "the blocks hold, but the file's digest differs".to_owned();
            return Err(ChainError {
                seq: first,
                reason: Break::Unreadable(why),
            });
        }
        if !self
            .ends_well(&open.file)
            .map_err(|error| broken_at(first, self.io(error)))?
        {
            let why = "the blocks hold, but the file's end is damaged".to_owned();
            return Err(ChainError {
                seq: first,
                reason: Break::Unreadable(why),
            });
        }
        Ok(at)
    }

    /// Whether digest and magic stand at the file's end, and nothing behind them: no digest covers them.
    fn ends_well(&self, file: &File) -> io::Result<bool> {
        let len = usize::try_from(AFTER_DIGESTED).unwrap_or(usize::MAX);
        let mut end = vec![0; len];
        file.read_exact_at(&mut end, self.digested_len())?;
        let (digest, magic) = end.split_at(Hash::LEN);
        let whole = digest == self.digest.as_bytes() && magic == END_MAGIC;
        Ok(whole && file.metadata()?.len() == self.file_len)
    }

    /// The digest over the file as it is.
    pub(super) fn digest_of(&self, mut file: &File) -> io::Result<Hash> {
        let mut digest = Digest::new();
        file.rewind()?;
        let mut rest = file.take(self.digested_len());
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let len = rest.read(&mut buffer)?;
            if len == 0 {
                return Ok(digest.finish());
            }
            digest.update(buffer.get(..len).unwrap_or_default());
        }
    }

    /// The file, for a reader that computes its digest piece by piece.
    pub(crate) fn digest(&self) -> Result<(File, Digest), ReadError> {
        Ok((self.open_file()?, Digest::new()))
    }

    /// Length of the part of the file that the digest covers.
    pub(crate) fn digested_len(&self) -> u64 {
        self.file_len - AFTER_DIGESTED
    }

    /// The whole file, its digest checked.
    pub(crate) fn read_whole(&self) -> Result<Vec<u8>, ReadError> {
        let (file, mut digest) = self.digest()?;
        let mut bytes = Vec::with_capacity(usize::try_from(self.file_len).unwrap_or_default());
        // A file that grew is none that was sealed.
        let read = file.take(self.file_len + 1).read_to_end(&mut bytes);
        read.map_err(|error| self.io(error))?;
        let digested = usize::try_from(self.digested_len()).unwrap_or(usize::MAX);
        digest.update(bytes.get(..digested).unwrap_or(&bytes));
        if bytes.len() as u64 == self.file_len && self.settle_digest(digest) {
            return Ok(bytes);
        }
        let why = "its digest is not the one that was sealed";
        Err(self.io(io::Error::new(io::ErrorKind::InvalidData, why)))
    }

    /// Whether the digest is the one that was recorded; then the indexes hold too.
    pub(crate) fn settle_digest(&self, digest: Digest) -> bool {
        let holds = digest.finish() == self.digest;
        if holds {
            self.checks.hold();
        }
        holds
    }
}

/// The digest in the trailer of a segment's file, and its last block, if the digest holds.
pub(crate) fn identity_in(bytes: &[u8]) -> Option<(Hash, Head)> {
    let digest = digest_in(bytes)?;
    let trailer_at = bytes.len().checked_sub(TRAILER_BYTES)?;
    let footer_at = bytes.get(trailer_at..)?.first_chunk()?;
    let footer_at = usize::try_from(u64::from_be_bytes(*footer_at)).ok()?;
    let footer = Footer::from_bytes(bytes.get(footer_at..trailer_at)?).ok()?;
    Some((digest, footer.meta.head))
}

fn digest_in(bytes: &[u8]) -> Option<Hash> {
    let after = usize::try_from(AFTER_DIGESTED).ok()?;
    let (digested, end) = bytes.split_at(bytes.len().checked_sub(after)?);
    let (recorded, magic) = end.split_at(Hash::LEN);
    let mut digest = Digest::new();
    digest.update(digested);
    let digest = digest.finish();
    (recorded == digest.as_bytes() && magic == END_MAGIC).then_some(digest)
}

/// The digest of a segment on its way.
pub(crate) struct Digest(blake3::Hasher);

impl Digest {
    fn new() -> Self {
        Self(blake3::Hasher::new_derive_key(DIGEST_CONTEXT))
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(self) -> Hash {
        Hash::from_bytes(*self.0.finalize().as_bytes())
    }
}

impl OpenSegment<'_> {
    /// The first four bytes of every block's hash, in order of seq.
    fn prefixes(&self) -> Result<Vec<u32>, ReadError> {
        let index = self.segment.hash_index();
        let bytes = index
            .read(&self.file, 0, index.entries)
            .map_err(|error| self.segment.io(error))?;
        let mut prefixes = vec![0; index.entries];
        for entry in bytes.chunks_exact(index.entry_len) {
            let position = entry
                .last_chunk()
                .map_or(0, |bytes| u16::from_be_bytes(*bytes));
            if let Some(prefix) = prefixes.get_mut(usize::from(position)) {
                *prefix = begins(entry);
            }
        }
        Ok(prefixes)
    }
}

fn broken_at(seq: u64, error: ReadError) -> ChainError {
    match error {
        ReadError::Damaged { source, .. } => source,
        other @ (ReadError::Io { .. }
        | ReadError::Lost { .. }
        | ReadError::PerhapsLost { .. }
        | ReadError::NotReady { .. }
        | ReadError::Pruned { .. }
        | ReadError::Tail(_)) => {
            let reason = Break::Unreadable(causes(&other));
            ChainError { seq, reason }
        }
    }
}
