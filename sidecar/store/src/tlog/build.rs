//! The tree at opening: from the file and from the blocks behind it. A file that is missing or damaged is made anew from
//! the blocks.

use std::io;
use std::path::{Path, PathBuf};

use boboyka_strand::Seq;
use boboyka_tlog::TreeHash;
use uuid::Uuid;

use super::file::TreeFile;
use super::holders::Holders;
use super::kept::Kept;
use super::place::{TILE, seqs_of};
use super::tree::Tree;
use crate::error::{ReadError, TlogError};

/// Tiles that are read at once.
const TILES_AT_ONCE: u64 = 64;

/// A tree with its file, which has every root that it can.
#[derive(Debug)]
pub(crate) struct Grown {
    pub(crate) tree: Tree,
    pub(crate) file: TreeFile,
}

/// Why the tree can't be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BuildError {
    #[error("could not read or write the tree's file in {}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("the tree's file lacks roots, and the blocks below them can't be read")]
    Blocks(#[from] ReadError),
}

/// Opens the tree of a strand. `holders` hold every block that there is, `sealed` is the newest one in a segment.
pub(crate) fn build(
    folder: &Path,
    strand: Uuid,
    holders: &mut Holders,
    kept: &Kept,
    (sealed, head): (Seq, Seq),
) -> Result<Grown, BuildError> {
    let failed = |source| BuildError::File {
        path: folder.to_owned(),
        source,
    };
    let found = TreeFile::open(folder, strand).map_err(failed)?;
    holders.unknown_to = found.as_ref().map_or(holders.floor, TreeFile::unknown_to);
    let written = found
        .as_ref()
        .map_or(Ok(Vec::new()), TreeFile::all)
        .map_err(failed)?;
    let known_to = holders.unknown_to;
    let roots = roots(&written, holders, kept, sealed / TILE)?;
    let file = match found {
        Some(file) if holders.unknown_to == known_to => {
            bring_in_line(&file, &written, &roots).map_err(failed)?;
            file
        }
        Some(_) | None => {
            TreeFile::create(folder, strand, holders.unknown_to, &roots).map_err(failed)?
        }
    };
    let mut tree = Tree::of_tiles(&roots);
    let first = tree.size() + 1;
    for leaf in leaves(holders, kept, first, head)? {
        tree.push(leaf);
    }
    Ok(Grown { tree, file })
}

/// The roots of the first tiles: those that were written, and from the blocks those that were not or do not hold.
fn roots(
    written: &[Option<TreeHash>],
    holders: &mut Holders,
    kept: &Kept,
    tiles: u64,
) -> Result<Vec<TreeHash>, BuildError> {
    let mut roots = Vec::new();
    let mut written = written.iter().copied();
    let mut tile = 0;
    while tile < tiles {
        match written.next() {
            Some(Some(root)) => {
                roots.push(root);
                tile += 1;
            }
            Some(None) => {
                tracing::warn!(
                    tile,
                    "the tree's file is damaged at tile {tile} and mended from the blocks"
                );
                roots.extend(roots_of(holders, kept, tile, 1)?);
                tile += 1;
            }
            None => {
                let count = TILES_AT_ONCE.min(tiles - tile);
                roots.extend(roots_of(holders, kept, tile, count)?);
                tile += count;
            }
        }
    }
    Ok(roots)
}

fn roots_of(
    holders: &mut Holders,
    kept: &Kept,
    first: u64,
    count: u64,
) -> Result<Vec<TreeHash>, BuildError> {
    let (begin, _) = seqs_of(first).into_inner();
    let leaves = leaves(holders, kept, begin, begin + count * TILE - 1)?;
    let tiles = leaves.chunks(usize::try_from(TILE).unwrap_or(usize::MAX));
    Ok(tiles.map(boboyka_tlog::tree::root_of).collect())
}

/// The leaf hashes of a range. Where neither file nor blocks have what was pruned, it counts as unknown from now on.
fn leaves(
    holders: &mut Holders,
    kept: &Kept,
    first: Seq,
    last: Seq,
) -> Result<Vec<TreeHash>, BuildError> {
    if first > last {
        return Ok(Vec::new());
    }
    match holders.leaves(kept, first..=last) {
        Err(ReadError::Pruned { floor }) if holders.unknown_to < floor => {
            tracing::error!(
                floor,
                "the tree lacks what was pruned up to seq {floor}: the transparency log has empty entries there"
            );
            holders.unknown_to = floor;
            Ok(holders.leaves(kept, first..=last)?)
        }
        leaves => Ok(leaves?),
    }
}

/// Writes what the file lacks, and takes away what it has too much.
fn bring_in_line(
    file: &TreeFile,
    written: &[Option<TreeHash>],
    roots: &[TreeHash],
) -> io::Result<()> {
    for (index, (found, root)) in (0..).zip(written.iter().zip(roots)) {
        if found.is_none() {
            file.write(index, std::slice::from_ref(root))?;
        }
    }
    file.write(
        written.len() as u64,
        roots.get(written.len()..).unwrap_or_default(),
    )?;
    file.cut(roots.len() as u64)
}

/// Keeps the entries of a tile up to the floor, before what holds them is unlinked.
pub(crate) fn keep(holders: &Holders, kept: &Kept, tile: u64) -> Result<(), TlogError> {
    let (first, last) = seqs_of(tile).into_inner();
    let entries = match holders.entries(kept, first..=last.min(holders.floor)) {
        // They went before somebody pinned the size.
        Err(ReadError::Pruned { .. }) => return Ok(()),
        entries => entries?,
    };
    if kept.read(tile) == entries {
        return Ok(());
    }
    kept.keep(tile, &entries).map_err(TlogError::File)
}
