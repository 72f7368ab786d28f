//! Opening a data folder: what the disk holds, checked, put in order, and into memory.
//!
//! The ledger's page and the journal's frames behind it say everything small; runs come from the journal, history from
//! the segments. What is kept of the journal is written again and synced before anything is acknowledged: a page that
//! only the system's cache holds is never relied on. The tail's index is brought in line with the result.
//!
//! A crash can leave a segment that is not catalogued, an unfinished file, a frame cut short at the very end: all of
//! these are put right silently, since nothing acknowledged is in them alone. Everything else that does not fit is
//! quarantined.

mod catalogue;
mod chain;
mod earlier;
mod index;
mod replay;
mod settle;

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use boboyka_strand::{PerType, Seq};
use uuid::Uuid;

use self::catalogue::{catalogue, finish_pruning};
use self::chain::Chain;
use self::index::FoundTail;
use self::replay::Replay;
use crate::error::{OpenError, causes};
use crate::files::{failed, make_folder, sync_folder};
use crate::journal::Journal;
use crate::keys::{Keys, is_forgotten};
use crate::lane::Mark;
use crate::ledger::{FoundLedger, Ledger, Page};
use crate::memory::Memory;
use crate::options::Options;
use crate::phase::RecordedPhase;
use crate::pruned::PrunedIndex;
use crate::quarantine::Quarantine;
use crate::segment::Segment;
use crate::state::State;
use crate::summary::Summary;
use crate::tail::Tail;
use crate::tail_run::TailRun;
use crate::witness::Witness;

/// A data folder, opened.
pub(crate) struct Opened {
    pub(crate) tail: Tail,
    pub(crate) state: State,
    pub(crate) keys: Keys,
    pub(crate) strand: Uuid,
    pub(crate) witness: Witness,
    pub(crate) segments_folder: PathBuf,
    pub(crate) journal: Journal,
    pub(crate) ledger: Ledger,
    pub(crate) marks: PerType<Mark>,
    pub(crate) phase: Option<RecordedPhase>,
    pub(crate) noted: BTreeSet<String>,
    /// Why the tail's index was made anew.
    pub(crate) rebuilt: Option<String>,
}

/// The folders under a data folder.
struct Folders {
    tail: PathBuf,
    segments: PathBuf,
    journal: PathBuf,
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

/// Opens a data folder, which is locked already.
pub(crate) fn open(
    options: &Options,
    quarantine: &Quarantine,
    now_ms: u64,
) -> Result<Opened, OpenError> {
    let data_dir = &options.data_dir;
    let mut disk = Disk::read(data_dir, quarantine)?;
    let witness = Witness::open(data_dir)?;
    let chain = Chain::of(std::mem::take(&mut disk.replay.runs));
    let mut summary = std::mem::take(&mut disk.replay.summary);
    catalogue(&mut summary, &disk.folders.segments, &chain, quarantine)?;
    let files = disk.replay.paths();
    let runs = chain.settle(&mut summary, witness.last()?, &files, quarantine, now_ms)?;
    let (memory, keys) = into_memory(&summary, &disk.folders.segments, &runs, now_ms);
    summary.phase = settle::phase(&summary, &memory);
    summary.marks = settle::marks(&summary, &memory);

    let strand = disk.strand(&summary);
    let segments_folder = disk.folders.segments.clone();
    let durable = disk.make_durable(options, strand, &summary, &runs, quarantine)?;
    let index = PrunedIndex::of(data_dir);
    finish_pruning(&index, &segments_folder, &summary.floor)?;
    let noted = witness.note(&memory.head());
    noted.map_err(failed("write the last acknowledged head in", data_dir))?;
    let phase = summary.phase.map(|recorded| recorded.state);
    Ok(Opened {
        tail: durable.tail,
        state: State::new(memory, phase, summary.marks),
        keys,
        strand,
        witness,
        segments_folder,
        journal: durable.journal,
        ledger: durable.ledger,
        marks: summary.marks,
        phase: summary.phase,
        noted: summary.noted,
        rebuilt: durable.rebuilt,
    })
}

/// A data folder as it was found.
struct Disk {
    folders: Folders,
    ledger: Ledger,
    page: Option<Page>,
    tail: FoundTail,
    replay: Replay,
}

/// What is written again and synced.
struct Durable {
    tail: Tail,
    journal: Journal,
    ledger: Ledger,
    rebuilt: Option<String>,
}

impl Disk {
    /// Reads all but the segments, and keeps copies of what is damaged.
    fn read(data_dir: &Path, quarantine: &Quarantine) -> Result<Self, OpenError> {
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
            None => Some(earlier::read(data_dir, &tail, quarantine)?),
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
    fn strand(&self, summary: &Summary) -> Uuid {
        let sealed = summary.segments.values().next();
        let sealed = sealed.map(|segment| segment.meta.strand);
        self.replay.strand.or(sealed).unwrap_or_else(Uuid::new_v4)
    }

    /// Writes what is kept of the journal again, then tail and ledger; only after that are the journal's files free.
    fn make_durable(
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
        let journal = carry_over(options, folder, strand, &mut self.replay, runs)?;
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

/// The blocks as readers find them, and the idempotency keys that are remembered.
fn into_memory(
    summary: &Summary,
    folder: &Path,
    runs: &[Arc<TailRun>],
    now_ms: u64,
) -> (Memory, Keys) {
    let segments = summary.segments.values().cloned();
    let segments: Vec<_> = segments
        .map(|segment| Arc::new(segment.in_folder(folder)))
        .collect();
    let keys = keys_of(&segments, runs, now_ms);
    let gaps = summary.gaps.values().copied().collect();
    let mut memory = Memory::new(summary.floor, segments, gaps);
    for run in runs {
        memory.push(Arc::clone(run));
    }
    (memory, keys)
}

/// The idempotency keys that are still remembered.
fn keys_of(segments: &[Arc<Segment>], runs: &[Arc<TailRun>], now_ms: u64) -> Keys {
    let mut keys = Keys::default();
    for segment in segments {
        if !is_forgotten(segment.meta.head.hlc.ms(), now_ms)
            && let Err(error) = keys.insert_segment(Arc::clone(segment))
        {
            tracing::error!(
                error = causes(&error),
                "could not read a segment's idempotency keys"
            );
        }
    }
    for run in runs {
        keys.insert_run(run);
    }
    keys
}

/// Writes what is kept of the journal into a file of its own, and syncs it.
fn carry_over(
    options: &Options,
    folder: &Path,
    strand: Uuid,
    replay: &mut Replay,
    runs: &[Arc<TailRun>],
) -> Result<Journal, OpenError> {
    let failed = |error| failed("write the journal in", folder)(error);
    let len = options.journal_file_bytes;
    let reuse = replay.take_spent(len);
    let begun = Journal::begin(folder, strand, len, replay.place, reuse);
    let begun = begun.or_else(|error| match replay.take_carried(len) {
        Some(path) if error.kind() == ErrorKind::StorageFull => {
            Journal::begin(folder, strand, len, replay.place, Some(path))
        }
        _ => Err(error),
    });
    let mut journal = begun.map_err(failed)?;
    // The name of a file that is used again may be one that a crash kept from becoming durable.
    sync_folder(folder)?;
    let mut rest = runs;
    loop {
        let mut bytes = 0;
        let fits = rest.iter().take_while(|run| {
            bytes += run.bytes.len();
            bytes <= CARRIED_AT_ONCE
        });
        let (now, later) = rest.split_at(fits.count().max(1).min(rest.len()));
        journal.carry(now).map_err(failed)?;
        if later.is_empty() {
            break;
        }
        rest = later;
    }
    journal.sync().map_err(failed)?;
    Ok(journal)
}

/// Bytes of runs in one frame that carries them over.
const CARRIED_AT_ONCE: usize = 256 * 1024;

fn page_of(
    journal: &Journal,
    strand: Uuid,
    summary: &Summary,
    sealed: Seq,
) -> Result<Page, OpenError> {
    let mut entries = Vec::new();
    for change in summary.changes() {
        let put = change.put(&mut entries);
        put.map_err(|source| OpenError::Tail {
            path: PathBuf::from("ledger"),
            source: source.into(),
        })?;
    }
    let (generation, first_frame) = journal.needed(sealed);
    Ok(Page {
        strand,
        frame: journal.last_number(),
        generation,
        first_frame,
        entries,
    })
}
