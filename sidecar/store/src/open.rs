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
mod disk;
mod earlier;
mod index;
mod replay;
mod settle;
mod tree;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use uuid::Uuid;

use self::catalogue::{catalogue, finish_pruning, finish_stripping};
use self::chain::Chain;
use self::disk::Disk;
use self::tree::grow_tree;
use crate::error::{OpenError, causes};
use crate::files::failed;
use crate::journal::Journal;
use crate::keys::{Keys, is_forgotten};
use crate::ledger::Ledger;
use crate::memory::Memory;
use crate::mirrored::Mirrored;
use crate::options::Options;
use crate::owing;
use crate::pruned::PrunedIndex;
use crate::quarantine::Quarantine;
use crate::segment::Segment;
use crate::state::State;
use crate::summary::Summary;
use crate::tail::Tail;
use crate::tail_run::TailRun;
use crate::tlog::TreeFile;
use crate::versions::Versions;
use crate::witness::Witness;

/// A data folder, opened.
pub(crate) struct Opened {
    pub(crate) tail: Tail,
    pub(crate) state: State,
    pub(crate) keys: Keys,
    pub(crate) strand: Uuid,
    pub(crate) witness: Witness,
    pub(crate) segments_folder: PathBuf,
    pub(crate) versions: Versions,
    pub(crate) journal: Journal,
    pub(crate) ledger: Ledger,
    /// What the ledger says.
    pub(crate) summary: Summary,
    /// The file of the transparency log's tree, or why the tree can't be had.
    pub(crate) tree_file: Result<TreeFile, String>,
    /// Why the tail's index was made anew.
    pub(crate) rebuilt: Option<String>,
}

/// Opens a data folder, which is locked already.
pub(crate) fn open(
    options: &Options,
    quarantine: &Quarantine,
    now_ms: u64,
) -> Result<Opened, OpenError> {
    let data_dir = &options.data_dir;
    let mut disk = Disk::read(options, quarantine)?;
    let witness = Witness::open(data_dir)?;
    let chain = Chain::of(std::mem::take(&mut disk.replay.runs));
    let mut summary = std::mem::take(&mut disk.replay.summary);
    settle::binding(&mut summary);
    catalogue(&mut summary, &disk.folders.segments, &chain, quarantine)?;
    let files = disk.replay.paths();
    let runs = chain.settle(&mut summary, witness.last()?, &files, quarantine, now_ms)?;
    let (memory, keys) = into_memory(&summary, &disk.folders.segments, &runs, now_ms);
    summary.phase = settle::phase(&summary, &memory);
    settle::legacy(&mut summary, &memory);
    summary.marks = settle::marks(&summary, &memory);

    let strand = disk.strand(&summary);
    let segments_folder = disk.folders.segments.clone();
    let durable = disk.make_durable(options, strand, &summary, &runs, quarantine)?;
    let index = PrunedIndex::of(data_dir);
    let (tree, tree_file) = grow_tree(data_dir, strand, &memory)?;
    finish_stripping(&summary, &segments_folder)?;
    finish_pruning(&index, &segments_folder, &summary.floor)?;
    let noted = witness.note(&memory.head());
    noted.map_err(failed("write the last acknowledged head in", data_dir))?;
    let floor = summary.floor.head.seq;
    let versions = Versions::open(data_dir, strand, memory.segments(), floor)?;
    let phase = summary.phase.map(|recorded| recorded.state);
    let until = phase.and_then(|phase| phase.mirror_until);
    let mirrored = Mirrored::new(until, Arc::clone(&summary.legacy));
    let owed = owing::owed(&mirrored, &memory, &summary.marks.map(|_, mark| mark.seq));
    let legacy = Arc::clone(&summary.legacy);
    Ok(Opened {
        tail: durable.tail,
        state: State::new(memory, phase, legacy, owed, summary.marks, tree),
        tree_file,
        keys,
        strand,
        witness,
        segments_folder,
        versions,
        journal: durable.journal,
        ledger: durable.ledger,
        summary,
        rebuilt: durable.rebuilt,
    })
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
    let binding = summary.binding.unwrap_or_default();
    let mut memory = Memory::new(summary.floor, binding, segments, gaps);
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
