//! The floor: where a strand begins after pruning. Everything up to it is gone; the block behind it
//! names the floor's hash as its parent.

use boboyka_strand::{Head, RECORD_TYPES};
use serde::{Deserialize, Serialize};

/// Where a strand begins: the newest block that was pruned, and what was pruned with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Floor {
    /// The newest pruned block; [`Head::EMPTY`] while nothing was pruned.
    pub head: Head,
    /// Pruned records of each type, in the order of [`RecordType::ALL`](boboyka_strand::RecordType::ALL).
    pub counts: [u64; RECORD_TYPES],
    /// Of these, the ones that Supabase never got.
    pub unmirrored: [u64; RECORD_TYPES],
}

impl Floor {
    /// The floor of a strand of which nothing was pruned.
    pub const NONE: Self = Self {
        head: Head::EMPTY,
        counts: [0; RECORD_TYPES],
        unmirrored: [0; RECORD_TYPES],
    };
}

impl Default for Floor {
    fn default() -> Self {
        Self::NONE
    }
}
