//! Which records the phase mirrors, as of one moment: those up to the boundary, and those of legacy projects after it.

use std::sync::Arc;

use boboyka_strand::{Block, PerType, Seq};

use crate::legacy::Legacy;
use crate::state::State;

/// What is mirrored.
#[derive(Clone, Debug)]
pub(crate) struct Mirrored {
    until: Option<Seq>,
    legacy: Arc<Legacy>,
}

impl Mirrored {
    pub(crate) fn of(state: &State) -> Self {
        Self::new(state.mirror_until(), Arc::clone(state.legacy()))
    }

    pub(crate) fn new(until: Option<Seq>, legacy: Arc<Legacy>) -> Self {
        Self { until, legacy }
    }

    /// Whether a block is.
    pub(crate) fn has(&self, block: &Block) -> bool {
        let (kind, seq) = (block.header.record_type, block.header.seq);
        // A payload behind the boundary goes only where no list decides, or when nothing is mirrored any more.
        self.has_all_to(seq) || !block.is_gone() && self.legacy.wants(kind, seq, &block.payload)
    }

    /// Whether everything is, up to a seq.
    pub(crate) fn has_all_to(&self, seq: Seq) -> bool {
        self.until.is_none_or(|until| seq <= until)
    }

    /// The last seq at which the list may have one mirrored, by its lane; 0 where there is none.
    pub(crate) fn list_ends(&self) -> PerType<Seq> {
        self.legacy.state().ends
    }

    /// The last seq of a strand up to which everything is, if there is a list of legacy projects behind it.
    pub(crate) fn listed_after(&self) -> Option<Seq> {
        self.until.filter(|_| !self.legacy.is_empty())
    }
}
