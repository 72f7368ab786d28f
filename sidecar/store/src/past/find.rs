//! The seqs of a key's versions, newest first: from the tail's list, then from version files, newest first.

use std::io;
use std::sync::Arc;

use boboyka_strand::Seq;

use crate::error::ReadError;
use crate::gap::Gap;
use crate::page::Missing;
use crate::shared::Shared;
use crate::versions::{KeyHash, Piece, VersionFile, Wanted, newest_of};

/// Some of a key's versions.
pub(super) struct Found {
    /// Newest first.
    pub(super) seqs: Vec<Seq>,
    /// What can't be known between the moment and the last of them, or the floor if these are all.
    pub(super) missing: Vec<Missing>,
    /// Whether there are no more.
    pub(super) ended: bool,
}

/// The newest versions of a key, at most this number, none above a seq.
pub(super) fn versions(
    shared: &Shared,
    key: KeyHash,
    at_most: Seq,
    limit: usize,
) -> Result<Found, ReadError> {
    let (mut seqs, sealed, floor, gaps) = {
        let state = shared.state();
        let memory = state.memory();
        let seqs = memory.tail_versions().newest_of(key, at_most, limit);
        let (sealed, floor) = (memory.sealed(), memory.floor().head.seq);
        (seqs, sealed, floor, memory.gaps().to_vec())
    };
    // After the tail: what is sealed meanwhile is in both.
    let cover = shared.versions.cover();
    let mut missing = Vec::new();
    let pieces = cover.pieces().iter().rev();
    for piece in pieces.filter(|piece| piece.first() <= at_most.min(sealed)) {
        let left = limit.saturating_sub(seqs.len());
        if left == 0 || piece.last() <= floor {
            break;
        }
        match piece {
            Piece::File(file) => {
                let newest = seqs.last().map_or(at_most, |last| at_most.min(last - 1));
                let found = newest_of(file, key, newest, left);
                seqs.extend(found.map_err(|error| not_ready(shared, file, &error))?);
            }
            Piece::Wanted(wanted) => return Err(gathered_later(wanted)),
            Piece::Unreadable { first, last, why } => missing.push(Missing {
                first_seq: *first,
                last_seq: (*last).min(at_most),
                why: why.to_string(),
            }),
        }
    }
    let ended = seqs.len() < limit;
    seqs.retain(|seq| *seq > floor);
    let down_to = if ended {
        floor
    } else {
        seqs.last().copied().unwrap_or(floor)
    };
    missing.extend(lost(&gaps, down_to, at_most));
    missing.sort_by_key(|missing| std::cmp::Reverse(missing.first_seq));
    Ok(Found {
        seqs,
        missing,
        ended,
    })
}

/// What is lost between two seqs.
pub(super) fn lost(gaps: &[Gap], above: Seq, at_most: Seq) -> impl Iterator<Item = Missing> {
    let within = move |gap: &&Gap| gap.last.seq > above && gap.first <= at_most;
    gaps.iter().filter(within).map(move |gap| Missing {
        first_seq: gap.first,
        last_seq: gap.last.seq.min(at_most),
        why: "the strand has lost these records".to_owned(),
    })
}

/// A version file does not hold: it is made again, and answers wait for that.
pub(super) fn not_ready(shared: &Shared, file: &Arc<VersionFile>, error: &io::Error) -> ReadError {
    shared.versions.condemn(file, &error.to_string());
    let range = file.range();
    ReadError::NotReady {
        first: range.first,
        last: range.last,
    }
}

/// A range whose versions are not gathered yet.
pub(super) fn gathered_later(wanted: &Wanted) -> ReadError {
    ReadError::NotReady {
        first: wanted.first,
        last: wanted.last,
    }
}
