//! The strand's transparency log: a Merkle tree whose entries are the blocks' headers, index = seq − 1.
//!
//! Neither entries nor leaf hashes are stored: a frame of a segment holds the blocks, and so their headers. The file
//! `tree` has the root of each full 256 entries; what is above them is in memory. Of what was pruned, `kept` has the
//! entries that a proof may still need.

mod build;
mod entry;
mod file;
mod holders;
mod kept;
mod pins;
mod place;
mod tiles;
mod tree;

pub(crate) use build::{Grown, build, keep};
pub(crate) use entry::Entry;
pub(crate) use file::TreeFile;
pub(crate) use holders::Holders;
pub(crate) use kept::Kept;
pub(crate) use pins::Pins;
pub(crate) use place::{FOLDER, TILE, leaf_of, seqs_of, tile_of};
pub(crate) use tiles::{TileError, TileReader};
pub(crate) use tree::Tree;
