//! What the lanes, the phase and retention change.

use std::sync::atomic::Ordering;

use boboyka_crds::Phase;
use boboyka_strand::retention::{PayloadAges, Policy};
use boboyka_strand::{RecordType, Seq};
use tokio::sync::oneshot;

use super::handle::Store;
use crate::error::{ReadError, WriteError};
use crate::job::{Job, LaneChange};
use crate::lane::{DeadLetter, Mark};
use crate::phase::{PhaseChange, PhaseState};
use crate::retention::{Counted, Needed};
use crate::state::State;

impl Store {
    /// Puts a phase into force: it decides whether records appended from now on are mirrored. A change is
    /// recorded in the strand itself, in the same commit. Answers when both are durable; a phase that is
    /// in force already is left as it is.
    ///
    /// # Errors
    /// [`WriteError`] when nothing changed.
    pub async fn set_phase(&self, phase: Phase, generation: i64) -> Result<PhaseState, WriteError> {
        self.change_phase(PhaseChange::to(phase, generation)).await
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

    /// Begins or ends a legal hold: under it no run of retention prunes anything, one that was asked for before neither. A
    /// pruning whose floor is being written is one from before the hold, which no view shows until that is over. Returns whether
    /// this is news.
    pub fn hold(&self, hold: bool) -> bool {
        let is_news = self.shared.state().wants_hold() != hold;
        if is_news {
            self.shared.change(|state| state.hold(hold));
        }
        is_news
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
            counted: Counted::default(),
            reply,
        })?;
        done.await.unwrap_or(Err(WriteError::Poisoned))
    }

    /// Has the oldest segment written anew without the payloads that these ages let go and nobody needs; their headers
    /// stay. The earlier file is unlinked as soon as nobody reads it. Returns whether there may be more to do.
    ///
    /// # Errors
    /// [`WriteError`] when everything is as it was.
    pub async fn strip(&self, needed: Needed, ages: PayloadAges) -> Result<bool, WriteError> {
        let (reply, done) = oneshot::channel();
        self.shared.queue.push(Job::Strip {
            ages,
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
        self.advance_in(self.era(), lane, mark, letters).await
    }

    /// The same for a lane that looked at its mark in an era. In another era nothing changes: the mark was set back.
    ///
    /// # Errors
    /// [`WriteError`] when mark and dead letters are not durable.
    pub async fn advance_in(
        &self,
        era: u64,
        lane: RecordType,
        mark: Mark,
        letters: Vec<DeadLetter>,
    ) -> Result<(), WriteError> {
        let is_of_now = self.shared.change(|state| {
            let is_of_now = state.era() == era;
            if is_of_now {
                state.advance(lane, mark, letters.len());
            }
            is_of_now
        });
        if !is_of_now {
            return Ok(());
        }
        let advance = LaneChange::Advance {
            lane,
            mark,
            letters,
        };
        self.change_lane(era, advance).await
    }

    /// Notes that Supabase accepted a dead letter after all; the era is that in which the lane read it.
    ///
    /// # Errors
    /// [`WriteError`] when that is not durable.
    pub async fn resolve_dead_letter(
        &self,
        era: u64,
        lane: RecordType,
        seq: Seq,
    ) -> Result<(), WriteError> {
        let resolve = |state: &mut State| (state.era() == era).then(|| state.resolve(lane));
        match self.shared.change(resolve) {
            Some(mark) => {
                let resolve = LaneChange::Resolve { lane, seq, mark };
                self.change_lane(era, resolve).await
            }
            None => Ok(()),
        }
    }

    /// Notes that Supabase refused a dead letter again.
    ///
    /// # Errors
    /// [`WriteError`] when that is not durable.
    pub async fn replace_dead_letter(
        &self,
        era: u64,
        letter: DeadLetter,
    ) -> Result<(), WriteError> {
        self.change_lane(era, LaneChange::Replace(letter)).await
    }

    /// It changes when marks are set back.
    pub fn era(&self) -> u64 {
        self.shared.state().era()
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

    async fn change_lane(&self, era: u64, change: LaneChange) -> Result<(), WriteError> {
        let (reply, done) = oneshot::channel();
        self.shared.queue.push(Job::Lane { change, era, reply })?;
        done.await.unwrap_or(Err(WriteError::Poisoned))
    }
}
