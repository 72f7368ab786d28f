//! Tiles, entries and proofs of the transparency log, for readers. All of it blocks.

use std::sync::Arc;

use boboyka_strand::{Hash, Seq};
use boboyka_tlog::proof::{self, Tiles};
use boboyka_tlog::tile::{Entries, WIDTH};
use boboyka_tlog::{Bundle, Note, Tile, TreeHash};

use crate::error::{ReadError, TlogError};
use crate::read::{self, RecordName};
use crate::shared::Shared;
use crate::tlog::{Entry, Holders, Kept, TILE, TileError, TileReader, TreeFile, seqs_of, tile_of};

/// Below this index, entries, and the tiles of level 0 over them, may be missing.
pub(crate) fn minimum_index(shared: &Shared) -> u64 {
    let floor = shared.state().floor().head.seq;
    let unknown_to = shared.tree_file.as_ref().map_or(0, TreeFile::unknown_to);
    let straddled = floor / TILE * TILE;
    straddled.max(unknown_to.div_ceil(TILE) * TILE)
}

/// The hashes of a tile.
pub(crate) fn tile(shared: &Shared, tile: Tile) -> Result<Vec<TreeHash>, TlogError> {
    if tile.level == 0 {
        above_minimum(shared, tile.index)?;
    }
    hashes(shared, tile)
}

/// The entries of a tile as they are served: each behind its length.
pub(crate) fn entries(shared: &Shared, entries: Entries) -> Result<Vec<u8>, TlogError> {
    above_minimum(shared, entries.index)?;
    let last = entries.index * TILE + u64::from(entries.width);
    exists(shared, last)?;
    let (first, _) = seqs_of(entries.index).into_inner();
    let holders = holders(shared, entries.index)?;
    let found = holders.entries(&shared.kept, first..=last)?;
    Ok(found.iter().flat_map(Entry::encoded).collect())
}

/// The proof that a block is in the tree of a checkpoint.
pub(crate) fn inclusion(
    shared: &Shared,
    seq: Seq,
    header: &[u8],
    size: u64,
    checkpoint: &Note,
) -> Result<Bundle, TlogError> {
    let index = seq.saturating_sub(1);
    let subtrees = proof::inclusion_subtrees(index, size)?;
    Ok(Bundle {
        extra: Some(header.to_vec()),
        index,
        hashes: proof::roots(&subtrees, size, &mut Cached(shared))?,
        checkpoint: checkpoint.clone(),
    })
}

/// The proof that the tree of one size begins with the tree of another.
pub(crate) fn consistency(shared: &Shared, old: u64, new: u64) -> Result<Vec<TreeHash>, TlogError> {
    exists(shared, new)?;
    let subtrees = proof::consistency_subtrees(old, new)?;
    proof::roots(&subtrees, new, &mut Cached(shared))
}

/// The root of the tree of a size.
pub(crate) fn root(shared: &Shared, size: u64) -> Result<TreeHash, TlogError> {
    exists(shared, size)?;
    proof::root(&(0..size), size, &mut Cached(shared))
}

/// Seq and header of a record, also of one that is pruned and whose header is kept.
pub(crate) fn header(
    shared: &Shared,
    name: &RecordName,
) -> Result<Option<(Seq, Vec<u8>)>, TlogError> {
    match read::named(shared, name) {
        Ok(Some(block)) => Ok(Some((block.header.seq, block.header.encode().to_vec()))),
        Ok(None) => Ok(kept_header(&shared.kept, name)),
        Err(error @ ReadError::Pruned { .. }) => {
            kept_header(&shared.kept, name).map_or(Err(error.into()), |found| Ok(Some(found)))
        }
        Err(error) => Err(error.into()),
    }
}

fn kept_header(kept: &Kept, name: &RecordName) -> Option<(Seq, Vec<u8>)> {
    let tiles = match name {
        RecordName::Hash(_) => kept.tiles(),
        RecordName::Seq(seq) => vec![tile_of(*seq)],
    };
    let is_named = |seq: Seq, header: &[u8]| match name {
        RecordName::Hash(hash) => Hash::of_header(header) == *hash,
        // A lost record has an empty entry.
        RecordName::Seq(named) => seq == *named && !header.is_empty(),
    };
    tiles.into_iter().find_map(|tile| {
        let mut entries = seqs_of(tile).zip(kept.read(tile));
        let (seq, entry) = entries.find(|(seq, entry)| is_named(*seq, entry.bytes()))?;
        Some((seq, entry.bytes().to_vec()))
    })
}

fn above_minimum(shared: &Shared, index: u64) -> Result<(), TlogError> {
    let minimum = minimum_index(shared);
    if (index + 1).saturating_mul(TILE) <= minimum {
        return Err(TlogError::Pruned { minimum });
    }
    Ok(())
}

fn exists(shared: &Shared, size: u64) -> Result<(), TlogError> {
    let state = shared.state();
    let tree = state.tree().ok_or_else(|| shared.no_tree())?;
    if size > tree.size() {
        return Err(TlogError::Absent { size: tree.size() });
    }
    Ok(())
}

fn holders(shared: &Shared, tile: u64) -> Result<Holders, TlogError> {
    let file = shared
        .tree_file
        .as_ref()
        .map_err(|why| TlogError::Unavailable(why.clone()))?;
    let mut holders = shared.state().holders(seqs_of(tile));
    holders.unknown_to = file.unknown_to();
    Ok(holders)
}

/// Reads tiles, those of level 0 perhaps from what was made lately.
struct Cached<'a>(&'a Shared);

impl Tiles for Cached<'_> {
    type Error = TlogError;

    fn tile(&mut self, tile: Tile) -> Result<Vec<TreeHash>, TlogError> {
        hashes(self.0, tile)
    }
}

fn hashes(shared: &Shared, tile: Tile) -> Result<Vec<TreeHash>, TlogError> {
    if tile.level > 0 {
        return read_tile(shared, tile);
    }
    let width = usize::from(tile.width);
    if let Some(recent) = shared.recent.get(tile.index) {
        return Ok(recent.iter().take(width).copied().collect());
    }
    let size = shared.state().tree().map_or(0, crate::tlog::Tree::size);
    let is_full = (tile.index + 1).saturating_mul(TILE) <= size;
    if !is_full {
        return read_tile(shared, tile);
    }
    let full = Tile {
        width: WIDTH,
        ..tile
    };
    match read_tile(shared, full) {
        Ok(mut hashes) => {
            shared.recent.put(tile.index, Arc::new(hashes.clone()));
            hashes.truncate(width);
            Ok(hashes)
        }
        // What is kept of a pruned one may be its beginning.
        Err(_) if width < usize::from(WIDTH) => read_tile(shared, tile),
        Err(error) => Err(error),
    }
}

fn read_tile(shared: &Shared, tile: Tile) -> Result<Vec<TreeHash>, TlogError> {
    let file = shared
        .tree_file
        .as_ref()
        .map_err(|why| TlogError::Unavailable(why.clone()))?;
    let look = |tile: Tile| {
        let state = shared.state();
        let held = state.tree().and_then(|tree| tree.tile(tile));
        if tile.level > 0 {
            return (held, Holders::default());
        }
        let mut holders = state.holders(seqs_of(tile.index));
        holders.unknown_to = file.unknown_to();
        (held, holders)
    };
    let mut reader = TileReader {
        look: &look,
        file,
        kept: &shared.kept,
    };
    reader.tile(tile).map_err(|error| match error {
        TileError::Blocks(ReadError::Pruned { .. }) => TlogError::Pruned {
            minimum: minimum_index(shared),
        },
        TileError::Blocks(error) => error.into(),
        TileError::Absent => TlogError::Absent {
            size: shared.state().tree().map_or(0, crate::tlog::Tree::size),
        },
        TileError::File(error) => TlogError::File(error),
        TileError::Damaged => TlogError::Unavailable("the tree's file is damaged".to_owned()),
    })
}
