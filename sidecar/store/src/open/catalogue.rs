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
use crate::format::Format;
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
    files.retain(|(first_seq, _), _| *first_seq > floor);
    for segment in summary.segments.values() {
        let path = folder.join(segment.meta.file_name());
        let first_seq = segment.meta.first_seq();
        // Others of the same blocks are unlinked once what counts is durable.
        files.retain(|(of, _), _| *of != first_seq);
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
    for ((first_seq, _), path) in files {
        if !summary.segments.contains_key(&first_seq) {
            adopt(summary, &path, chain, quarantine)?;
        }
    }
    let is_stripped = |segment: &Segment| segment.meta.gone.is_some();
    if summary.segments.values().any(is_stripped) {
        summary.apply(Change::Format(Format::Stripped));
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
            // An archive names the file of a segment otherwise.
            let place = path.with_file_name(segment.meta.file_name());
            replace(&place, &bytes).map_err(failed("write", &place))?;
            if place != path {
                fs::remove_file(path).map_err(failed("remove", path))?;
            }
            let file = place.display().to_string();
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

/// The segment files by their first seq, of the same blocks the one that was written first first: the strand need not have a
/// record of a later one. Files that were never finished are removed.
fn segment_files(folder: &Path) -> Result<BTreeMap<(Seq, u32), PathBuf>, OpenError> {
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
        } else if let Some((seq, times)) = Segment::parse_name(name) {
            files.insert((seq, times), path);
        }
    }
    Ok(files)
}

/// The segment files that a crash left below the floor, oldest first.
pub(super) fn below_floor(folder: &Path, floor: &Floor) -> Result<Vec<PathBuf>, OpenError> {
    let mut files = segment_files(folder)?;
    files.retain(|(first_seq, _), _| *first_seq <= floor.head.seq);
    Ok(files.into_values().collect())
}

/// Unlinks segment files in whose place others came, and new ones that never did. What the catalogue says is durable.
pub(super) fn finish_stripping(summary: &Summary, folder: &Path) -> Result<(), OpenError> {
    for ((first_seq, _), path) in segment_files(folder)? {
        let Some(segment) = summary.segments.get(&first_seq) else {
            continue;
        };
        let counts = folder.join(segment.meta.file_name());
        if counts != path && counts.exists() {
            fs::remove_file(&path).map_err(failed("remove", &path))?;
        }
    }
    Ok(())
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
    for path in &left {
        let file = path.display().to_string();
        tracing::info!(
            file,
            "unlinking the pruned segment {file}, which a crash left"
        );
        index.retire(path)?;
    }
    index.finish(folder, pruned::budget(None))
}
