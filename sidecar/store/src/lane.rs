//! What the store keeps of a mirror lane: how far it came, and what Supabase will never accept.
//!
//! The invariant: `mark ≤ head`; every record of the lane up to its mark is mirrored or a dead letter.

use boboyka_strand::{Hash, RecordType, Seq};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::Store;
use crate::error::{ReadError, WriteError};
use crate::queue::{Job, LaneChange};

/// A lane's durable progress. With the strand's counts it tells the backlog without a scan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Every record of the lane up to here is mirrored or a dead letter.
    pub seq: Seq,
    /// How many were mirrored.
    pub mirrored: u64,
    /// How many are dead letters now.
    pub dead_lettered: u64,
}

/// A record that Supabase refuses for what it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The lane.
    pub record_type: RecordType,
    /// The record's place in the strand.
    pub seq: Seq,
    /// The record's hash.
    pub record_hash: Hash,
    /// `PostgREST`'s or Postgres' code.
    pub code: String,
    /// Why, without the record's data.
    pub message: String,
    /// How often it was sent.
    pub attempts: u32,
    /// When it became a dead letter.
    pub since_ms: u64,
}

impl Store {
    /// Publishes a lane's new mark at once; answers when it and the dead letters are durable.
    ///
    /// # Errors
    /// [`WriteError`] when they are not.
    pub async fn advance(
        &self,
        lane: RecordType,
        mark: Mark,
        letters: Vec<DeadLetter>,
    ) -> Result<(), WriteError> {
        if let Some(place) = self.shared.marks().get_mut(lane.index()) {
            // How many dead letters there are is the store's to know: pruning takes some away.
            let dead_lettered = place.dead_lettered + letters.len() as u64;
            *place = Mark {
                dead_lettered,
                ..mark
            };
        }
        self.change_lane(LaneChange::Advance {
            lane,
            mark,
            letters,
        })
        .await
    }

    /// Notes that a dead letter was accepted after all.
    ///
    /// # Errors
    /// [`WriteError`] when that is not durable.
    pub async fn resolve_dead_letter(&self, lane: RecordType, seq: Seq) -> Result<(), WriteError> {
        let mark = {
            let mut marks = self.shared.marks();
            let Some(mark) = marks.get_mut(lane.index()) else {
                return Ok(());
            };
            mark.mirrored += 1;
            mark.dead_lettered = mark.dead_lettered.saturating_sub(1);
            *mark
        };
        self.change_lane(LaneChange::Resolve { lane, seq, mark })
            .await
    }

    /// Notes that a dead letter was refused again.
    ///
    /// # Errors
    /// [`WriteError`] when that is not durable.
    pub async fn replace_dead_letter(&self, letter: DeadLetter) -> Result<(), WriteError> {
        self.change_lane(LaneChange::Replace(letter)).await
    }

    async fn change_lane(&self, change: LaneChange) -> Result<(), WriteError> {
        let (reply, done) = oneshot::channel();
        self.shared.queue.push(Job::Lane { change, reply })?;
        done.await.unwrap_or(Err(WriteError::Poisoned))
    }

    /// A lane's dead letters after a seq, oldest first. Blocking.
    ///
    /// # Errors
    /// When the tail can't be read.
    pub fn dead_letters(
        &self,
        lane: RecordType,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, ReadError> {
        Ok(self.shared.tail.letters(lane, after, limit)?)
    }

    /// The dead letter of one record, if it is one. Blocking.
    ///
    /// # Errors
    /// When the tail can't be read.
    pub fn dead_letter(&self, lane: RecordType, seq: Seq) -> Result<Option<DeadLetter>, ReadError> {
        Ok(self.shared.tail.letter(lane, seq)?)
    }
}
