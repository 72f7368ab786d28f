//! Where an entry stands.

use std::ops::RangeInclusive;

use boboyka_strand::{Header, Seq};
use boboyka_tlog::TreeHash;
use boboyka_tlog::tile::WIDTH;

/// The folder in the data folder with all that belongs to the transparency log.
pub(crate) const FOLDER: &str = "tlog";
/// Entries below one hash of the first level.
pub(crate) const TILE: u64 = WIDTH as u64;

/// The tile of level 0 that an entry belongs to.
pub(crate) const fn tile_of(seq: Seq) -> u64 {
    seq.saturating_sub(1) / TILE
}

/// The seqs of a tile of level 0.
pub(crate) const fn seqs_of(tile: u64) -> RangeInclusive<Seq> {
    let first = tile * TILE + 1;
    first..=first + (TILE - 1)
}

/// The leaf hash of a block's header.
pub(crate) fn leaf_of(header: &Header) -> TreeHash {
    TreeHash::of_leaf(&header.encode())
}
