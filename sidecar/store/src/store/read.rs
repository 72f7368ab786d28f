//! Reading. All of it blocks: callers on an async runtime cross over with `spawn_blocking`.

use boboyka_strand::{Block, Hash, Hlc, RecordType, Seq};

use boboyka_crds::LegacyList;

use super::handle::Store;
use crate::error::ReadError;
use crate::forward::{self, Forward, ForwardQuery};
use crate::legacy::Departed;
use crate::mirrored::Mirrored;
use crate::page::{self, Page, PageQuery};
use crate::read::{self, LaneRead, RecordName};

impl Store {
    /// The block with this seq.
    ///
    /// # Errors
    /// When it was pruned, or what holds it can't be read.
    pub fn block(&self, seq: Seq) -> Result<Option<Block>, ReadError> {
        read::block(&self.shared, seq)
    }

    /// The block of a record.
    ///
    /// # Errors
    /// When it was pruned, as far as that is known, or what holds it can't be read.
    pub fn record(&self, name: &RecordName) -> Result<Option<Block>, ReadError> {
        read::named(&self.shared, name)
    }

    /// The block with this hash.
    ///
    /// # Errors
    /// When it was pruned, as far as that is remembered, or what might hold it can't be read.
    pub fn block_by_hash(&self, hash: &Hash) -> Result<Option<Block>, ReadError> {
        read::block_by_hash(&self.shared, hash)
    }

    /// A page of blocks, newest first. It goes on behind what can't be read, and names it.
    pub fn page(&self, query: &PageQuery) -> Page {
        page::page(&self.shared, query)
    }

    /// The next blocks after a place, oldest first. The step goes on behind what can't be read, and names it.
    pub fn forward(&self, query: &ForwardQuery) -> Forward {
        forward::forward(&self.shared, query)
    }

    /// A place such that every block up to there is of this time or earlier; some behind it may be too.
    pub fn place_before(&self, hlc: Hlc) -> Seq {
        forward::place_before(self.shared.state().memory(), hlc)
    }

    /// A place after some of the first `count` blocks that the strand holds of a type, and how many of them are still
    /// to be passed behind it.
    pub fn place_after(&self, record_type: Option<RecordType>, count: u64) -> (Seq, u64) {
        forward::place_after(self.shared.state().memory(), record_type, count)
    }

    /// Whether the phase mirrors a block.
    pub fn is_mirrored(&self, block: &Block) -> bool {
        Mirrored::of(&self.shared.state()).has(block)
    }

    /// What the files of the segments take that hold records which a return to mirroring would send, in bytes: the way back
    /// needs them. Records that are not sealed yet are not among it.
    pub fn unmirrored_bytes(&self) -> u64 {
        let state = self.shared.state();
        let view = state.view();
        let lanes = RecordType::MIRRORED.into_iter();
        let waiting = lanes.filter(|lane| view.unmirrored(*lane) > 0);
        let settled = waiting.map(|lane| match view.mirror_until() {
            // An idle lane's mark lags behind.
            Some(until) if view.backlog(lane) == 0 => until,
            until => view.marks[lane].seq.min(until.unwrap_or(Seq::MAX)),
        });
        let Some(from) = settled.min() else { return 0 };
        let segments = state.memory().segments().iter();
        let kept = segments.filter(|segment| segment.meta.head.seq > from);
        kept.map(|segment| segment.file_len).sum()
    }

    /// The list of legacy projects, and those that left it since the strand's boundary.
    pub fn legacy(&self) -> (LegacyList, Vec<Departed>) {
        let state = self.shared.state();
        match state.mirror_until() {
            Some(_) => (state.legacy().list(), state.legacy().departed().collect()),
            None => Default::default(),
        }
    }

    /// Whether this is the list of legacy projects that counts now; a phase that mirrors everything has none.
    pub fn has_list(&self, list: &LegacyList) -> bool {
        let state = self.shared.state();
        state.mirror_until().is_none() || state.legacy().is(list)
    }

    /// A lane's blocks after a seq that the phase mirrors, oldest first; at least one when there is one.
    ///
    /// # Errors
    /// When a part of the strand in between can't be read: a lane never skips.
    pub fn read_lane(
        &self,
        lane: RecordType,
        after: Seq,
        max_records: usize,
        max_payload_bytes: usize,
    ) -> Result<LaneRead, ReadError> {
        read::read_lane(&self.shared, lane, after, max_records, max_payload_bytes)
    }
}
