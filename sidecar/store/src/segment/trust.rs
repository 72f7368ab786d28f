//! Whether a segment's indexes are what was sealed. A lookup never trusts an index that does not hold: what an index
//! does not find is "not there" for the caller.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU8, Ordering};

use boboyka_strand::Hash;

use super::format::Segment;
use super::index::{BROKEN, HOLDS, sum};
use crate::error::ReadError;

impl Segment {
    /// Whether the hash index is the one that was sealed. Reads it once.
    pub(super) fn hash_index_holds(&self, file: &File) -> Result<bool, ReadError> {
        let (from, to) = (self.meta.frames_end, self.meta.key_index_at());
        let wanted = self.sums.map(|sums| sums.hashes);
        self.check(&self.checks.hashes, "hash index", file, (from, to), wanted)
    }

    /// Whether the key index is the one that was sealed. Reads it once.
    pub(super) fn key_index_holds(&self, file: &File) -> Result<bool, ReadError> {
        let (from, to) = (self.meta.key_index_at(), self.meta.bloom_at());
        let wanted = self.sums.map(|sums| sums.keys);
        self.check(&self.checks.keys, "key index", file, (from, to), wanted)
    }

    fn check(
        &self,
        check: &AtomicU8,
        what: &str,
        file: &File,
        (from, to): (u64, u64),
        wanted: Option<Hash>,
    ) -> Result<bool, ReadError> {
        match check.load(Ordering::Relaxed) {
            HOLDS => return Ok(true),
            BROKEN => return Ok(false),
            _ => {}
        }
        let holds = match wanted {
            Some(wanted) => part_of(file, from, to).map(|bytes| sum(&bytes) == wanted),
            None => self.digest_of(file).map(|digest| digest == self.digest),
        };
        let holds = holds.map_err(|error| self.io(error))?;
        check.store(if holds { HOLDS } else { BROKEN }, Ordering::Relaxed);
        if !holds {
            let file = self.path().display().to_string();
            tracing::error!(
                file,
                "the {what} of the segment {file} is damaged and not used: restore the file from a backup"
            );
        }
        Ok(holds)
    }
}

fn part_of(file: &File, from: u64, to: u64) -> io::Result<Vec<u8>> {
    let len = usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX);
    let mut bytes = vec![0; len];
    file.read_exact_at(&mut bytes, from)?;
    Ok(bytes)
}
