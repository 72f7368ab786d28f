//! A data folder as it was found, and what of it is written again and synced.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use boboyka_strand::Seq;
use uuid::Uuid;

use super::earlier;
use super::index::FoundTail;
use super::replay::Replay;
use crate::error::OpenError;
use crate::files::{failed, make_folder, sync_names};
use crate::journal::Journal;
use crate::ledger::{FoundLedger, Ledger, Page};
use crate::options::Options;
use crate::quarantine::Quarantine;
use crate::summary::Summary;
use crate::tail::Tail;
use crate::tail_run::TailRun;

/// The folders under a data folder.
pub(super) struct Folders {
    pub(super) tail: PathBuf,
    pub(super) segments: PathBuf,
    pub(super) journal: PathBuf,
}

impl Folders {
    fn make(data_dir: &Path) -> Result<Self, OpenError> {
        make_folder(data_dir)?;
        let folder = |name| {
            let folder = data_dir.join(name);
            make_folder(&folder).map(|()| folder)
        };
        Ok(Self {
            tail: folder("tail")?,
            segments: folder("segments")?,
            journal: folder("journal")?,
        })
    }
}

/// A data folder as it was found.
pub(super) struct Disk {
    pub(super) folders: Folders,
    pub(super) ledger: Ledger,
    page: Option<Page>,
    pub(super) tail: FoundTail,
    pub(super) replay: Replay,
}

/// What is written again and synced.
pub(super) struct Durable {
    pub(super) tail: Tail,
    pub(super) journal: Journal,
    pub(super) ledger: Ledger,
    pub(super) rebuilt: Option<String>,
}

impl Disk {
    /// Reads all but the segments, and keeps copies of what is damaged.
    pub(super) fn read(options: &Options, quarantine: &Quarantine) -> Result<Self, OpenError> {
        let data_dir = &options.data_dir;
        let folders = Folders::make(data_dir)?;
        let FoundLedger {
            ledger,
            page,
            damaged,
        } = Ledger::read(data_dir);
        if !damaged.is_empty() {
            let reason = "copies of the ledger, of which none can be read: the strand goes on with what tail and \
                          journal say";
            quarantine.copy(&damaged, reason)?;
        }
        let tail = FoundTail::open(&folders.tail);
        let earlier = match &page {
            Some(_) => None,
            None => Some(earlier::read(options, &tail, quarantine)?),
        };
        let replay = Replay::read(&folders.journal, page.as_ref(), earlier)?;
        replay.quarantine_flaws(quarantine)?;
        Ok(Self {
            folders,
            ledger,
            page,
            tail,
            replay,
        })
    }

    /// The strand's id; a new one where nothing names it.
    pub(super) fn strand(&self, summary: &Summary) -> Uuid {
        let sealed = summary.segments.values().next();
        let sealed = sealed.map(|segment| segment.meta.strand);
        self.replay.strand.or(sealed).unwrap_or_else(Uuid::new_v4)
    }

    /// Writes what is kept of the journal again, then tail and ledger; only after that are the journal's files free.
    pub(super) fn make_durable(
        mut self,
        options: &Options,
        strand: Uuid,
        summary: &Summary,
        runs: &[Arc<TailRun>],
        quarantine: &Quarantine,
    ) -> Result<Durable, OpenError> {
        let data_dir = &options.data_dir;
        if let Some(page) = &self.page
            && !self.replay.has_empty(options.journal_file_bytes)
        {
            // A file that it frees is used at once: it must not be one that only the system's cache holds.
            write_ledger(&mut self.ledger, page, data_dir)?;
        }
        let known = self.page.is_some();
        let (tail, rebuilt) =
            self.tail
                .settle(&self.folders.tail, strand, summary, known, quarantine)?;
        let folder = &self.folders.journal;
        let len = options.journal_file_bytes;
        let journal = match carry_over(folder, len, strand, &mut self.replay, runs) {
            Err(error) if error.kind() == ErrorKind::StorageFull => {
                self.replay.resume(folder, strand, len)
            }
            carried => carried,
        };
        let journal = journal.map_err(failed("write the journal in", folder))?;
        let sealed = summary.segments.values().last();
        let sealed = sealed.map_or(0, |segment| segment.meta.head.seq);
        let page = page_of(&journal, strand, summary, sealed)?;
        write_ledger(&mut self.ledger, &page, data_dir)?;
        if !known {
            // Both files exist from the first start on, so that a full disk takes the next page.
            write_ledger(&mut self.ledger, &page, data_dir)?;
        }
        earlier::forget(data_dir, &tail)?;
        Ok(Durable {
            tail,
            journal: self.replay.give_up(journal),
            ledger: self.ledger,
            rebuilt,
        })
    }
}

fn write_ledger(ledger: &mut Ledger, page: &Page, data_dir: &Path) -> Result<(), OpenError> {
    let written = ledger.write(page);
    written.map_err(failed("write the ledger in", data_dir))
}

/// Writes what is kept of the journal into a file of its own, and syncs it.
fn carry_over(
    folder: &Path,
    len: u64,
    strand: Uuid,
    replay: &mut Replay,
    runs: &[Arc<TailRun>],
) -> io::Result<Journal> {
    let reuse = replay.take_spent(len);
    let reuse = reuse.map(|path| (path, len));
    let begun = Journal::begin(folder, strand, len, replay.place, reuse);
    let mut journal = begun.or_else(|error| {
        let full = error.kind() == ErrorKind::StorageFull;
        let any = if full { replay.take_any() } else { None };
        let reuse = any.ok_or(error)?;
        Journal::begin(folder, strand, len, replay.place, Some(reuse))
    })?;
    // The name of a file that is used again may be one that a crash kept from becoming durable.
    sync_names(folder)?;
    if let Err(error) = carry(&mut journal, runs) {
        journal.discard()?;
        return Err(error);
    }
    Ok(journal)
}

fn carry(journal: &mut Journal, runs: &[Arc<TailRun>]) -> io::Result<()> {
    let mut rest = runs;
    loop {
        let mut bytes = 0;
        let fits = rest.iter().take_while(|run| {
            bytes += run.bytes.len();
            bytes <= CARRIED_AT_ONCE
        });
        let (now, later) = rest.split_at(fits.count().max(1).min(rest.len()));
        journal.carry(now)?;
        if later.is_empty() {
            return journal.sync();
        }
        rest = later;
    }
}

/// Bytes of runs in one frame that carries them over.
const CARRIED_AT_ONCE: usize = 256 * 1024;

fn page_of(
    journal: &Journal,
    strand: Uuid,
    summary: &Summary,
    sealed: Seq,
) -> Result<Page, OpenError> {
    let entries = summary.entries().map_err(|source| OpenError::Tail {
        path: PathBuf::from("ledger"),
        source: source.into(),
    })?;
    let (generation, first_frame) = journal.needed(sealed);
    Ok(Page {
        strand,
        frame: journal.last_number(),
        generation,
        first_frame,
        entries,
    })
}
