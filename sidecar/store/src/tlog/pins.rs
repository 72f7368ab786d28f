//! Sizes of the tree from which somebody will ask for a consistency proof: the file `tlog/pins`, a line `SIZE NAME` each.
//! The tile that such a size cuts outlives its blocks.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use boboyka_strand::Seq;

use super::place::{FOLDER, TILE};
use crate::files;

/// The pinned sizes of one data folder.
#[derive(Debug)]
pub(crate) struct Pins {
    path: PathBuf,
    sizes: BTreeMap<String, u64>,
}

impl Pins {
    /// What the file says; lines that mean nothing are no pins.
    pub(crate) fn open(data_dir: &Path) -> Self {
        let path = data_dir.join(FOLDER).join("pins");
        let text = fs::read_to_string(&path).unwrap_or_default();
        let pin = |line: &str| {
            let (size, name) = line.split_once(' ')?;
            Some((name.to_owned(), size.parse().ok()?))
        };
        let sizes = text.lines().filter_map(pin).collect();
        Self { path, sizes }
    }

    /// Pins a size under a name, in the place of the one that it had.
    pub(crate) fn pin(&mut self, name: &str, size: u64) -> io::Result<()> {
        if self.sizes.get(name) == Some(&size) {
            return Ok(());
        }
        let mut sizes = self.sizes.clone();
        sizes.insert(name.replace(['\n', '\r'], " "), size);
        let lines: Vec<_> = sizes
            .iter()
            .map(|(name, size)| format!("{size} {name}\n"))
            .collect();
        files::replace(&self.path, lines.concat().as_bytes())?;
        self.sizes = sizes;
        Ok(())
    }

    /// The tiles of level 0 that reach below the floor and are still needed: the one that the floor cuts, and those that a
    /// pinned size or the size of the last checkpoint cuts.
    pub(crate) fn needed_tiles(&self, signed: Option<u64>, floor: Seq) -> BTreeSet<u64> {
        let sizes = self.sizes.values().copied().chain(signed).chain([floor]);
        let cut = sizes.filter(|size| !size.is_multiple_of(TILE));
        let tiles = cut.map(|size| size / TILE);
        tiles.filter(|tile| tile * TILE < floor).collect()
    }
}
