//! What tells whether a segment's indexes are those that were sealed.

use std::sync::atomic::{AtomicU8, Ordering};

use boboyka_strand::Hash;

/// BLAKE3 of each index; segments of earlier versions have none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IndexSums {
    pub(super) hashes: Hash,
    pub(super) keys: Hash,
    pub(super) filter: Hash,
}

impl IndexSums {
    pub(super) fn of(hashes: &[u8], keys: &[u8], filter: &[u8]) -> Self {
        Self {
            hashes: sum(hashes),
            keys: sum(keys),
            filter: sum(filter),
        }
    }
}

pub(super) fn sum(bytes: &[u8]) -> Hash {
    Hash::from_bytes(*blake3::hash(bytes).as_bytes())
}

/// What checks of the indexes have found since the start.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    pub(super) hashes: AtomicU8,
    pub(super) keys: AtomicU8,
}

/// The index holds.
pub(super) const HOLDS: u8 = 1;
/// The index does not hold.
pub(super) const BROKEN: u8 = 2;

impl Checks {
    /// Notes that the whole file holds.
    pub(super) fn hold(&self) {
        self.hashes.store(HOLDS, Ordering::Relaxed);
        self.keys.store(HOLDS, Ordering::Relaxed);
    }
}

/// They say nothing of what a segment is.
impl PartialEq for Checks {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Checks {}

impl Clone for Checks {
    fn clone(&self) -> Self {
        let copy = |check: &AtomicU8| AtomicU8::new(check.load(Ordering::Relaxed));
        Self {
            hashes: copy(&self.hashes),
            keys: copy(&self.keys),
        }
    }
}
