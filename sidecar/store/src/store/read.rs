//! Reading. All of it blocks: callers on an async runtime cross over with `spawn_blocking`.

use boboyka_strand::{Block, Hash, Hlc, RecordType, Seq};

use super::handle::Store;
use crate::error::ReadError;
use crate::forward::{self, Forward, ForwardQuery};
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
