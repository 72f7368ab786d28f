//! The writer's thread and its loop; `take` has what each job brings into a commit.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Weak};
use std::time::Duration;

use boboyka_strand::PerType;
use boboyka_strand::retention::{PayloadAges, Policy};

use super::commit::{Answer, Commit, Replies};
use super::legacy::LegacyDraft;
use super::pause::SealPause;
use crate::background::Task;
use crate::change::Change;
use crate::error::{TailError, WriteError, causes};
use crate::format::Format;
use crate::job::Job;
use crate::journal::{Chore, Journal};
use crate::keys::Keys;
use crate::lane::Mark;
use crate::segment::Segment;
use crate::shared::Shared;
use crate::state::State;
use crate::witness::Witness;

/// With as many jobs in one commit, many callers write: the next commit begins a little later.
const MANY_JOBS: usize = 24;
/// How much later. A caller that waits already waits no longer than a sync takes, and those who join share its cost.
const GATHER: Duration = Duration::from_micros(100);

pub(crate) struct Writer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) keys: Keys,
    pub(crate) witness: Witness,
    pub(crate) background: SyncSender<Task>,
    pub(crate) sealing: bool,
    pub(crate) seal_pause: SealPause,
    pub(crate) journal: Journal,
    pub(crate) chores: SyncSender<Chore>,
    /// The ledger is being written.
    pub(crate) checkpointing: bool,
    /// The entries of the changes since the last checkpoint.
    pub(crate) entries: Vec<u8>,
    /// What lies in quarantine and is recorded.
    pub(crate) noted: BTreeSet<String>,
    /// The lanes' marks that are durable.
    pub(crate) marks: PerType<Mark>,
    /// What the ledger says that a program must know.
    pub(crate) format: Format,
    pub(crate) data_dir: PathBuf,
    /// The policy of the last prune: what goes must be sealed first.
    pub(crate) policy: Policy,
    /// The same for payloads.
    pub(crate) ages: PayloadAges,
    /// Held while a segment is written anew.
    pub(crate) stripping: Weak<()>,
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
                Job::refuse(jobs, WriteError::Poisoned);
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

    /// A commit after the head.
    pub(super) fn begin(&self) -> Commit {
        let state = self.shared.state();
        Commit::after(state.memory().head(), LegacyDraft::of(&state))
    }

    fn commit(&mut self, jobs: Vec<Job>) -> Result<(), (TailError, Vec<Answer>)> {
        let began = self.shared.commits.begin();
        let mut commit = self.begin();
        let before = commit.head.seq;
        let room = self.make_room(&jobs);
        let room = room.and_then(|refused| match refused {
            None => self.announce(&jobs).map(|()| None),
            refused => Ok(refused),
        });
        let refused = match room {
            Ok(refused) => refused,
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                self.refuse_all(jobs);
                return Ok(());
            }
            Err(error) => {
                Job::refuse(jobs, WriteError::Poisoned);
                return Err((TailError::Journal(error), Vec::new()));
            }
        };
        for job in jobs {
            self.take(&mut commit, job, refused);
        }
        commit.draft.close_run(&commit.head);
        if let Err(error) = self.write(&mut commit) {
            commit.replies.fail();
            return Err((error, commit.answers));
        }
        if let Some(began) = began {
            self.shared.commits.end(began, before, commit.head.seq);
        }
        let now_ms = commit.now_ms;
        let (answers, replies) = self.publish(commit);
        for (reply, answer) in answers {
            let _ = reply.send(answer);
        }
        self.start_sweep(replies.succeed());
        self.start_sealing(now_ms);
        self.start_checkpoint();
        Ok(())
    }

    /// Makes what was drafted durable, and then takes it into the tail's index.
    fn write(&mut self, commit: &mut Commit) -> Result<(), TailError> {
        if commit.is_empty() {
            return Ok(());
        }
        let changes = commit.all_changes();
        let begin = self.entries.len();
        for change in &changes {
            change.put(&mut self.entries)?;
        }
        let entries = self.entries.get(begin..).unwrap_or_default();
        let written = self.journal.append(&commit.draft.runs, entries);
        written.map_err(TailError::Journal)?;
        self.witness
            .note(&commit.head)
            .map_err(TailError::Witness)?;
        self.shared.tail.take(&changes);
        for change in &changes {
            if let Change::Mark(lane, mark) = change {
                self.marks[*lane] = *mark;
            }
        }
        self.noted.extend(changes.into_iter().filter_map(noted));
        Ok(())
    }

    /// Lets readers see what is durable now, all of it at once.
    fn publish(&mut self, commit: Commit) -> (Vec<Answer>, Replies) {
        let shared = Arc::clone(&self.shared);
        shared.change(|state| {
            if let Some(recorded) = commit.phase {
                state.set_phase(recorded.state);
            }
            commit.legacy.publish(state);
            for run in commit.draft.runs {
                state.push(run);
            }
            for segment in commit.sealed {
                self.catalogue(state, Arc::new(segment));
            }
            if let Some(pruning) = &commit.prune {
                state.prune(pruning);
            }
            for stripped in commit.stripped {
                self.replace(state, stripped);
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
        state.seal(Arc::clone(&segment));
        self.sealing = false;
        self.seal_pause.succeeded();
        if let Err(error) = self.keys.seal(segment) {
            tracing::error!(
                error = causes(&error),
                "could not read the idempotency keys of a new segment"
            );
        }
    }
}

/// The folder in quarantine that a change notes.
fn noted(change: Change) -> Option<String> {
    match change {
        Change::Noted(folder) => Some(folder),
        Change::Mark(..)
        | Change::Letter(_)
        | Change::Resolved(..)
        | Change::Phase(_)
        | Change::Floor(_)
        | Change::Binding(_)
        | Change::Segment(_)
        | Change::Gap(_)
        | Change::Format(_)
        | Change::Incarnation(_)
        | Change::Legacy(_) => None,
    }
}
