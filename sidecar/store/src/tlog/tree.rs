//! The tree as it grows with the strand.

use boboyka_tlog::tile::{HEIGHT, WIDTH};
use boboyka_tlog::{CompactRange, Tile, TreeHash};

/// The tree over the headers of all blocks that are durable, in memory as far as the file does not have it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    levels: Vec<Level>,
    /// Hashes of level 1 that the file has.
    written: u64,
}

/// One level of tiles.
#[derive(Clone, Debug, Default)]
struct Level {
    /// Index of the first hash that is here: on level 0 only the last tile is, on level 1 what the file lacks.
    first: u64,
    hashes: Vec<TreeHash>,
    /// Over the last tile, while it is not full.
    tile: CompactRange,
}

impl Tree {
    /// The tree of full tiles of level 0 whose roots the file has.
    pub(crate) fn of_tiles(roots: &[TreeHash]) -> Self {
        let mut tree = Self::default();
        for root in roots {
            tree.level(0).first += u64::from(WIDTH);
            tree.add(1, *root);
        }
        tree.written(roots.len() as u64);
        tree
    }

    /// Adds the hash of the next leaf.
    pub(crate) fn push(&mut self, leaf: TreeHash) {
        self.add(0, leaf);
    }

    /// How many entries it has.
    pub(crate) fn size(&self) -> u64 {
        self.levels.first().map_or(0, Level::len)
    }

    /// The root of the whole.
    pub(crate) fn root(&self) -> TreeHash {
        let peaks = self
            .levels
            .iter()
            .flat_map(|level| level.tile.peaks().iter().rev());
        let root = peaks
            .copied()
            .reduce(|right, left| TreeHash::of_node(&left, &right));
        root.unwrap_or(TreeHash::EMPTY)
    }

    /// The hashes of level 1 that the file does not have yet, and the index of the first.
    pub(crate) fn unwritten(&self) -> (u64, Vec<TreeHash>) {
        let fresh = self.levels.get(1).map(|level| level.hashes.clone());
        (self.written, fresh.unwrap_or_default())
    }

    /// The file has this many hashes of level 1 now.
    pub(crate) fn written(&mut self, hashes: u64) {
        self.written = hashes;
        if let Some(level) = self.levels.get_mut(1) {
            let gone = usize::try_from(hashes.saturating_sub(level.first)).unwrap_or(usize::MAX);
            let gone = gone.min(level.hashes.len());
            level.hashes.drain(..gone);
            level.first += gone as u64;
        }
    }

    /// The hashes of a tile, or their end: those before the index that comes with them are not in memory.
    pub(crate) fn tile(&self, tile: Tile) -> Option<(u64, Vec<TreeHash>)> {
        let level = self.levels.get(usize::from(tile.level))?;
        let begin = tile.index * u64::from(WIDTH);
        let end = begin + u64::from(tile.width);
        if end > level.len() {
            return None;
        }
        let first = begin.max(level.first.min(end));
        let at =
            |index: u64| usize::try_from(index.saturating_sub(level.first)).unwrap_or(usize::MAX);
        Some((first, level.hashes.get(at(first)..at(end))?.to_vec()))
    }

    fn level(&mut self, level: usize) -> &mut Level {
        if self.levels.len() <= level {
            self.levels.resize_with(level + 1, Level::default);
        }
        #[expect(clippy::indexing_slicing, reason = "it was made just now")]
        &mut self.levels[level]
    }

    /// Adds a hash on a level, and above it where that makes a tile full.
    fn add(&mut self, mut level: usize, mut hash: TreeHash) {
        loop {
            let place = self.level(level);
            place.hashes.push(hash);
            place.tile.push(hash);
            if place.tile.size() < 1 << HEIGHT {
                return;
            }
            hash = std::mem::take(&mut place.tile).root();
            if level == 0 {
                place.first += place.hashes.len() as u64;
                place.hashes.clear();
            }
            level += 1;
        }
    }
}

impl Level {
    fn len(&self) -> u64 {
        self.first + self.hashes.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use boboyka_tlog::{CompactRange, Tile, TreeHash};

    use super::Tree;

    fn leaf(n: u64) -> TreeHash {
        TreeHash::of_leaf(&n.to_be_bytes())
    }

    #[test]
    fn each_size_has_the_root_that_the_compact_range_gives_it_also_over_three_levels() {
        let (mut tree, mut range) = (Tree::default(), CompactRange::new());
        for n in 0..70_000 {
            if n < 1_000 || n % 997 == 0 || n > 65_500 {
                assert_eq!((tree.size(), tree.root()), (n, range.root()), "{n}");
            }
            tree.push(leaf(n));
            range.push(leaf(n));
        }
    }

    #[test]
    fn a_tree_goes_on_from_the_roots_of_its_full_tiles() {
        let mut whole = Tree::default();
        (0..70_000).for_each(|n| whole.push(leaf(n)));
        let (first, roots) = whole.unwritten();
        assert_eq!((first, roots.len()), (0, 273));
        let mut again = Tree::of_tiles(&roots);
        (273 * 256..70_000).for_each(|n| again.push(leaf(n)));
        assert_eq!((again.size(), again.root()), (whole.size(), whole.root()));
        assert_eq!(again.unwritten(), (273, Vec::new()));
        let tile = Tile {
            level: 2,
            index: 0,
            width: 1,
        };
        assert_eq!(again.tile(tile), whole.tile(tile));
    }

    #[test]
    fn of_a_tile_it_gives_what_the_file_does_not_have() {
        let mut tree = Tree::default();
        (0..2_000).for_each(|n| tree.push(leaf(n)));
        let (_, roots) = tree.unwritten();
        tree.written(5);
        let tile = |level, index, width| Tile {
            level,
            index,
            width,
        };
        assert_eq!(tree.tile(tile(1, 0, 7)), Some((5, roots[5..7].to_vec())));
        assert_eq!(tree.tile(tile(1, 0, 3)), Some((3, Vec::new())));
        assert_eq!(tree.tile(tile(1, 0, 8)), None);
        let leaves: Vec<_> = (1_792..1_900).map(leaf).collect();
        assert_eq!(tree.tile(tile(0, 7, 108)), Some((1_792, leaves)));
        assert_eq!(tree.tile(tile(0, 3, 256)), Some((1_024, Vec::new())));
    }
}
