//! What is written of the transparency log beside commits: roots when a segment is sealed, and before blocks are unlinked the entries
//! that proofs may still need.

use std::collections::BTreeSet;
use std::sync::PoisonError;

use boboyka_strand::Seq;

use crate::error::{ReadError, TlogError, causes};
use crate::shared::Shared;
use crate::tlog::{TILE, entries_to_keep, tile_of};

/// Writes the roots of the tiles that end in segments, up to a seq.
pub(crate) fn write_roots(shared: &Shared, sealed: Seq) -> Result<(), TlogError> {
    let Ok(file) = &shared.tree_file else {
        return Ok(());
    };
    let unwritten = shared.state().tree().map(crate::tlog::Tree::unwritten);
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
    for bundle in wanted(shared, floor) {
        match entries_to_keep(&holders, &shared.kept, bundle) {
            Ok(entries) if shared.kept.read(bundle) == entries => {}
            Ok(entries) => shared
                .kept
                .keep(bundle, &entries)
                .map_err(TlogError::File)?,
            // It went before somebody pinned it.
            Err(ReadError::Pruned { .. }) => {}
            Err(error @ (ReadError::Damaged { .. } | ReadError::Io { .. })) => {
                let error = causes(&error);
                tracing::error!(
                    bundle,
                    error,
                    "the transparency log can't keep the entries of bundle {bundle} that are pruned: proofs that need them can't be made"
                );
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Keeps no longer what no proof needs.
pub(crate) fn forget_entries(shared: &Shared) {
    let wanted = wanted(shared, shared.state().floor().head.seq);
    let kept = shared.kept.bundles();
    for bundle in kept.into_iter().filter(|bundle| !wanted.contains(bundle)) {
        if let Err(error) = shared.kept.remove(bundle) {
            let error = causes(&error);
            tracing::warn!(
                error,
                bundle,
                "could not remove the kept bundle {bundle} of the transparency log"
            );
        }
    }
}

/// The bundles that reach below the floor and are still needed: the one that the floor cuts, and those that a published
/// or pinned size cuts.
fn wanted(shared: &Shared, floor: Seq) -> BTreeSet<u64> {
    let pins = shared.pins.lock().unwrap_or_else(PoisonError::into_inner);
    let published = shared.signing.last_size();
    let published = published
        .filter(|size| size % TILE > 0)
        .map(|size| size / TILE);
    let cut = (!floor.is_multiple_of(TILE)).then(|| tile_of(floor));
    let all = pins.tiles().chain(published).chain(cut);
    all.filter(|bundle| bundle * TILE < floor).collect()
}
