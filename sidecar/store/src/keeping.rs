//! What is written of the transparency log beside commits: roots when a segment is sealed, and before blocks are unlinked the entries
//! that proofs may still need.

use std::collections::BTreeSet;
use std::sync::PoisonError;

use boboyka_strand::Seq;

use crate::error::{ReadError, TlogError, causes};
use crate::shared::Shared;
use crate::tlog::{self, TILE};

/// Writes the roots of the tiles that end in segments, up to a seq.
pub(crate) fn write_roots(shared: &Shared, sealed: Seq) -> Result<(), TlogError> {
    let Ok(file) = &shared.tree_file else {
        return Ok(());
    };
    let unwritten = shared.state().tree().map(tlog::Tree::unwritten);
    let Some((first, roots)) = unwritten else {
        return Ok(());
    };
    let count = usize::try_from((sealed / TILE).saturating_sub(first)).unwrap_or(usize::MAX);
    let due = roots.get(..count.min(roots.len())).unwrap_or_default();
    if due.is_empty() {
        return Ok(());
    }
    file.write(first, due).map_err(TlogError::File)?;
    shared.change_quietly(|state| state.tree_written(first + due.len() as u64));
    Ok(())
}

/// Makes durable what proofs need of the blocks below the floor. They must not be unlinked if that fails.
pub(crate) fn keep_entries(shared: &Shared) -> Result<(), TlogError> {
    let Ok(file) = &shared.tree_file else {
        return Ok(());
    };
    let (floor, sealed) = {
        let state = shared.state();
        (state.floor().head.seq, state.memory().sealed())
    };
    write_roots(shared, sealed)?;
    let mut holders = shared.state().holders(1..=floor);
    holders.unknown_to = file.unknown_to();
    for tile in needed_tiles(shared, floor) {
        match tlog::keep(&holders, &shared.kept, tile) {
            Err(TlogError::Read(error @ (ReadError::Damaged { .. } | ReadError::Io { .. }))) => {
                let error = causes(&error);
                tracing::error!(
                    tile,
                    error,
                    "the transparency log can't keep the entries of tile {tile} that are pruned: proofs that need them can't be made"
                );
            }
            kept => kept?,
        }
    }
    Ok(())
}

/// Keeps no longer what no proof needs.
pub(crate) fn forget_entries(shared: &Shared) {
    let needed = needed_tiles(shared, shared.state().floor().head.seq);
    let kept = shared.kept.tiles();
    for tile in kept.into_iter().filter(|tile| !needed.contains(tile)) {
        if let Err(error) = shared.kept.remove(tile) {
            let error = causes(&error);
            tracing::warn!(
                error,
                tile,
                "could not remove the kept entries of tile {tile} of the transparency log"
            );
        }
    }
}

fn needed_tiles(shared: &Shared, floor: Seq) -> BTreeSet<u64> {
    let pins = shared.pins.lock().unwrap_or_else(PoisonError::into_inner);
    pins.needed_tiles(shared.signing.last_size(), floor)
}
