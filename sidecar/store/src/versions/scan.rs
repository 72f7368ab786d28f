//! Walking sorted entries: of a version file, page by page, or of the tail.

use std::io;
use std::sync::Arc;

use boboyka_strand::Seq;

use super::entry::{Entry, KeyHash};
use super::file::VersionFile;

/// Where entries come from.
#[derive(Debug)]
enum From {
    File(Arc<VersionFile>),
    /// All of them lie in `entries` of the source.
    Memory,
}

/// A place in sorted entries.
#[derive(Debug)]
pub(crate) struct Source {
    from: From,
    /// Those of one page.
    entries: Arc<[Entry]>,
    page: Option<usize>,
    at: usize,
}

impl Source {
    /// Before the first entry of a file.
    pub(crate) fn of_file(file: &Arc<VersionFile>) -> Self {
        Self {
            from: From::File(Arc::clone(file)),
            entries: Arc::new([]),
            page: None,
            at: 0,
        }
    }

    /// Before the first of these entries.
    pub(crate) fn of_entries(entries: Arc<[Entry]>) -> Self {
        Self {
            from: From::Memory,
            entries,
            page: None,
            at: 0,
        }
    }

    /// The file that it reads.
    pub(crate) fn file(&self) -> Option<&Arc<VersionFile>> {
        match &self.from {
            From::File(file) => Some(file),
            From::Memory => None,
        }
    }

    /// The entry here; `None` behind the last one, and before the first `seek` in a file.
    pub(crate) fn peek(&self) -> Option<Entry> {
        self.entries.get(self.at).copied()
    }

    /// Goes to the first entry that is not before this one.
    ///
    /// # Errors
    /// A page can't be read, or is damaged.
    pub(crate) fn seek(&mut self, target: Entry) -> io::Result<()> {
        let is_here = self.entries.first().is_some_and(|first| *first <= target)
            && self.entries.last().is_some_and(|last| *last >= target);
        if !is_here && let From::File(file) = &self.from {
            if file.pages() == 0 {
                return Ok(());
            }
            let page = file.page_of(target);
            self.turn_to(page)?;
        }
        self.at = self.entries.partition_point(|entry| *entry < target);
        self.turn_at_end()
    }

    /// Goes to the next entry.
    ///
    /// # Errors
    /// A page can't be read, or is damaged.
    pub(crate) fn advance(&mut self) -> io::Result<()> {
        self.at += 1;
        self.turn_at_end()
    }

    fn turn_at_end(&mut self) -> io::Result<()> {
        if self.at < self.entries.len() {
            return Ok(());
        }
        let (From::File(file), Some(page)) = (&self.from, self.page) else {
            return Ok(());
        };
        if page + 1 < file.pages() {
            self.turn_to(page + 1)?;
        }
        Ok(())
    }

    fn turn_to(&mut self, page: usize) -> io::Result<()> {
        if self.page == Some(page) {
            return Ok(());
        }
        if let From::File(file) = &self.from {
            self.entries = file.page(page)?.into();
            self.page = Some(page);
            self.at = 0;
        }
        Ok(())
    }
}

/// The newest versions of a key in a file, at most this number, none above a seq.
///
/// # Errors
/// A part of the file can't be read, or is damaged.
pub(crate) fn newest_of(
    file: &Arc<VersionFile>,
    key: KeyHash,
    at_most: Seq,
    limit: usize,
) -> io::Result<Vec<Seq>> {
    let mut seqs = Vec::new();
    if !file.may_hold(key, at_most)? {
        return Ok(seqs);
    }
    let mut source = Source::of_file(file);
    source.seek(Entry::new(key, at_most))?;
    while let Some(entry) = source.peek().filter(|entry| entry.key == key) {
        seqs.push(entry.seq());
        if seqs.len() >= limit {
            break;
        }
        source.advance()?;
    }
    Ok(seqs)
}
