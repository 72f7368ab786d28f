//! What one commit is made of, and the callers that wait for it.

use boboyka_strand::record_id::RecordIds;
use boboyka_strand::{Head, PerType, Record};
use tokio::sync::oneshot;

use super::draft::Draft;
use super::legacy::LegacyDraft;
use crate::append::Appended;
use crate::change::Change;
use crate::clock::now_ms;
use crate::error::WriteError;
use crate::job::{AppendReply, LaneChange, PhaseReply, StripWaiter, Waiter};
use crate::key::IdempotencyKey;
use crate::lane::Mark;
use crate::phase::RecordedPhase;
use crate::pruning::Pruning;
use crate::segment::Segment;
use crate::strip::Stripped;

pub(super) type Answer = (oneshot::Sender<AppendReply>, AppendReply);

/// Everything that becomes durable together.
pub(super) struct Commit {
    pub(super) draft: Draft,
    /// The newest block drafted.
    pub(super) head: Head,
    ids: RecordIds,
    pub(super) now_ms: u64,
    /// What changes beside blocks, phase and floor.
    pub(super) changes: Vec<Change>,
    pub(super) sealed: Vec<Segment>,
    pub(super) stripped: Vec<Stripped>,
    pub(super) phase: Option<RecordedPhase>,
    pub(super) legacy: LegacyDraft,
    pub(super) prune: Option<Pruning>,
    pub(super) answers: Vec<Answer>,
    pub(super) replies: Replies,
}

/// The callers that wait for anything but an append.
#[derive(Default)]
pub(super) struct Replies {
    pub(super) done: Vec<Waiter>,
    /// They are answered once the files are gone too.
    pub(super) pruned: Vec<Waiter>,
    pub(super) stripped: Vec<StripWaiter>,
    pub(super) phase: Vec<(oneshot::Sender<PhaseReply>, PhaseReply)>,
}

impl Commit {
    pub(super) fn after(head: Head, legacy: LegacyDraft) -> Self {
        Self {
            draft: Draft::after(head),
            head,
            ids: RecordIds::starting_at(uuid::Uuid::new_v4().as_u128()),
            now_ms: now_ms(),
            changes: Vec::new(),
            sealed: Vec::new(),
            stripped: Vec::new(),
            phase: None,
            legacy,
            prune: None,
            answers: Vec::new(),
            replies: Replies::default(),
        }
    }

    /// Links a record to the head.
    pub(super) fn link(&mut self, record: Record, key: Option<IdempotencyKey>) -> Appended {
        self.draft.make_room(&self.head, record.payload().len());
        let ids = &mut self.ids;
        let block = self.head.link(record, |ms| ids.next(ms), self.now_ms);
        self.head = Head::of(&block);
        self.legacy.count(&block);
        let appended = Appended::of(&block, false);
        self.draft.push(block, key);
        appended
    }

    /// Takes a change of a lane into the commit.
    pub(super) fn take_lane_change(&mut self, change: LaneChange) {
        match change {
            LaneChange::Advance {
                lane,
                mark,
                letters,
            } => {
                self.changes.extend(letters.into_iter().map(Change::Letter));
                self.changes.push(Change::Mark(lane, mark));
            }
            LaneChange::Resolve { lane, seq, mark } => {
                self.changes.push(Change::Mark(lane, mark));
                self.changes.push(Change::Resolved(lane, seq));
            }
            LaneChange::Replace(letter) => self.changes.push(Change::Letter(letter)),
        }
    }

    /// The lanes' marks once it is durable; `before` are those that are so now.
    pub(super) fn marks(&self, before: PerType<Mark>) -> PerType<Mark> {
        let mut marks = before;
        for change in &self.changes {
            if let Change::Mark(lane, mark) = change {
                marks[*lane] = *mark;
            }
        }
        marks
    }

    /// Whether there is nothing to make durable.
    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty()
            && self.phase.is_none()
            && self.legacy.change.is_none()
            && self.prune.is_none()
            && self.draft.runs.is_empty()
    }

    /// Everything that changes beside blocks.
    pub(super) fn all_changes(&mut self) -> Vec<Change> {
        let mut changes = std::mem::take(&mut self.changes);
        changes.extend(self.phase.map(Change::Phase));
        self.legacy.put(&mut changes);
        if let Some(pruning) = &self.prune {
            changes.push(Change::Floor(pruning.floor));
            changes.push(Change::Binding(pruning.binding));
        }
        changes
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
        for reply in self.stripped {
            let _ = reply.send(Ok(true));
        }
        self.pruned
    }

    /// Answers every caller that its change is not durable.
    pub(super) fn fail(&mut self) {
        for reply in self.done.drain(..).chain(self.pruned.drain(..)) {
            let _ = reply.send(Err(WriteError::Poisoned));
        }
        for reply in self.stripped.drain(..) {
            let _ = reply.send(Err(WriteError::Poisoned));
        }
        for (reply, _) in self.phase.drain(..) {
            let _ = reply.send(Err(WriteError::Poisoned));
        }
    }
}
