//! Reading. All of it blocks: callers on an async runtime cross over with `spawn_blocking`.

use boboyka_strand::{Block, Hash, RecordType, Seq};

use super::handle::Store;
use crate::error::ReadError;
use crate::following::{self, Following, FollowingQuery};
use crate::page::{self, Page, PageQuery};
use crate::read::{self, LaneRead};

impl Store {
    /// The block with this seq.
    ///
    /// # Errors
    /// When it was pruned, or what holds it can't be read.
    pub fn block(&self, seq: Seq) -> Result<Option<Block>, ReadError> {
        read::block(&self.shared, seq)
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

    /// What follows a seq, oldest first. It goes on behind what can't be read, and names it.
    pub fn following(&self, query: &FollowingQuery) -> Following {
        following::following(&self.shared, query)
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
