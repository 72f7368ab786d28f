//! A commit in the making: records in the order in which they became blocks, cut into runs.

use std::sync::Arc;

use boboyka_strand::{Block, Head, PerType};

use crate::error::ReadError;
use crate::key::IdempotencyKey;
use crate::tail_run::{self, RUN_MAX_BLOCKS, RUN_MAX_PAYLOAD_BYTES, TailEntry, TailRun};

/// Records in the order in which they became blocks, cut into runs.
pub(super) struct Draft {
    before: Head,
    pub(super) runs: Vec<Arc<TailRun>>,
    blocks: Vec<Block>,
    keys: Vec<Option<IdempotencyKey>>,
    payload_bytes: usize,
    /// Blocks of each type.
    pub(super) counts: PerType<u64>,
}

impl Draft {
    pub(super) fn after(before: Head) -> Self {
        Self {
            before,
            runs: Vec::new(),
            blocks: Vec::new(),
            keys: Vec::new(),
            payload_bytes: 0,
            counts: PerType::default(),
        }
    }

    /// Adds a block, for which there is room.
    pub(super) fn push(&mut self, block: Block, key: Option<IdempotencyKey>) {
        self.counts[block.header.record_type] += 1;
        self.payload_bytes += block.payload.len();
        self.blocks.push(block);
        self.keys.push(key);
    }

    /// Closes the run if the next record would make it too long.
    pub(super) fn make_room(&mut self, head: &Head, payload_len: usize) {
        let full = self.blocks.len() >= RUN_MAX_BLOCKS
            || self.payload_bytes + payload_len > RUN_MAX_PAYLOAD_BYTES;
        if full {
            self.close_run(head);
        }
    }

    /// Makes a run of the blocks drafted since the last one; `head` is their last.
    pub(super) fn close_run(&mut self, head: &Head) {
        if self.blocks.is_empty() {
            return;
        }
        let before = self.runs.last().map_or(self.before, |run| run.head);
        let bytes = tail_run::pack(&before, &self.blocks, &self.keys).into_boxed_slice();
        let entries = self
            .blocks
            .iter()
            .zip(&self.keys)
            .map(|(block, key)| TailEntry::of(block, *key));
        let run = TailRun {
            before,
            head: *head,
            entries: entries.collect(),
            bytes,
        };
        self.runs.push(Arc::new(run));
        self.blocks.clear();
        self.keys.clear();
        self.payload_bytes = 0;
    }

    /// A block drafted in this commit.
    pub(super) fn find(&self, seq: u64) -> Option<Result<Block, ReadError>> {
        if let Some(block) = self.blocks.iter().find(|block| block.header.seq == seq) {
            return Some(Ok(block.clone()));
        }
        let run = self
            .runs
            .iter()
            .find(|run| (run.first_seq()..=run.head.seq).contains(&seq))?;
        let blocks = run.blocks().map_err(ReadError::from);
        blocks
            .map(|blocks| blocks.into_iter().find(|block| block.header.seq == seq))
            .transpose()
    }
}
