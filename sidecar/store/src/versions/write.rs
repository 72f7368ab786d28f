//! Writing a version file. Until it has its final name, no reader finds it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::entry::Entry;
use super::file::VersionFile;
use super::format::{self, FILTER_LEN, FILTER_PAGES, Footer, PAGE_ENTRIES, PAGE_LEN, Sums};
use crate::files;

pub(crate) use super::format::Range;

/// What is written at once.
const BUFFER: usize = 128 * 1024;

/// Whether the file must survive a power cut: what can be made again in a moment need not.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Synced {
    Yes,
    No,
}

/// A version file on its way.
pub(super) struct VersionWriter {
    folder: PathBuf,
    unfinished: PathBuf,
    file: File,
    sums: Sums,
    footer: Footer,
    pages: Buffer,
    filters: Buffer,
    fences: Vec<Entry>,
    /// Those of the pages that the next filter is over.
    pending: Vec<Entry>,
}

impl VersionWriter {
    /// Begins the file of a range, for at most this number of entries.
    pub(super) fn create(
        folder: &Path,
        strand: Uuid,
        range: Range,
        level: u64,
        entries_max: u64,
    ) -> io::Result<Self> {
        let unfinished =
            files::unfinished(&folder.join(VersionFile::name(range.first, range.last)));
        let footer = Footer {
            strand,
            range,
            level,
            entries: 0,
            pages: 0,
            filters: entries_max.div_ceil((PAGE_ENTRIES * FILTER_PAGES) as u64),
        };
        Ok(Self {
            folder: folder.to_owned(),
            file: File::create(&unfinished)?,
            unfinished,
            sums: Sums::of(strand, &range),
            pages: Buffer::at(footer.pages_at()),
            filters: Buffer::at(0),
            footer,
            fences: Vec::new(),
            pending: Vec::with_capacity(PAGE_ENTRIES * FILTER_PAGES),
        })
    }

    /// Adds the next entry in order.
    pub(super) fn push(&mut self, entry: Entry) -> io::Result<()> {
        self.pending.push(entry);
        if self.pending.len() >= PAGE_ENTRIES * FILTER_PAGES {
            self.close_pages()?;
        }
        Ok(())
    }

    /// Writes what is left, and gives the file its name.
    pub(super) fn finish(mut self, synced: Synced) -> io::Result<VersionFile> {
        self.close_pages()?;
        let room = self.footer.filters * FILTER_LEN as u64;
        self.filters.fill_to(room);
        self.filters.flush(&self.file)?;
        self.pages.push(&format::fences(&self.sums, &self.fences));
        self.pages.push(&self.footer.to_bytes(&self.sums));
        self.pages.flush(&self.file)?;
        let range = self.footer.range;
        let path = self.folder.join(VersionFile::name(range.first, range.last));
        match synced {
            Synced::Yes => files::put_in_place(&self.file, &self.unfinished, &path)?,
            Synced::No => fs::rename(&self.unfinished, &path)?,
        }
        VersionFile::open(&path, self.footer.strand)
    }

    /// Removes what there is of the file.
    pub(super) fn abandon(self) {
        let _ = fs::remove_file(&self.unfinished);
    }

    fn close_pages(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let number = self.footer.pages / FILTER_PAGES as u64;
        let filter = format::filter(&self.sums, number, &self.pending);
        self.filters.push(&filter);
        for entries in self.pending.chunks(PAGE_ENTRIES) {
            self.fences.extend(entries.first());
            let page = format::page(&self.sums, self.footer.pages, entries);
            debug_assert_eq!(page.len(), PAGE_LEN);
            self.pages.push(&page);
            self.footer.pages += 1;
            self.footer.entries += entries.len() as u64;
        }
        self.pending.clear();
        if self.pages.bytes.len() >= BUFFER {
            self.pages.flush(&self.file)?;
            self.filters.flush(&self.file)?;
        }
        Ok(())
    }
}

/// Bytes on their way to a place in the file.
struct Buffer {
    at: u64,
    bytes: Vec<u8>,
}

impl Buffer {
    fn at(at: u64) -> Self {
        let bytes = Vec::new();
        Self { at, bytes }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Adds zeros up to a place in the file.
    fn fill_to(&mut self, end: u64) {
        let len = usize::try_from(end.saturating_sub(self.at)).unwrap_or(usize::MAX);
        self.bytes.resize(len.max(self.bytes.len()), 0);
    }

    fn flush(&mut self, file: &File) -> io::Result<()> {
        file.write_all_at(&self.bytes, self.at)?;
        self.at += self.bytes.len() as u64;
        self.bytes.clear();
        Ok(())
    }
}

/// Writes the file of one segment, whose entries come in any order.
///
/// # Errors
/// It can't be written; what there was of it is removed.
pub(crate) fn write_file(
    folder: &Path,
    strand: Uuid,
    range: Range,
    mut entries: Vec<Entry>,
) -> io::Result<VersionFile> {
    entries.sort_unstable();
    let mut writer = VersionWriter::create(folder, strand, range, 0, entries.len() as u64)?;
    for entry in entries {
        if let Err(error) = writer.push(entry) {
            writer.abandon();
            return Err(error);
        }
    }
    writer.finish(Synced::No)
}
