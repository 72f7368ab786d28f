//! The catalogue of segments and the files there are, brought in line; what lies below the floor goes.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use boboyka_strand::Seq;

use crate::error::{OpenError, TailError};
use crate::files::{UNFINISHED, failed};
use crate::floor::Floor;
use crate::pruned::{self, PrunedIndex};
use crate::quarantine::Quarantine;
use crate::segment::Segment;
use crate::tail::Tail;

/// The catalogue, after it has been brought in line with the files there are.
pub(super) fn catalogue(
    tail: &Tail,
    folder: &Path,
    floor: &Floor,
    quarantine: &Quarantine,
    broken: &impl Fn(TailError) -> OpenError,
) -> Result<Vec<Segment>, OpenError> {
    let known = tail.segments().map_err(broken)?;
    let mut files = segment_files(folder)?;
    // What lies below the floor is gone, whether a crash left its file or its entry.
    files.retain(|first_seq, _| *first_seq > floor.head.seq);
    let mut segments: Vec<Segment> = Vec::with_capacity(known.len());
    for segment in known {
        if segment.meta.head.seq <= floor.head.seq {
            tail.remove_segment(segment.meta.first_seq())
                .map_err(broken)?;
            continue;
        }
        let segment = segment.in_folder(folder);
        let found = files.remove(&segment.meta.first_seq());
        let len = found
            .and_then(|path| fs::metadata(path).ok())
            .map(|file| file.len());
        if len.is_some_and(|len| len != segment.file_len) {
            let reason = format!(
                "a segment whose file has another length than the one that was sealed: seqs {} \
                 to {}",
                segment.meta.first_seq(),
                segment.meta.head.seq
            );
            quarantine.take(&[segment.path().to_owned()], &reason)?;
        } else if len.is_none() {
            let file = segment.path().display().to_string();
            tracing::error!(
                file,
                "the segment {file} is missing: restore it from a backup"
            );
        }
        // The catalogue keeps it: reads and checks report what is missing.
        segments.push(segment);
    }
    for path in files.into_values() {
        adopt(tail, &mut segments, floor, &path, quarantine, broken)?;
    }
    Ok(segments)
}

/// Takes a file that the catalogue does not know into it, if it holds and fits behind the last one.
fn adopt(
    tail: &Tail,
    segments: &mut Vec<Segment>,
    floor: &Floor,
    path: &Path,
    quarantine: &Quarantine,
    broken: &impl Fn(TailError) -> OpenError,
) -> Result<(), OpenError> {
    let before = segments
        .last()
        .map_or(floor.head, |segment| segment.meta.head);
    let checked = Segment::discover(path)
        .map_err(|error| error.to_string())
        .and_then(|found| {
            if found.meta.before.seq != before.seq || found.meta.before.hash != before.hash {
                return Err(format!("it does not follow seq {}", before.seq));
            }
            let mut walk_on = |_| ControlFlow::Continue(());
            found
                .verify(before, &mut walk_on)
                .map_err(|error| error.to_string())?;
            Ok(found)
        });
    match checked {
        Ok(segment) => {
            let file = path.display().to_string();
            tracing::info!(
                file,
                "added the segment {file}, which a crash left, to the catalogue"
            );
            tail.put_segment(&segment).map_err(broken)?;
            segments.push(segment);
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

/// Unlinks what a crash left below the floor.
pub(super) fn finish_pruning(
    index: &PrunedIndex,
    folder: &Path,
    floor: &Floor,
) -> Result<(), OpenError> {
    let files = segment_files(folder)?;
    let mut left = files.range(..=floor.head.seq).peekable();
    if left.peek().is_none() {
        return Ok(());
    }
    for (_, path) in left {
        let file = path.display().to_string();
        tracing::info!(
            file,
            "unlinking the pruned segment {file}, which a crash left"
        );
        index.retire(path)?;
    }
    index.finish(folder, pruned::budget(None))
}
