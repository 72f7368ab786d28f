//! Checking the tree of the transparency log against the blocks, and the last signed checkpoint against the tree.

use boboyka_strand::{Header, Seq};
use boboyka_tlog::{Tile, TreeHash, tree};

use crate::error::{TlogError, causes};
use crate::incarnation::{self, Signed};
use crate::proving;
use crate::shared::Shared;
use crate::tlog::{Entry, TILE, TreeFile, leaf_of, seqs_of, tile_of};

/// A walk over blocks that compares the roots of their tiles with those of the tree.
pub(crate) struct TreeCheck<'a> {
    shared: &'a Shared,
    next: Seq,
    /// Of the tile that `next` is in, from its first entry on; `None` where one of them is not known.
    leaves: Option<Vec<TreeHash>>,
    /// Roots that were read together: the index of the first, and they.
    roots: (u64, Vec<TreeHash>),
    found: Option<(Seq, String)>,
}

impl<'a> TreeCheck<'a> {
    /// Begins behind a floor.
    pub(crate) fn from(shared: &'a Shared, floor: Seq) -> Self {
        Self {
            shared,
            next: floor + 1,
            leaves: beginning(shared, floor),
            roots: (0, Vec::new()),
            found: None,
        }
    }

    /// What does not hold: the first entry of the tile, and why.
    pub(crate) fn found(self) -> Option<(Seq, String)> {
        self.found
    }

    /// Takes the next block; one that came before is passed over.
    pub(crate) fn take(&mut self, header: &Header) {
        if header.seq < self.next || self.shared.tree_file.is_err() {
            return;
        }
        while self.next < header.seq {
            let is_lost = self.shared.state().memory().gap_of(self.next).is_some();
            self.push(is_lost.then(|| Entry::Unknown.leaf()));
        }
        self.push(Some(leaf_of(header)));
    }

    fn push(&mut self, leaf: Option<TreeHash>) {
        match (&mut self.leaves, leaf) {
            (Some(leaves), Some(leaf)) => leaves.push(leaf),
            (_, None) => self.leaves = None,
            (None, Some(_)) => {}
        }
        if self.next.is_multiple_of(TILE) {
            let leaves = self.leaves.replace(Vec::new());
            if let (Some(leaves), None) = (leaves, &self.found) {
                self.found = self.compare(tile_of(self.next), &tree::root_of(&leaves));
            }
        }
        self.next += 1;
    }

    fn compare(&mut self, tile: u64, root: &TreeHash) -> Option<(Seq, String)> {
        let first = *seqs_of(tile).start();
        match self.root(tile) {
            Ok(found) if found == Some(*root) => None,
            // It was pruned on the way, or the tree has no such tile yet.
            Ok(None) => None,
            Ok(Some(_)) => {
                let why = format!(
                    "the blocks hold, but the tree of the transparency log is not theirs at the seqs {first} to {}",
                    first + TILE - 1
                );
                Some((first, why))
            }
            Err(error) => {
                let why = format!(
                    "the blocks hold, but the tree of the transparency log can't be read, and the next start mends it: {}",
                    causes(&error)
                );
                Some((first, why))
            }
        }
    }

    /// The root of a tile; roots of one tile of level 1 are read together.
    fn root(&mut self, tile: u64) -> Result<Option<TreeHash>, TlogError> {
        let place = |first: u64| usize::try_from(tile.checked_sub(first)?).ok();
        let known = |roots: &(u64, Vec<TreeHash>)| roots.1.get(place(roots.0)?).copied();
        if let Some(root) = known(&self.roots) {
            return Ok(Some(root));
        }
        let size = self
            .shared
            .state()
            .tree()
            .map_or(0, crate::tlog::Tree::size);
        let Some(upper) = Tile::at(1, tile / TILE, size) else {
            return Ok(None);
        };
        self.roots = (upper.index * TILE, proving::tile(self.shared, upper)?);
        Ok(known(&self.roots))
    }
}

/// The leaves of a floor's tile up to the floor.
fn beginning(shared: &Shared, floor: Seq) -> Option<Vec<TreeHash>> {
    let first = *seqs_of(tile_of(floor + 1)).start();
    if first > floor {
        return Some(Vec::new());
    }
    let unknown_to = shared.tree_file.as_ref().map_or(0, TreeFile::unknown_to);
    let mut holders = shared.state().holders(first..=floor);
    holders.unknown_to = unknown_to;
    holders.leaves(&shared.kept, first..=floor).ok()
}

/// How the last signed checkpoint differs from the strand, and up to which seq.
pub(crate) fn checkpoint_differs(shared: &Shared) -> Option<(Seq, String)> {
    let signer = shared.signing.lock();
    let (last, _) = shared.signing.last().ok()?;
    drop(signer);
    let head = shared.view().head.seq;
    let last = match last {
        Signed::Nothing => return None,
        Signed::Unreadable(why) => {
            return Some((
                head,
                format!("the chain holds, but the last signed checkpoint can't be read: {why}"),
            ));
        }
        Signed::Checkpoint(last) if !incarnation::is_of(last.origin(), shared.strand) => {
            let why = format!(
                "the chain holds, but the last signed checkpoint is of the log {}",
                last.origin()
            );
            return Some((head, why));
        }
        Signed::Checkpoint(last) => last,
    };
    let size = last.size();
    match proving::root(shared, size) {
        Ok(root) if root == last.root() => None,
        Ok(_) => {
            let why = format!(
                "the chain holds, but its first {size} records are not those of the last signed checkpoint"
            );
            Some((size, why))
        }
        Err(TlogError::Absent { size: there }) => {
            let why = format!(
                "the chain holds, but a checkpoint of {size} records was signed, and it has {there}"
            );
            Some((there + 1, why))
        }
        Err(error) => {
            let why = format!(
                "the chain holds, but can't be compared with the last signed checkpoint: {}",
                causes(&error)
            );
            Some((size, why))
        }
    }
}
