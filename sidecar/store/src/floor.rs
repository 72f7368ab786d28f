//! The floor: where a strand begins after pruning. Everything up to it is gone; the block behind it
//! names the floor's hash as its parent.

use boboyka_strand::{Head, PerType};

/// Where a strand begins: the newest block that was pruned, and what was pruned with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Floor {
    /// The newest pruned block; [`Head::EMPTY`] while nothing was pruned.
    pub head: Head,
    /// Pruned records of each type.
    pub counts: PerType<u64>,
    /// Of these, the ones that Supabase never got.
    pub unmirrored: PerType<u64>,
}

impl Default for Floor {
    /// The floor of a strand of which nothing was pruned.
    fn default() -> Self {
        Self {
            head: Head::EMPTY,
            counts: PerType::default(),
            unmirrored: PerType::default(),
        }
    }
}
