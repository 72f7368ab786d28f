//! A version file, open for lookups. Its fences are in memory; the rest is read where it is needed.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use boboyka_strand::Seq;
use uuid::Uuid;

use super::entry::{Entry, KeyHash};
use super::format::{self, FILTER_LEN, FILTER_PAGES, FOOTER_LEN, Footer, PAGE_LEN, Range, Sums};

/// The end of a version file's name.
pub(super) const EXTENSION: &str = "ver";

/// A version file whose footer and fences hold.
#[derive(Debug)]
pub(crate) struct VersionFile {
    path: PathBuf,
    file: File,
    footer: Footer,
    sums: Sums,
    fences: Box<[Entry]>,
}

impl VersionFile {
    /// The name of the file that covers these seqs.
    pub(super) fn name(first: Seq, last: Seq) -> String {
        format!("{first:020}-{last:020}.{EXTENSION}")
    }

    /// Opens a file of this strand.
    ///
    /// # Errors
    /// It can't be read, or is no whole version file of this strand.
    pub(crate) fn open(path: &Path, strand: Uuid) -> io::Result<Self> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        let footer_at = len.checked_sub(FOOTER_LEN as u64);
        let footer_at = footer_at.ok_or_else(|| damaged("it is too short"))?;
        let mut bytes = [0; FOOTER_LEN];
        file.read_exact_at(&mut bytes, footer_at)?;
        let (footer, sums) =
            Footer::read(&bytes).ok_or_else(|| damaged("its footer does not hold"))?;
        if footer.strand != strand {
            return Err(damaged("it is of another strand"));
        }
        if footer.fences_at().checked_add(footer.fences_len()) != Some(footer_at) {
            return Err(damaged("its length is not the one that its footer says"));
        }
        let fences_len = usize::try_from(footer.fences_len()).unwrap_or(usize::MAX);
        let mut bytes = vec![0; fences_len];
        file.read_exact_at(&mut bytes, footer.fences_at())?;
        let fences = format::fences_of(&sums, &bytes);
        Ok(Self {
            path: path.to_owned(),
            file,
            footer,
            fences: fences.ok_or_else(|| damaged("its fences do not hold"))?,
            sums,
        })
    }

    pub(crate) fn range(&self) -> Range {
        self.footer.range
    }

    /// 0 for the file of one segment, one more for each merge.
    pub(crate) fn level(&self) -> u64 {
        self.footer.level
    }

    pub(crate) fn entries(&self) -> u64 {
        self.footer.entries
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn pages(&self) -> usize {
        self.fences.len()
    }

    /// The page in which the first entry not before this one is to be looked for; it may be the first one of the next.
    pub(super) fn page_of(&self, target: Entry) -> usize {
        let after = self.fences.partition_point(|fence| *fence <= target);
        after.saturating_sub(1)
    }

    /// The entries of a page.
    ///
    /// # Errors
    /// It can't be read, or is damaged.
    pub(super) fn page(&self, number: usize) -> io::Result<Vec<Entry>> {
        let number = number as u64;
        let at = self.footer.pages_at() + number * PAGE_LEN as u64;
        let mut bytes = [0; PAGE_LEN];
        self.file.read_exact_at(&mut bytes, at)?;
        format::entries_of(&self.sums, number, &bytes)
            .ok_or_else(|| damaged("a page of it differs"))
    }

    /// Whether a key may have versions that are not above a seq.
    ///
    /// # Errors
    /// The filter can't be read, or is damaged.
    pub(super) fn may_hold(&self, key: KeyHash, at_most: Seq) -> io::Result<bool> {
        let page = self.page_of(Entry::new(key, at_most));
        if self.fences.is_empty() {
            return Ok(false);
        }
        // One filter decides only when no version lies in the next page.
        if self
            .fences
            .get(page + 1)
            .is_some_and(|fence| fence.key <= key)
        {
            return Ok(true);
        }
        let number = (page / FILTER_PAGES) as u64;
        let mut bytes = [0; FILTER_LEN];
        self.file
            .read_exact_at(&mut bytes, number * FILTER_LEN as u64)?;
        format::may_hold(&self.sums, number, &bytes, key)
            .ok_or_else(|| damaged("a filter of it differs"))
    }
}

pub(super) fn damaged(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_owned())
}
