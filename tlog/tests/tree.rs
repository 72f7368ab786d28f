//! Trees and proofs against the definition of RFC 6962, for every small size.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that panics says where"
)]

use std::collections::BTreeSet;

use boboyka_tlog::proof::{self, ProofError, Tiles};
use boboyka_tlog::{CompactRange, Tile, TreeHash, tree};

/// Sizes up to here are tried one by one.
const SIZES: u64 = 300;
/// For pairs of sizes.
const PAIRS: u64 = 70;
/// Up to this size every bit of a proof is changed, above it one of each hash.
const BITS: u64 = 12;

fn leaves(size: u64) -> Vec<TreeHash> {
    (0..size)
        .map(|index| TreeHash::of_leaf(&index.to_be_bytes()))
        .collect()
}

/// RFC 6962 §2.1, word for word.
fn defined_root(leaves: &[TreeHash]) -> TreeHash {
    match leaves {
        [] => TreeHash::EMPTY,
        [leaf] => *leaf,
        leaves => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            TreeHash::of_node(&defined_root(left), &defined_root(right))
        }
    }
}

/// Tiles computed from the leaves; every tile asked for is noted.
struct FromLeaves {
    leaves: Vec<TreeHash>,
    asked: BTreeSet<Tile>,
}

impl FromLeaves {
    fn new(size: u64) -> Self {
        Self {
            leaves: leaves(size),
            asked: BTreeSet::new(),
        }
    }

    fn root(&self, size: u64) -> TreeHash {
        defined_root(&self.leaves[..usize::try_from(size).unwrap()])
    }
}

impl Tiles for FromLeaves {
    type Error = String;

    fn tile(&mut self, tile: Tile) -> Result<Vec<TreeHash>, String> {
        self.asked.insert(tile);
        let wide = 256_usize.pow(tile.level.into());
        let first = usize::try_from(tile.index).unwrap() * 256;
        let hashes = (first..first + usize::from(tile.width))
            .map(|at| defined_root(&self.leaves[at * wide..(at + 1) * wide]));
        Ok(hashes.collect())
    }
}

fn inclusion(index: u64, size: u64, tiles: &mut FromLeaves) -> Vec<TreeHash> {
    proof::roots(
        &proof::inclusion_subtrees(index, size).unwrap(),
        size,
        tiles,
    )
    .unwrap()
}

fn consistency(old: u64, new: u64, tiles: &mut FromLeaves) -> Vec<TreeHash> {
    proof::roots(&proof::consistency_subtrees(old, new).unwrap(), new, tiles).unwrap()
}

#[test]
fn every_size_has_the_root_of_the_definition() {
    let all = leaves(SIZES);
    let mut tree = CompactRange::new();
    assert_eq!(tree.root(), TreeHash::EMPTY);
    for (before, leaf) in all.iter().enumerate() {
        tree.push(*leaf);
        let expected = defined_root(&all[..=before]);
        assert_eq!(tree.root(), expected, "size {}", before + 1);
        assert_eq!(tree::root_of(&all[..=before]), expected);
        let peaks = tree.peaks().to_vec();
        assert_eq!(
            CompactRange::from_peaks(tree.size(), peaks),
            Some(tree.clone())
        );
    }
    assert_eq!(CompactRange::from_peaks(3, vec![all[0]]), None);
}

#[test]
fn a_tree_of_full_tiles_and_single_leaves_is_one_of_leaves() {
    let all = leaves(700);
    let mut tree = CompactRange::new();
    tree.push_subtree(8, tree::root_of(&all[..256])).unwrap();
    tree.push_subtree(8, tree::root_of(&all[256..512])).unwrap();
    tree.extend(all[512..].iter().copied());
    assert_eq!(tree.root(), defined_root(&all));
    let error = tree.push_subtree(8, all[0]).unwrap_err();
    assert_eq!((error.height, error.size), (8, 700));
    assert!(tree.push_subtree(64, all[0]).is_err());
}

#[test]
fn tiles_give_the_root_and_every_inclusion() {
    for size in (1..=SIZES).chain([511, 512, 513, 777]) {
        let mut tiles = FromLeaves::new(size);
        let root = proof::root(&(0..size), size, &mut tiles).unwrap();
        assert_eq!(root, tiles.root(size));
        for index in [0, size / 3, size / 2, size - 1] {
            tiles.asked.clear();
            let hashes = inclusion(index, size, &mut tiles);
            let leaf = tiles.leaves[usize::try_from(index).unwrap()];
            proof::verify_inclusion(leaf, index, size, root, &hashes).unwrap();
            let subtrees = proof::inclusion_subtrees(index, size).unwrap();
            assert_eq!(proof::tiles_of(&subtrees, size), tiles.asked);
        }
    }
}

#[test]
fn every_entry_is_proven_in_every_size_and_no_altered_proof_holds() {
    let mut tiles = FromLeaves::new(PAIRS);
    for size in 1..=PAIRS {
        let root = tiles.root(size);
        for index in 0..size {
            let leaf = tiles.leaves[usize::try_from(index).unwrap()];
            let hashes = inclusion(index, size, &mut tiles);
            let check = |leaf, index, size, root, hashes: &[TreeHash]| {
                proof::verify_inclusion(leaf, index, size, root, hashes)
            };
            assert_eq!(check(leaf, index, size, root, &hashes), Ok(()));
            let holds = |hashes: &[TreeHash]| check(leaf, index, size, root, hashes).is_ok();
            altered(size, &hashes).for_each(|hashes| assert!(!holds(&hashes), "{index} in {size}"));
            assert!(check(flipped(leaf, 0), index, size, root, &hashes).is_err());
            assert!(check(leaf, index, size, flipped(root, 9), &hashes).is_err());
            assert!(check(leaf, index ^ 1, size, root, &hashes).is_err());
            let outside = check(leaf, size, size, root, &hashes);
            assert_eq!(outside, Err(ProofError::Index { index: size, size }));
        }
    }
}

#[test]
fn every_size_is_proven_to_begin_with_every_smaller_one_and_no_altered_proof_holds() {
    let mut tiles = FromLeaves::new(PAIRS);
    for new in 0..=PAIRS {
        for old in 0..=new {
            let (from, to) = ((old, tiles.root(old)), (new, tiles.root(new)));
            let hashes = consistency(old, new, &mut tiles);
            assert_eq!(
                proof::verify_consistency(from, to, &hashes),
                Ok(()),
                "{old} to {new}"
            );
            let holds =
                |from, to, hashes: &[TreeHash]| proof::verify_consistency(from, to, hashes).is_ok();
            altered(new, &hashes)
                .for_each(|hashes| assert!(!holds(from, to, &hashes), "{old} to {new}"));
            assert!(!holds((old, flipped(from.1, 3)), to, &hashes));
            if old > 0 {
                assert!(
                    !holds(from, (new, flipped(to.1, 3)), &hashes),
                    "{old} to {new}"
                );
            }
            if old < new {
                let turned = proof::verify_consistency(to, from, &hashes);
                assert_eq!(turned, Err(ProofError::Order { old: new, new: old }));
            }
        }
    }
}

#[test]
fn a_fork_is_named_by_the_older_root_and_a_wrong_length_by_its_number() {
    let mut tiles = FromLeaves::new(9);
    let hashes = consistency(5, 9, &mut tiles);
    let (fork, new) = ((5, flipped(tiles.root(5), 1)), (9, tiles.root(9)));
    let error = proof::verify_consistency(fork, new, &hashes).unwrap_err();
    assert!(matches!(error, ProofError::OldRoot { .. }), "{error}");
    let error = proof::verify_consistency((5, tiles.root(5)), new, &hashes[1..]).unwrap_err();
    let (expected, found) = (hashes.len(), hashes.len() - 1);
    assert_eq!(error, ProofError::Length { expected, found });
}

/// Proofs that differ in one bit, miss a hash, have one more or have two exchanged.
fn altered(size: u64, hashes: &[TreeHash]) -> impl Iterator<Item = Vec<TreeHash>> {
    let every = if size <= BITS { 256 } else { 1 };
    let bits = (0..hashes.len() * every).map(move |number| {
        let (mut other, at) = (hashes.to_vec(), number / every);
        other[at] = flipped(other[at], number);
        other
    });
    let missing = (0..hashes.len()).map(|at| {
        let mut other = hashes.to_vec();
        other.remove(at);
        other
    });
    let exchanged = (1..hashes.len()).map(|at| {
        let mut other = hashes.to_vec();
        other.swap(at - 1, at);
        other
    });
    let longer = [
        [hashes, &[TreeHash::EMPTY]].concat(),
        [&[TreeHash::EMPTY], hashes].concat(),
    ];
    bits.chain(missing).chain(exchanged).chain(longer)
}

/// The hash with one bit changed.
fn flipped(hash: TreeHash, bit: usize) -> TreeHash {
    let mut bytes = *hash.as_bytes();
    bytes[bit / 8 % 32] ^= 1 << (bit % 8);
    TreeHash::from_bytes(bytes)
}
