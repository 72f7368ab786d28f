//! Which records were taken back, by what the strand says. An index in memory, made when it is first asked for and
//! carried on from there: a tombstone takes some fifty bytes.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use boboyka_store::{ForwardQuery, Store};
use boboyka_strand::record::{DELETED_TAG, RESTORED_TAG, text_field};
use boboyka_strand::{Block, Flags, Hash, Hlc, RecordType, Seq};

use super::error::{ApiError, Code};

/// Documents that one request reads to carry the index on.
const READ_MAX: usize = if cfg!(test) { 2_000 } else { 500_000 };
/// Those of one step.
const STEP_RECORDS: usize = 1_024;
const STEP_BYTES: usize = 1024 * 1024;
const STEP_READ: usize = 16 * 1024;

/// What became of a record that was taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Deletion {
    /// The tombstone.
    seq: Seq,
    /// When that was written.
    pub(super) at: Hlc,
    /// Whether the record stands in the strand anew.
    pub(super) is_restored: bool,
}

impl Deletion {
    /// Whether the tombstone is among the records up to a seq.
    pub(super) fn is_by(&self, seq: Seq) -> bool {
        self.seq <= seq
    }
}

#[derive(Default)]
pub(crate) struct Tombstones(Mutex<Index>);

#[derive(Default)]
struct Index {
    /// Everything up to here is in it.
    reached: Seq,
    floor: Seq,
    /// By the record that was taken back.
    deletions: HashMap<Hash, Deletion>,
}

impl Tombstones {
    /// What is known of a record, up to the head as it is now. Blocking.
    ///
    /// # Errors
    /// A request reads no more than some documents: the next one goes on.
    pub(super) fn of(&self, store: &Store, hash: &Hash) -> Result<Option<Deletion>, ApiError> {
        let index = self.carried_on(store)?;
        Ok(index.deletions.get(hash).copied())
    }

    /// Carries the index on to the head.
    fn carried_on(&self, store: &Store) -> Result<MutexGuard<'_, Index>, ApiError> {
        let mut read = 0;
        loop {
            // Between steps, others have their turn.
            let mut index = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let (step, is_at_head) = index.step(store);
            if is_at_head {
                return Ok(index);
            }
            read += step;
            if read >= READ_MAX {
                return Err(catching_up(index.reached));
            }
        }
    }
}

impl Index {
    fn step(&mut self, store: &Store) -> (usize, bool) {
        let view = store.view();
        self.forget(view.floor.head.seq);
        if self.reached >= view.head.seq {
            return (0, true);
        }
        let step = store.forward(&ForwardQuery {
            after: self.reached,
            record_type: Some(RecordType::Document),
            limit: STEP_RECORDS,
            max_payload_bytes: STEP_BYTES,
            max_read: STEP_READ,
        });
        step.blocks.iter().for_each(|block| self.take(block));
        self.reached = step.reached;
        (step.read, step.is_at_head)
    }

    fn take(&mut self, block: &Block) {
        let flags = block.header.flags;
        let named = |tag| text_field(&block.payload, tag)?.parse().ok();
        if flags.contains(Flags::TOMBSTONE)
            && let Some(hash) = named(DELETED_TAG)
        {
            let deletion = Deletion {
                seq: block.header.seq,
                at: block.header.timestamp_hlc,
                is_restored: false,
            };
            self.deletions.entry(hash).or_insert(deletion);
        } else if flags.contains(Flags::MUTATION)
            && let Some(hash) = named(RESTORED_TAG)
            && let Some(deletion) = self.deletions.get_mut(&hash)
        {
            deletion.is_restored = true;
        }
    }

    /// A pruned tombstone's record is older, so it is pruned too.
    fn forget(&mut self, floor: Seq) {
        if floor > self.floor {
            self.deletions.retain(|_, deletion| deletion.seq > floor);
            (self.floor, self.reached) = (floor, self.reached.max(floor));
        }
    }
}

fn catching_up(reached: Seq) -> ApiError {
    let message = format!(
        "the sidecar is still reading which records were deleted, and has come to seq {reached}; ask again"
    );
    ApiError::new(Code::CatchingUp, message)
}
