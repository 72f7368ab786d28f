//! The catalogue of segments and the files there are, brought in line; what lies below the floor goes.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use boboyka_strand::{Block, Seq};

use super::chain::Chain;
use crate::change::Change;
use crate::error::OpenError;
use crate::files::{UNFINISHED, failed, replace};
use crate::floor::Floor;
use crate::pruned::{self, PrunedIndex};
use crate::quarantine::Quarantine;
use crate::segment::Segment;
use crate::summary::Summary;

/// Brings the summary's catalogue in line with the files there are. `chain` is what the journal holds.
pub(super) fn catalogue(
    summary: &mut Summary,
    folder: &Path,
    chain: &Chain,
    quarantine: &Quarantine,
) -> Result<(), OpenError> {
    let floor = summary.floor.head.seq;
    // What lies below the floor is gone, whether a crash left its file or its entry.
    summary
        .segments
        .retain(|_, kept| kept.meta.head.seq > floor);
    let mut files = segment_files(folder)?;
    files.retain(|first_seq, _| *first_seq > floor);
    for segment in summary.segments.values() {
        let path = folder.join(Segment::file_name(segment.meta.first_seq()));
        files.remove(&segment.meta.first_seq());
        let len = fs::metadata(&path).ok().map(|file| file.len());
        if len.is_some_and(|len| len != segment.file_len) {
            let reason = format!(
                "a segment whose file has another length than the one that was sealed: seqs {} \
                 to {}",
                segment.meta.first_seq(),
                segment.meta.head.seq
            );
            quarantine.take(&[path], &reason)?;
        } else if len.is_none() {
            let file = path.display().to_string();
            tracing::error!(
                file,
                "the segment {file} is missing: restore it from a backup"
            );
        }
        // The catalogue keeps it: reads and checks report what is missing.
    }
    for path in files.into_values() {
        adopt(summary, &path, chain, quarantine)?;
    }
    Ok(())
}

/// Takes a file that the catalogue does not know into it, if it holds and fits behind the last one. One whose blocks
/// the journal holds is removed: nothing says that it was ever synced, and its blocks are sealed again.
fn adopt(
    summary: &mut Summary,
    path: &Path,
    chain: &Chain,
    quarantine: &Quarantine,
) -> Result<(), OpenError> {
    let last = summary.segments.values().last();
    let before = last.map_or(summary.floor.head, |segment| segment.meta.head);
    let found = Segment::discover(path);
    if let Ok(found) = &found
        && chain.covers(found.meta.before, found.meta.head)
    {
        return fs::remove_file(path).map_err(failed("remove", path));
    }
    let checked = found.map_err(|error| error.to_string()).and_then(|found| {
        if found.meta.before.seq != before.seq || found.meta.before.hash != before.hash {
            return Err(format!("it does not follow seq {}", before.seq));
        }
        let mut walk_on = |_, _: &[Block]| ControlFlow::Continue(());
        found
            .verify(before, &mut walk_on)
            .map_err(|error| error.to_string())?;
        Ok(found)
    });
    match checked {
        Ok(segment) => {
            let bytes = fs::read(path).map_err(failed("read", path))?;
            replace(path, &bytes).map_err(failed("write", path))?;
            let file = path.display().to_string();
            tracing::info!(
                file,
                "added the segment {file}, which a crash left, to the catalogue"
            );
            summary.apply(Change::Segment(segment));
            Ok(())
        }
        Err(why) => quarantine.take(
            &[path.to_owned()],
            &format!("a segment that was not catalogued: {why}"),
        ),
    }
}

/// The segment files by their first seq; files that were never finished are removed.
fn segment_files(folder: &Path) -> Result<BTreeMap<Seq, PathBuf>, OpenError> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).map_err(failed("read", folder))? {
        let path = entry.map_err(failed("read", folder))?.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if path.extension().is_some_and(|end| end == UNFINISHED) {
            // Its blocks are still in the tail: the file never had a name of its own.
            fs::remove_file(&path).map_err(failed("remove", &path))?;
        } else if let Some(seq) = name.strip_suffix(".seg").and_then(|seq| seq.parse().ok()) {
            files.insert(seq, path);
        }
    }
    Ok(files)
}

/// The segment files that a crash left below the floor, by their first seq.
pub(super) fn below_floor(
    folder: &Path,
    floor: &Floor,
) -> Result<BTreeMap<Seq, PathBuf>, OpenError> {
    let mut files = segment_files(folder)?;
    files.retain(|first_seq, _| *first_seq <= floor.head.seq);
    Ok(files)
}

/// Unlinks what a crash left below the floor.
pub(super) fn finish_pruning(
    index: &PrunedIndex,
    folder: &Path,
    floor: &Floor,
) -> Result<(), OpenError> {
    let left = below_floor(folder, floor)?;
    if left.is_empty() {
        return Ok(());
    }
    for path in left.values() {
        let file = path.display().to_string();
        tracing::info!(
            file,
            "unlinking the pruned segment {file}, which a crash left"
        );
        index.retire(path)?;
    }
    index.finish(folder, pruned::budget(None))
}
