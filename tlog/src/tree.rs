//! The tree as it grows: [`CompactRange`] holds no more than a hash for each bit of the size.

use crate::hash::TreeHash;

/// The tree over the first entries: its size, and the roots of the largest perfect subtrees from left to right, one for each
/// bit of the size. Entries are added at the end; each size has one root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompactRange {
    size: u64,
    peaks: Vec<TreeHash>,
}

/// A subtree that does not begin where the tree ends: its width does not divide the size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a subtree of 2^{height} entries can't follow {size} entries")]
pub struct MisalignedError {
    /// Height of the subtree.
    pub height: u32,
    /// Size of the tree.
    pub size: u64,
}

impl CompactRange {
    /// The tree without entries.
    pub const fn new() -> Self {
        Self {
            size: 0,
            peaks: Vec::new(),
        }
    }

    /// The tree of a size from the roots of its perfect subtrees, largest first; `None` when they are not as many as the size
    /// has bits.
    pub fn from_peaks(size: u64, peaks: Vec<TreeHash>) -> Option<Self> {
        (peaks.len() == size.count_ones() as usize).then_some(Self { size, peaks })
    }

    /// How many entries the tree has.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The roots of the largest perfect subtrees, largest first.
    pub fn peaks(&self) -> &[TreeHash] {
        &self.peaks
    }

    /// Adds the hash of the next leaf.
    pub fn push(&mut self, leaf: TreeHash) {
        self.merge(0, leaf);
    }

    /// Adds the next 2^height entries by the root of their perfect subtree: 8 is a full tile of leaves.
    ///
    /// # Errors
    /// When the size is no multiple of 2^height.
    pub fn push_subtree(&mut self, height: u32, root: TreeHash) -> Result<(), MisalignedError> {
        let size = self.size;
        if size.checked_shr(height).map(|count| count << height) != Some(size) {
            return Err(MisalignedError { height, size });
        }
        self.merge(height, root);
        Ok(())
    }

    /// The root of the tree.
    pub fn root(&self) -> TreeHash {
        let peaks = self.peaks.iter().rev().copied();
        let root = peaks.reduce(|right, left| TreeHash::of_node(&left, &right));
        root.unwrap_or(TreeHash::EMPTY)
    }

    fn merge(&mut self, mut height: u32, mut root: TreeHash) {
        self.size += 1 << height;
        while (self.size >> height) & 1 == 0 {
            let Some(left) = self.peaks.pop() else { break };
            root = TreeHash::of_node(&left, &root);
            height += 1;
        }
        self.peaks.push(root);
    }
}

impl Extend<TreeHash> for CompactRange {
    fn extend<I: IntoIterator<Item = TreeHash>>(&mut self, leaves: I) {
        leaves.into_iter().for_each(|leaf| self.push(leaf));
    }
}

/// The root over hashes of one level: of the leaves of a small tree, or of the hashes of a full tile, for the level above.
pub fn root_of(hashes: &[TreeHash]) -> TreeHash {
    let mut tree = CompactRange::new();
    tree.extend(hashes.iter().copied());
    tree.root()
}
