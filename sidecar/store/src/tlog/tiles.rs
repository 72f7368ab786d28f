//! Tiles as proofs and readers want them: from memory, the tree's file, or the blocks.

use std::io;

use boboyka_tlog::proof::Tiles;
use boboyka_tlog::{Tile, TreeHash};

use super::file::TreeFile;
use super::holders::Holders;
use super::kept::Kept;
use super::place::{TILE, seqs_of};
use crate::error::ReadError;

/// Why a tile can't be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TileError {
    #[error("the tree has no such tile yet")]
    Absent,
    #[error("could not read the tree's file")]
    File(#[from] io::Error),
    #[error("the tree's file is damaged")]
    Damaged,
    #[error(transparent)]
    Blocks(#[from] ReadError),
}

/// What memory has of a tile, with the index of its first hash there; for a tile of level 0 also what holds its blocks.
pub(crate) type Look<'a> = dyn Fn(Tile) -> (Option<(u64, Vec<TreeHash>)>, Holders) + 'a;

/// A reader of tiles.
pub(crate) struct TileReader<'a> {
    pub(crate) look: &'a Look<'a>,
    pub(crate) file: &'a TreeFile,
    pub(crate) kept: &'a Kept,
}

impl Tiles for TileReader<'_> {
    type Error = TileError;

    fn tile(&mut self, tile: Tile) -> Result<Vec<TreeHash>, TileError> {
        let (held, holders) = (self.look)(tile);
        let (first, held) = held.ok_or(TileError::Absent)?;
        let begin = tile.index * TILE;
        let missing = first - begin;
        if missing == 0 {
            return Ok(held);
        }
        let mut hashes = match tile.level {
            0 => {
                let (seq, _) = seqs_of(tile.index).into_inner();
                holders.leaves(self.kept, seq..=seq + missing - 1)?
            }
            1 => {
                let read = self.file.read(begin, missing)?;
                read.into_iter()
                    .collect::<Option<Vec<_>>>()
                    .ok_or(TileError::Damaged)?
            }
            // Above level 1 everything is in memory.
            2.. => return Err(TileError::Absent),
        };
        hashes.extend(held);
        Ok(hashes)
    }
}
