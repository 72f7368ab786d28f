//! Checking a segment whole: the chain block by block, then the digest over the file.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt as _;

use boboyka_strand::{Block, Break, ChainError, Hash, Head, run};

use super::follow::follow;
use super::format::{DIGEST_CONTEXT, END_MAGIC, Segment, TRAILER_LEN};
use super::read::OpenSegment;
use super::search::begins;
use crate::error::{ReadError, causes};

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

    /// Whether the digest is the one that was recorded; then the indexes hold too.
    pub(crate) fn settle_digest(&self, digest: Digest) -> bool {
        let holds = digest.finish() == self.digest;
        if holds {
            self.checks.hold();
        }
        holds
    }
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
