//! Records that are gathered for one answer, bounded in number and in bytes.

use std::ops::ControlFlow;

use boboyka_store::Missing;
use boboyka_strand::Block;

use super::wire::RecordsJson;
use crate::api::error::ApiError;
use crate::api::unreadable;

/// The most records of an answer.
pub(super) const LIMIT_MAX: usize = 1_000;
/// Length of the records of an answer as `MessagePack`, unless its first record is longer.
const BYTES_MAX: usize = 4 * 1024 * 1024;

/// The records of an answer.
pub(super) struct Gathered {
    pub(super) blocks: Vec<Block>,
    limit: usize,
    bytes: usize,
    truncated: bool,
}

impl Gathered {
    pub(super) fn at_most(limit: usize) -> Self {
        Self {
            blocks: Vec::new(),
            limit,
            bytes: 0,
            truncated: false,
        }
    }

    /// Takes a record; breaks when no more have room.
    pub(super) fn take(&mut self, block: Block) -> ControlFlow<()> {
        self.bytes += block.payload.len();
        if self.bytes > BYTES_MAX && !self.blocks.is_empty() {
            self.truncated = true;
            return ControlFlow::Break(());
        }
        self.blocks.push(block);
        if self.blocks.len() < self.limit {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    }

    /// The answer's JSON.
    pub(super) fn json(&self, missing: Vec<Missing>) -> Result<Vec<u8>, ApiError> {
        unreadable::log_missing(&missing);
        text(&RecordsJson::new(&self.blocks, missing, self.truncated))
    }
}

/// The text of an answer.
pub(super) fn text(answer: &impl serde::Serialize) -> Result<Vec<u8>, ApiError> {
    serde_json::to_vec(answer).map_err(|_| ApiError::internal())
}
