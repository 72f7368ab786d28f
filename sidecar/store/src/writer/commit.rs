//! What one commit is made of, and the callers that wait for it.

use boboyka_strand::record_id::RecordIds;
use boboyka_strand::{Head, Record};
use tokio::sync::oneshot;

use super::draft::Draft;
use crate::append::Appended;
use crate::clock::now_ms;
use crate::error::{TailError, WriteError};
use crate::job::{AppendReply, PhaseReply, Waiter};
use crate::key::IdempotencyKey;
use crate::phase::RecordedPhase;
use crate::pruning::Pruning;
use crate::segment::Segment;

pub(super) type Answer = (oneshot::Sender<AppendReply>, AppendReply);

/// Everything that becomes durable together.
pub(super) struct Commit {
    pub(super) draft: Draft,
    /// The newest block drafted.
    pub(super) head: Head,
    ids: RecordIds,
    pub(super) now_ms: u64,
    pub(super) sealed: Vec<Segment>,
    pub(super) phase: Option<RecordedPhase>,
    pub(super) prune: Option<Pruning>,
    pub(super) answers: Vec<Answer>,
    pub(super) replies: Replies,
    pub(super) failure: Option<TailError>,
}

/// The callers that wait for anything but an append.
#[derive(Default)]
pub(super) struct Replies {
    pub(super) done: Vec<Waiter>,
    /// They are answered once the files are gone too.
    pub(super) pruned: Vec<Waiter>,
    pub(super) phase: Vec<(oneshot::Sender<PhaseReply>, PhaseReply)>,
    /// Something was put into the tail.
    put: bool,
}

impl Commit {
    pub(super) fn after(head: Head) -> Self {
        Self {
            draft: Draft::after(head),
            head,
            ids: RecordIds::starting_at(uuid::Uuid::new_v4().as_u128()),
            now_ms: now_ms(),
            sealed: Vec::new(),
            phase: None,
            prune: None,
            answers: Vec::new(),
            replies: Replies::default(),
            failure: None,
        }
    }

    /// Links a record to the head.
    pub(super) fn link(&mut self, record: Record, key: Option<IdempotencyKey>) -> Appended {
        self.draft.make_room(&self.head, record.payload().len());
        let ids = &mut self.ids;
        let block = self.head.link(record, |ms| ids.next(ms), self.now_ms);
        self.head = Head::of(&block);
        let appended = Appended::of(&block, false);
        self.draft.push(block, key);
        appended
    }

    /// Notes that something was put into the tail, or was not: the first failure counts.
    pub(super) fn note(&mut self, put: Result<(), TailError>) {
        self.replies.put = true;
        if let (Err(error), None) = (put, &self.failure) {
            self.failure = Some(error);
        }
    }

    /// Whether there is nothing to make durable.
    pub(super) fn is_empty(&self) -> bool {
        let quiet = self.phase.is_none() && self.prune.is_none() && !self.replies.put;
        quiet && self.draft.runs.is_empty()
    }
}

impl Replies {
    /// Answers every caller that its change is durable, and returns those who wait for a sweep.
    pub(super) fn succeed(self) -> Vec<Waiter> {
        for reply in self.done {
            let _ = reply.send(Ok(()));
        }
        for (reply, answer) in self.phase {
            let _ = reply.send(answer);
        }
        self.pruned
    }

    /// Answers every caller that its change is not durable.
    pub(super) fn fail(&mut self) {
        for reply in self.done.drain(..).chain(self.pruned.drain(..)) {
            let _ = reply.send(Err(WriteError::Poisoned));
        }
        for (reply, _) in self.phase.drain(..) {
            let _ = reply.send(Err(WriteError::Poisoned));
        }
    }
}
