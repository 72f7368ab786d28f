//! Tiles of the transparency log that were made lately.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use boboyka_tlog::TreeHash;

/// Full tiles of level 0 that are remembered: each costs a frame or two to make.
const REMEMBERED: usize = 16;

/// Full tiles of level 0 that were made lately.
#[derive(Debug, Default)]
pub(crate) struct Recent(Mutex<VecDeque<(u64, Arc<Vec<TreeHash>>)>>);

impl Recent {
    pub(crate) fn get(&self, index: u64) -> Option<Arc<Vec<TreeHash>>> {
        let tiles = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = tiles.iter().find(|(at, _)| *at == index);
        found.map(|(_, tile)| Arc::clone(tile))
    }

    pub(crate) fn put(&self, index: u64, tile: Arc<Vec<TreeHash>>) {
        let mut tiles = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if tiles.iter().all(|(at, _)| *at != index) {
            tiles.truncate(REMEMBERED - 1);
            tiles.push_front((index, tile));
        }
    }
}
