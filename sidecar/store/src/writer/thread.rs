//! The writer's thread and its loop; changes of phase are in `phase`, what goes in `prune`.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::{Duration, Instant};

use boboyka_strand::retention::Policy;

use super::commit::{Answer, Commit, Replies};
use super::pause::SealPause;
use crate::anchor::Anchor;
use crate::background::Task;
use crate::error::{TailError, WriteError, causes};
use crate::job::{Job, LaneChange, Waiter};
use crate::keys::Keys;
use crate::seal;
use crate::segment::Segment;
use crate::shared::Shared;
use crate::state::State;
use crate::witness::Witness;

/// With as many jobs in one commit, many callers write: the next commit begins a little later.
const MANY_JOBS: usize = 24;
/// How much later. A caller that waits already waits no longer than a sync takes, and those who join share its cost.
const GATHER: Duration = Duration::from_micros(100);

/// Sealed runs that are removed after one commit, so that no commit waits long for it.
const REMOVED_AT_ONCE: usize = 256;

pub(crate) struct Writer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) keys: Keys,
    pub(crate) witness: Witness,
    pub(crate) background: SyncSender<Task>,
    pub(crate) sealing: bool,
    pub(crate) seal_pause: SealPause,
    /// Runs that lie in a catalogued segment and not only in the tail any more.
    pub(crate) to_remove: Vec<(u64, u8)>,
    pub(crate) data_dir: PathBuf,
    /// The policy of the last prune: what goes must be sealed first.
    pub(crate) policy: Policy,
}

impl Writer {
    /// Works until the queue is closed and empty, or a write fails.
    pub(crate) fn work(mut self) {
        let mut taken = 0;
        loop {
            if taken >= MANY_JOBS {
                std::thread::sleep(GATHER);
            }
            let Some(jobs) = self.shared.queue.take() else {
                return;
            };
            taken = jobs.len();
            if self.shared.poison.is_set() {
                refuse(jobs, WriteError::Poisoned);
                continue;
            }
            if let Err((error, answers)) = self.commit(jobs) {
                self.shared
                    .poison
                    .set(format!("a commit failed: {}", causes(&error)));
                for (reply, _) in answers {
                    let _ = reply.send(Err(WriteError::Poisoned));
                }
            }
        }
    }

    fn commit(&mut self, jobs: Vec<Job>) -> Result<(), (TailError, Vec<Answer>)> {
        let mut commit = Commit::after(self.shared.view().head);
        let disk_full = self.disk_full();
        for job in jobs {
            self.take(&mut commit, job, disk_full);
        }
        commit.draft.close_run(&commit.head);
        let written = commit
            .failure
            .take()
            .map_or(Ok(()), Err)
            .and_then(|()| self.write(&mut commit));
        if let Err(error) = written {
            commit.replies.fail();
            return Err((error, commit.answers));
        }
        let now_ms = commit.now_ms;
        let (answers, replies) = self.publish(commit);
        for (reply, answer) in answers {
            let _ = reply.send(answer);
        }
        self.start_sweep(replies.succeed());
        self.remove_sealed().map_err(|error| (error, Vec::new()))?;
        self.start_sealing(now_ms);
        Ok(())
    }

    /// Takes one job into the commit.
    fn take(&mut self, commit: &mut Commit, job: Job, disk_full: Option<WriteError>) {
        match job {
            Job::Append { reply, .. } if disk_full.is_some() => {
                let full = disk_full.unwrap_or(WriteError::Closed);
                commit.answers.push((reply, Err(full)));
            }
            Job::Append {
                records,
                unit,
                reply,
            } => {
                let answer = match unit {
                    Some(key) => self.draft_unit(commit, records, key),
                    None => records
                        .into_iter()
                        .map(|new| self.draft(commit, new))
                        .collect(),
                };
                commit.answers.push((reply, Ok(answer)));
            }
            Job::Lane { change, reply } => {
                commit.note(self.put_lane_change(&change));
                commit.replies.done.push(reply);
            }
            Job::Phase {
                phase,
                generation,
                reply,
            } => {
                let answer = self.change_phase(commit, phase, generation);
                commit.replies.phase.push((reply, answer));
            }
            Job::Prune {
                policy,
                has_supabase,
                reply,
            } => {
                self.policy = policy;
                // A change of phase under way may change what may go: the next run sees.
                if commit.phase.is_none() && commit.prune.is_none() {
                    let pruning = self.plan_pruning(policy, has_supabase, commit.now_ms);
                    commit.prune = pruning.unwrap_or_else(|error| {
                        commit.note(Err(error));
                        None
                    });
                }
                commit.replies.pruned.push(reply);
            }
            Job::Sealed(segment) => {
                commit.note(self.shared.tail.put_segment(&segment));
                commit.sealed.push(*segment);
            }
            Job::SealFailed => {
                self.sealing = false;
                self.seal_pause.failed(Instant::now());
            }
        }
    }

    fn put_lane_change(&self, change: &LaneChange) -> Result<(), TailError> {
        let tail = &self.shared.tail;
        match change {
            LaneChange::Advance {
                lane,
                mark,
                letters,
            } => {
                // Letters first: a mark that passed a record must not lose it.
                letters
                    .iter()
                    .try_for_each(|letter| tail.put_letter(letter))?;
                tail.put_mark(*lane, *mark)
            }
            LaneChange::Resolve { lane, seq, mark } => {
                tail.put_mark(*lane, *mark)?;
                tail.remove_letter(*lane, *seq)
            }
            LaneChange::Replace(letter) => tail.put_letter(letter),
        }
    }

    /// Puts what was drafted, after what must not be missing when it is there, and makes all of it
    /// durable.
    fn write(&self, commit: &mut Commit) -> Result<(), TailError> {
        let tail = &self.shared.tail;
        if let Some(stored) = &commit.phase {
            tail.put_phase(stored)?;
        }
        if let Some(pruning) = &commit.prune {
            pruning.put(tail)?;
        }
        for run in &mut commit.draft.runs {
            let pieces = tail.put_run(run.first_seq(), &run.bytes)?;
            if let Some(run) = Arc::get_mut(run) {
                run.pieces = pieces;
            }
        }
        if !commit.is_empty() {
            tail.commit()?;
        }
        if commit.phase.is_some() || commit.prune.is_some() {
            self.keep_anchor(commit)?;
        }
        self.witness.note(&commit.head).map_err(TailError::Witness)
    }

    /// Keeps floor and phase beside the tail too, so that they outlive it.
    fn keep_anchor(&self, commit: &Commit) -> Result<(), TailError> {
        let floor = commit.prune.as_ref().map(|pruning| pruning.floor);
        let floor = floor.unwrap_or_else(|| self.shared.view().floor);
        let phase = match commit.phase {
            Some(phase) => Some(phase),
            None => self.shared.tail.phase()?,
        };
        let anchor = Anchor {
            strand: self.shared.strand,
            floor,
            phase,
        };
        anchor.keep(&self.data_dir);
        Ok(())
    }

    /// Lets readers see what is durable now, all of it at once.
    fn publish(&mut self, commit: Commit) -> (Vec<Answer>, Replies) {
        let shared = Arc::clone(&self.shared);
        shared.change(|state| {
            if let Some(recorded) = commit.phase {
                state.set_phase(recorded.state);
            }
            for run in commit.draft.runs {
                state.push(run);
            }
            for segment in commit.sealed {
                self.catalogue(state, Arc::new(segment));
            }
            if let Some(pruning) = &commit.prune {
                state.prune(pruning);
            }
        });
        if let Some(pruning) = commit.prune {
            let (floor, segments) = (pruning.floor.head.seq, pruning.segments.len());
            self.keys.prune(floor);
            tracing::info!(floor, segments, "pruned the strand up to seq {floor}");
        }
        (commit.answers, commit.replies)
    }

    /// Puts a new segment in the place of the runs it was made of.
    fn catalogue(&mut self, state: &mut State, segment: Arc<Segment>) {
        let sealed = state.seal(Arc::clone(&segment));
        let runs = sealed.iter().map(|run| (run.first_seq(), run.pieces));
        self.to_remove.extend(runs);
        self.sealing = false;
        self.seal_pause.succeeded();
        if let Err(error) = self.keys.seal(segment) {
            tracing::error!(
                error = causes(&error),
                "could not read the idempotency keys of a new segment"
            );
        }
    }

    /// Removes some sealed runs from the tail, in a commit of their own.
    fn remove_sealed(&mut self) -> Result<(), TailError> {
        if self.to_remove.is_empty() {
            return Ok(());
        }
        let from = self.to_remove.len().saturating_sub(REMOVED_AT_ONCE);
        for (first_seq, pieces) in self.to_remove.drain(from..) {
            self.shared.tail.remove_run(first_seq, pieces)?;
        }
        self.shared.tail.commit()
    }

    /// Has the files below the floor unlinked. Waiters for whom the thread has no room are answered at once: what they
    /// pruned goes with the sweeps that wait already.
    fn start_sweep(&self, waiters: Vec<Waiter>) {
        if waiters.is_empty() {
            return;
        }
        let policy = self.policy;
        let sweep = Task::Sweep { policy, waiters };
        if let Err(TrySendError::Full(task) | TrySendError::Disconnected(task)) =
            self.background.try_send(sweep)
            && let Task::Sweep { waiters, .. } = task
        {
            for waiter in waiters {
                let _ = waiter.send(Ok(()));
            }
        }
    }

    fn start_sealing(&mut self, now_ms: u64) {
        if self.sealing || !self.seal_pause.is_over(Instant::now()) {
            return;
        }
        let task = seal::due(
            self.shared.state().memory(),
            &self.shared.options,
            self.policy,
            now_ms,
        );
        if let Some(task) = task {
            // When the thread has too much to do, the next commit tries again.
            self.sealing = self.background.try_send(Task::Seal(task)).is_ok();
        }
    }

    fn disk_full(&self) -> Option<WriteError> {
        let min_free_bytes = self.shared.options.min_free_bytes;
        let disk = rustix::fs::statvfs(&self.data_dir).ok()?;
        let free_bytes = disk.f_bavail.saturating_mul(disk.f_frsize);
        (free_bytes < min_free_bytes).then_some(WriteError::DiskFull {
            free_bytes,
            min_free_bytes,
        })
    }
}

fn refuse(jobs: Vec<Job>, error: WriteError) {
    for job in jobs {
        match job {
            Job::Append { reply, .. } => drop(reply.send(Err(error))),
            Job::Lane { reply, .. } | Job::Prune { reply, .. } => drop(reply.send(Err(error))),
            Job::Phase { reply, .. } => drop(reply.send(Err(error))),
            Job::Sealed(_) | Job::SealFailed => {}
        }
    }
}
