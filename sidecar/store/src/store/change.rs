//! What the lanes, the phase and retention change.

use std::sync::atomic::Ordering;

use boboyka_crds::Phase;
use boboyka_strand::retention::Policy;
use boboyka_strand::{RecordType, Seq};
use tokio::sync::oneshot;

use super::handle::Store;
use crate::error::{ReadError, WriteError};
use crate::job::{Job, LaneChange};
use crate::lane::{DeadLetter, Mark};
use crate::phase::{PhaseChange, PhaseState};
use crate::retention::Needed;

impl Store {
    /// Puts a phase into force: it decides whether records appended from now on are mirrored. A change is
    /// recorded in the strand itself, in the same commit. Answers when both are durable; a phase that is
    /// in force already is left as it is.
    ///
    /// # Errors
    /// [`WriteError`] when nothing changed.
    pub async fn set_phase(&self, phase: Phase, generation: i64) -> Result<PhaseState, WriteError> {
        let change = PhaseChange {
            phase,
            generation,
            finalizes: false,
            how: None,
        };
        self.change_phase(change).await
    }

    /// The same, with how the integration came to it, or as the end of the migration. After the end no phase changes any more:
    /// the answer is the state in which it ended.
    ///
    /// # Errors
    /// [`WriteError`] when nothing changed.
    pub async fn change_phase(&self, change: PhaseChange) -> Result<PhaseState, WriteError> {
        let (reply, done) = oneshot::channel();
        self.shared.queue.push(Job::Phase { change, reply })?;
        done.await.unwrap_or(Err(WriteError::Poisoned))
    }

    /// Prunes what the policy lets go and nobody needs: the new floor is durable, and then the files below
    /// it are unlinked. Without a Supabase nothing waits to be mirrored.
    ///
    /// # Errors
    /// [`WriteError`] when the floor is as it was.
    pub async fn prune(&self, policy: Policy, has_supabase: bool) -> Result<(), WriteError> {
        let needed = if has_supabase {
            Needed::Owed
        } else {
            Needed::Nothing
        };
        self.prune_beside(needed, policy).await
    }

    /// The same, and keeps what is needed.
    ///
    /// # Errors
    /// [`WriteError`] when the floor is as it was.
    pub async fn prune_beside(&self, needed: Needed, policy: Policy) -> Result<(), WriteError> {
        let (reply, done) = oneshot::channel();
        self.shared.queue.push(Job::Prune {
            policy,
            needed,
            reply,
        })?;
        done.await.unwrap_or(Err(WriteError::Poisoned))
    }

    /// Has the scrub read every record up to here again, soon.
    pub fn scrub_up_to(&self, seq: Seq) {
        self.shared.scrub_wanted.fetch_max(seq, Ordering::Relaxed);
    }

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
        self.shared
            .change(|state| state.advance(lane, mark, letters.len()));
        self.change_lane(LaneChange::Advance {
            lane,
            mark,
            letters,
        })
        .await
    }

    /// Notes that Supabase accepted a dead letter after all.
    ///
    /// # Errors
    /// [`WriteError`] when that is not durable.
    pub async fn resolve_dead_letter(&self, lane: RecordType, seq: Seq) -> Result<(), WriteError> {
        let mark = self.shared.change(|state| state.resolve(lane));
        self.change_lane(LaneChange::Resolve { lane, seq, mark })
            .await
    }

    /// Notes that Supabase refused a dead letter again.
    ///
    /// # Errors
    /// [`WriteError`] when that is not durable.
    pub async fn replace_dead_letter(&self, letter: DeadLetter) -> Result<(), WriteError> {
        self.change_lane(LaneChange::Replace(letter)).await
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

    async fn change_lane(&self, change: LaneChange) -> Result<(), WriteError> {
        let (reply, done) = oneshot::channel();
        self.shared.queue.push(Job::Lane { change, reply })?;
        done.await.unwrap_or(Err(WriteError::Poisoned))
    }
}
