//! Inclusion and consistency proofs (RFC 6962 §2.1.1, §2.1.2; RFC 9162 §2.1.3, §2.1.4): made from tiles, and checked.
//!
//! A proof is the roots of some subtrees. The functions ending in `_subtrees` name them, [`root`] gives the root of one.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::hash::TreeHash;
use crate::tile::{HEIGHT, Tile, WIDTH};
use crate::tree;

/// Where the hashes of tiles come from.
pub trait Tiles {
    /// Why a tile can't be had.
    type Error;

    /// The hashes of a tile: as many as its width says.
    ///
    /// # Errors
    /// When the tile can't be had.
    fn tile(&mut self, tile: Tile) -> Result<Vec<TreeHash>, Self::Error>;
}

/// A proof that can't be, or does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The tree is too small for the index.
    #[error("the tree of size {size} has no entry at index {index}")]
    Index {
        /// The index, from 0.
        index: u64,
        /// Size of the tree.
        size: u64,
    },
    /// The older tree is larger than the newer one.
    #[error("the size {old} of the older tree is above the size {new} of the newer one")]
    Order {
        /// Size of the older tree.
        old: u64,
        /// Size of the newer tree.
        new: u64,
    },
    /// The proof has too few hashes or too many.
    #[error("the proof must have {expected} hashes, this one has {found}")]
    Length {
        /// How many it must have.
        expected: usize,
        /// How many it has.
        found: usize,
    },
    /// The proof leads to another root: the entry is not in the tree at this index, or the newer tree is another one.
    #[error("the proof leads to the root {found}, not to {expected}")]
    Root {
        /// The root of the checkpoint.
        expected: TreeHash,
        /// Where the proof leads.
        found: TreeHash,
    },
    /// The older tree is no beginning of the newer one: the log was forked or rewritten.
    #[error("the newer tree begins with a tree of root {found}, not {expected}")]
    OldRoot {
        /// The root of the older tree.
        expected: TreeHash,
        /// The root that the proof gives it.
        found: TreeHash,
    },
}

/// The subtrees of an inclusion proof, from the leaf's sibling up, as ranges of entries.
///
/// # Errors
/// When the tree has no entry at the index.
pub fn inclusion_subtrees(index: u64, size: u64) -> Result<Vec<Range<u64>>, ProofError> {
    if index >= size {
        return Err(ProofError::Index { index, size });
    }
    let (mut range, mut subtrees) = (0..size, Vec::new());
    while range.end - range.start > 1 {
        let (left, right) = split(&range);
        let within = left.contains(&index);
        let (inside, beside) = if within { (left, right) } else { (right, left) };
        subtrees.push(beside);
        range = inside;
    }
    subtrees.reverse();
    Ok(subtrees)
}

/// The subtrees of a consistency proof, as ranges of entries; none when the older tree is empty or both are one.
///
/// # Errors
/// When the older tree is larger than the newer one.
pub fn consistency_subtrees(old: u64, new: u64) -> Result<Vec<Range<u64>>, ProofError> {
    if old > new {
        return Err(ProofError::Order { old, new });
    }
    let (mut range, mut subtrees) = (0..new, Vec::new());
    if old == 0 || old == new {
        return Ok(subtrees);
    }
    while range.end != old {
        let (left, right) = split(&range);
        let within = old <= left.end;
        let (inside, beside) = if within { (left, right) } else { (right, left) };
        subtrees.push(beside);
        range = inside;
    }
    // The verifier knows the older root: it needs no proof of a subtree that is the whole older tree.
    if range.start > 0 {
        subtrees.push(range);
    }
    subtrees.reverse();
    Ok(subtrees)
}

/// The tiles of the tree of a size that the roots of these subtrees need.
pub fn tiles_of(subtrees: &[Range<u64>], size: u64) -> BTreeSet<Tile> {
    let perfect = subtrees.iter().flat_map(perfect_subtrees);
    perfect
        .filter_map(|(height, start)| tile_of(height, start, size).map(|(tile, _)| tile))
        .collect()
}

/// The root over a range of entries that is a subtree of the tree of a size: the whole tree, or one of a proof.
///
/// # Errors
/// Those of the tiles.
pub fn root<T: Tiles>(range: &Range<u64>, size: u64, tiles: &mut T) -> Result<TreeHash, T::Error> {
    let mut root = None;
    for (height, start) in perfect_subtrees(range).into_iter().rev() {
        let left = perfect_root(height, start, size, tiles)?;
        root = Some(root.map_or(left, |right| TreeHash::of_node(&left, &right)));
    }
    Ok(root.unwrap_or(TreeHash::EMPTY))
}

/// The roots of subtrees of the tree of a size: a proof.
///
/// # Errors
/// Those of the tiles.
pub fn roots<T: Tiles>(
    subtrees: &[Range<u64>],
    size: u64,
    tiles: &mut T,
) -> Result<Vec<TreeHash>, T::Error> {
    subtrees
        .iter()
        .map(|range| root(range, size, tiles))
        .collect()
}

/// Checks that a leaf is in the tree of a size and root, at an index from 0.
///
/// # Errors
/// When the proof does not show it.
pub fn verify_inclusion(
    leaf: TreeHash,
    index: u64,
    size: u64,
    expected: TreeHash,
    proof: &[TreeHash],
) -> Result<(), ProofError> {
    let subtrees = inclusion_subtrees(index, size)?;
    check_length(subtrees.len(), proof.len())?;
    let steps = subtrees.iter().zip(proof);
    let found = steps.fold(leaf, |inside, (range, beside)| {
        if range.start > index {
            TreeHash::of_node(&inside, beside)
        } else {
            TreeHash::of_node(beside, &inside)
        }
    });
    same_root(expected, found)
}

/// Checks that the tree of size `new` begins with the tree of size `old`.
///
/// # Errors
/// When the proof does not show it.
pub fn verify_consistency(
    (old, old_root): (u64, TreeHash),
    (new, new_root): (u64, TreeHash),
    proof: &[TreeHash],
) -> Result<(), ProofError> {
    let subtrees = consistency_subtrees(old, new)?;
    check_length(subtrees.len(), proof.len())?;
    if old == 0 {
        return same_old_root(old_root, TreeHash::EMPTY);
    }
    if old == new {
        return same_root(new_root, old_root);
    }
    let mut steps = subtrees.iter().zip(proof);
    // The first subtree ends where the older tree does, unless that tree itself is the first.
    let is_perfect = subtrees.first().is_some_and(|range| range.start >= old);
    let begin = if is_perfect {
        old_root
    } else {
        steps.next().map_or(old_root, |step| *step.1)
    };
    let (mut older, mut newer) = (begin, begin);
    for (range, beside) in steps {
        if range.start < old {
            older = TreeHash::of_node(beside, &older);
            newer = TreeHash::of_node(beside, &newer);
        } else {
            newer = TreeHash::of_node(&newer, beside);
        }
    }
    same_old_root(old_root, older)?;
    same_root(new_root, newer)
}

fn check_length(expected: usize, found: usize) -> Result<(), ProofError> {
    if expected == found {
        return Ok(());
    }
    Err(ProofError::Length { expected, found })
}

fn same_root(expected: TreeHash, found: TreeHash) -> Result<(), ProofError> {
    if expected == found {
        return Ok(());
    }
    Err(ProofError::Root { expected, found })
}

fn same_old_root(expected: TreeHash, found: TreeHash) -> Result<(), ProofError> {
    if expected == found {
        return Ok(());
    }
    Err(ProofError::OldRoot { expected, found })
}

/// Both halves of a subtree of two entries or more: the left is perfect.
fn split(range: &Range<u64>) -> (Range<u64>, Range<u64>) {
    let width = range.end - range.start;
    let half = 1 << (width - 1).ilog2();
    let middle = range.start + half;
    (range.start..middle, middle..range.end)
}

/// The perfect subtrees that make up a subtree, from left to right: height and first entry.
fn perfect_subtrees(range: &Range<u64>) -> Vec<(u32, u64)> {
    let (mut start, mut subtrees) = (range.start, Vec::new());
    while let Some(height) = (range.end - start).checked_ilog2() {
        subtrees.push((height, start));
        start += 1 << height;
    }
    subtrees
}

/// The tile with a perfect subtree's hashes, and where in it they begin.
fn tile_of(height: u32, start: u64, size: u64) -> Option<(Tile, usize)> {
    let level = height / HEIGHT;
    let first = start >> (HEIGHT * level);
    let tile = Tile::at(u8::try_from(level).ok()?, first / u64::from(WIDTH), size)?;
    Some((tile, usize::try_from(first % u64::from(WIDTH)).ok()?))
}

fn perfect_root<T: Tiles>(
    height: u32,
    start: u64,
    size: u64,
    tiles: &mut T,
) -> Result<TreeHash, T::Error> {
    let Some((tile, first)) = tile_of(height, start, size) else {
        return Ok(TreeHash::EMPTY);
    };
    let hashes = tiles.tile(tile)?;
    let count = 1 << (height % HEIGHT);
    Ok(tree::root_of(
        hashes.get(first..first + count).unwrap_or_default(),
    ))
}
