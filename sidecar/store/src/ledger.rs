//! The ledger: everything small that a strand keeps, in one checked page, up to a frame of the journal. Two files take
//! turns, so that a write that fails leaves the page before.
//!
//! Layout of `ledger-0` and `ledger-1`, numbers big-endian:
//!
//! | offset | bytes | field |
//! | --- | --- | --- |
//! | 0 | 8 | magic |
//! | 8 | 8 | edition; the higher one counts |
//! | 16 | 16 | strand id |
//! | 32 | 8 | number of the last frame that the page covers |
//! | 40 | 8 | the lowest generation of a file of the journal that is needed |
//! | 48 | 8 | number of the first frame in those files |
//! | 56 | 4 | length of the entries |
//! | 60 | … | entries, see `change` |
//! | … | 16 | BLAKE3 of all before it, with a key derived from the strand id |
//!
//! The files are longer than what they hold, so that a full disk takes the next page too.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::error::Unreadable;
use crate::files;
use crate::journal::frame::{Key, keyed};
use crate::summary::Summary;

const MAGIC: &[u8; 8] = b"BBKLED\0\x01";
const KEY_CONTEXT: &str = "boboyka.sapixdb.com 2026-11 ledger v1";
const HEADER_LEN: usize = 60;
const SUM_LEN: usize = 16;
/// The shortest file.
const FILE_LEAST: usize = 64 * 1024;

/// One page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) strand: Uuid,
    /// The last frame that it covers.
    pub(crate) frame: u64,
    /// The lowest generation of a file of the journal that is needed.
    pub(crate) generation: u64,
    /// The first frame in the files that are needed.
    pub(crate) first_frame: u64,
    pub(crate) entries: Vec<u8>,
}

impl Page {
    /// What it says, added up.
    pub(crate) fn summary(&self) -> Result<Summary, Unreadable> {
        let mut summary = Summary::default();
        summary.take(&self.entries)?;
        Ok(summary)
    }

    fn encode(&self, edition: u64) -> io::Result<Vec<u8>> {
        let len = u32::try_from(self.entries.len()).map_err(io::Error::other)?;
        let mut bytes = Vec::with_capacity(HEADER_LEN + self.entries.len() + SUM_LEN);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&edition.to_be_bytes());
        bytes.extend_from_slice(self.strand.as_bytes());
        for number in [self.frame, self.generation, self.first_frame] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        bytes.extend_from_slice(&len.to_be_bytes());
        bytes.extend_from_slice(&self.entries);
        let sum: [u8; SUM_LEN] = keyed(&key(self.strand), &bytes);
        bytes.extend_from_slice(&sum);
        Ok(bytes)
    }

    /// The edition and the page in a file's bytes; `None` when it does not hold.
    pub(crate) fn decode(bytes: &[u8]) -> Option<(u64, Self)> {
        let mut rest = bytes.strip_prefix(MAGIC)?;
        let number = |rest: &mut &[u8]| {
            let (number, after) = rest.split_first_chunk()?;
            *rest = after;
            Some(u64::from_be_bytes(*number))
        };
        let edition = number(&mut rest)?;
        let (strand, mut rest) = rest.split_first_chunk()?;
        let (frame, generation) = (number(&mut rest)?, number(&mut rest)?);
        let first_frame = number(&mut rest)?;
        let (len, rest) = rest.split_first_chunk()?;
        let len = usize::try_from(u32::from_be_bytes(*len)).ok()?;
        let (entries, rest) = rest.split_at_checked(len)?;
        let strand = Uuid::from_bytes(*strand);
        let sum: [u8; SUM_LEN] = keyed(&key(strand), bytes.get(..HEADER_LEN + len)?);
        let page = Self {
            strand,
            frame,
            generation,
            first_frame,
            entries: entries.to_vec(),
        };
        (rest.first_chunk() == Some(&sum)).then_some((edition, page))
    }
}

fn key(strand: Uuid) -> Key {
    blake3::derive_key(KEY_CONTEXT, strand.as_bytes())
}

/// The two files of a data folder.
#[derive(Debug)]
pub(crate) struct Ledger {
    data_dir: PathBuf,
    edition: u64,
}

/// A ledger as it was found.
pub(crate) struct FoundLedger {
    pub(crate) ledger: Ledger,
    pub(crate) page: Option<Page>,
    /// The files in which nothing holds although both were written: no crash does that.
    pub(crate) damaged: Vec<PathBuf>,
}

impl Ledger {
    /// Reads both files.
    pub(crate) fn read(data_dir: &Path) -> FoundLedger {
        let mut newest: Option<(u64, Page)> = None;
        let mut damaged = Vec::new();
        for slot in [0, 1] {
            let path = path_of(data_dir, slot);
            let bytes = fs::read(&path);
            match bytes.as_deref().ok().and_then(Page::decode) {
                Some(found)
                    if newest
                        .as_ref()
                        .is_none_or(|(edition, _)| *edition < found.0) =>
                {
                    newest = Some(found);
                }
                Some(_) => {}
                None => {
                    let written = bytes.is_ok_and(|bytes| bytes.iter().any(|byte| *byte != 0));
                    damaged.extend(written.then_some(path));
                }
            }
        }
        if newest.is_some() || damaged.len() < 2 {
            damaged.clear();
        }
        let (edition, page) = newest.map_or((0, None), |(edition, page)| (edition, Some(page)));
        let data_dir = data_dir.to_owned();
        FoundLedger {
            ledger: Self { data_dir, edition },
            page,
            damaged,
        }
    }

    /// Writes a page over the older one and makes it durable.
    pub(crate) fn write(&mut self, page: &Page) -> io::Result<()> {
        let edition = self.edition + 1;
        let mut bytes = page.encode(edition)?;
        let path = path_of(&self.data_dir, edition % 2);
        let mut options = File::options();
        let file = options.write(true).create(true).truncate(false);
        let file = file.open(&path)?;
        let len = file.metadata()?.len();
        if len < bytes.len() as u64 {
            bytes.resize((bytes.len() * 2).max(FILE_LEAST), 0);
        }
        file.write_all_at(&bytes, 0)?;
        file.sync_all()?;
        if len == 0 {
            files::sync_names(&self.data_dir)?;
        }
        self.edition = edition;
        Ok(())
    }
}

fn path_of(data_dir: &Path, slot: u64) -> PathBuf {
    data_dir.join(format!("ledger-{slot}"))
}

#[cfg(test)]
mod tests;
