//! Stripping segments: which one is next, and taking one that was written anew into the catalogue together with the
//! strand's own record of it.

use std::sync::Arc;
use std::sync::mpsc::TrySendError;

use boboyka_strand::retention::{self, Blocker, Claim, Due, Limit, PayloadAges};
use boboyka_strand::{PerType, RecordType};

use super::commit::Commit;
use super::prune::{claim, piece};
use super::thread::Writer;
use crate::background::Task;
use crate::change::Change;
use crate::error::{TailError, causes};
use crate::job::StripWaiter;
use crate::retention::Needed;
use crate::segment::Segment;
use crate::state::State;
use crate::strip::{StripTask, Stripped};
use crate::view::View;

impl Writer {
    /// Hands the oldest segment that the ages let go to the second thread.
    pub(super) fn strip(
        &mut self,
        commit: &Commit,
        ages: PayloadAges,
        needed: Needed,
        reply: StripWaiter,
    ) {
        self.ages = ages;
        let task = self
            .plan_stripping(commit, &ages, needed)
            .unwrap_or_else(|error| {
                let error = causes(&error);
                tracing::error!(error, "could not plan which payloads go; none goes");
                None
            });
        let task = task.filter(|_| self.stripping.upgrade().is_none());
        let Some(task) = task else {
            let _ = reply.send(Ok(false));
            return;
        };
        self.stripping = Arc::downgrade(&task.turn);
        let strip = Task::Strip { task, reply };
        // When the thread has too much to do, the next run tries again.
        if let Err(TrySendError::Full(task) | TrySendError::Disconnected(task)) =
            self.background.try_send(strip)
            && let Task::Strip { reply, .. } = task
        {
            let _ = reply.send(Ok(false));
        }
    }

    fn plan_stripping(
        &self,
        commit: &Commit,
        ages: &PayloadAges,
        needed: Needed,
    ) -> Result<Option<StripTask>, TailError> {
        let (view, segments, looked_at) = {
            let state = self.shared.state();
            let segments = state.memory().segments().to_vec();
            (state.view(), segments, state.looked_at().clone())
        };
        let limits = self.payload_limits(commit, &view, &segments, needed)?;
        let (mut next, mut blocked_by) = (None, None);
        for segment in &segments {
            let looked_at = looked_at.get(&segment.meta.first_seq());
            let held = segment.meta.held().map(|kind, held| match looked_at {
                Some(types) if types[kind] => 0,
                _ => held,
            });
            let due = retention::due(ages, &piece(segment), &held, &limits, commit.now_ms);
            blocked_by = blocked_by.or(due.blocked_by);
            if due.is_some() {
                next = Some(task_of(segment, due, needed));
                break;
            }
        }
        self.shared
            .change(|state| state.stripping_ran(*ages, commit.now_ms, blocked_by));
        Ok(next)
    }

    /// How far payloads of each type may go. Documents have no lane.
    fn payload_limits(
        &self,
        commit: &Commit,
        view: &View,
        segments: &[Arc<Segment>],
        needed: Needed,
    ) -> Result<PerType<Limit>, TailError> {
        let (claim, head) = (claim(view, needed), view.head.seq);
        let lanes = self.progress(commit, view, segments)?;
        // As long as anything is mirrored, a list of legacy projects decides by payloads what is behind the boundary.
        let (listed, archive) = {
            let state = self.shared.state();
            (claim != Claim::Head && state.is_listed(), state.archive())
        };
        let archived = archive.map(|archive| archive.archived);
        let until = view.mirror_until();
        Ok(PerType::from_fn(|lane: RecordType| {
            let limit = retention::payload_limit(claim, lane, &lanes[lane], until, head);
            let limit = match until.filter(|until| listed && *until < limit.seq) {
                Some(seq) => Limit {
                    seq,
                    blocker: Some(Blocker::Rollback),
                },
                None => limit,
            };
            limit.within(archived)
        }))
    }

    /// Takes a segment that was written anew into the commit, unless what went has to stay after all, or the segment that it
    /// was made of is not the one that counts any more.
    pub(super) fn take_stripped(
        &self,
        commit: &mut Commit,
        stripped: Stripped,
        reply: StripWaiter,
    ) {
        let first_seq = stripped.segment.meta.first_seq();
        let counts = |state: &State| {
            let now = state.memory().segment_of(first_seq);
            now.is_some_and(|now| Arc::ptr_eq(now, &stripped.earlier))
        };
        let pruned = commit
            .prune
            .as_ref()
            .is_some_and(|pruning| pruning.floor.head.seq >= first_seq);
        let is_wanted = !pruned
            && commit.phase.is_none()
            && counts(&self.shared.state())
            && self.may_go(commit, &stripped);
        // A pruning of this commit has begun already, and so the hold waits for it.
        let begins = || commit.prune.is_some() || self.shared.change(State::begin_pruning);
        if !is_wanted || !begins() {
            stripped.discard();
            let _ = reply.send(Ok(false));
            return;
        }
        match stripped.record() {
            Ok(record) => {
                commit.link(record, None);
                let change = Change::Segment(stripped.segment.clone());
                commit.changes.push(change);
                commit.stripped.push(stripped);
                commit.replies.stripped.push(reply);
            }
            Err(error) => {
                let error = causes(&error);
                tracing::error!(
                    error,
                    "could not make the record of a stripping; nothing goes"
                );
                stripped.discard();
                self.shared.change(State::end_pruning);
                let _ = reply.send(Ok(false));
            }
        }
    }

    /// Whether what went may still go: phase, marks, dead letters, a list or the archive may have changed while the segment
    /// was written.
    fn may_go(&self, commit: &Commit, stripped: &Stripped) -> bool {
        let (view, segments) = {
            let state = self.shared.state();
            (state.view(), state.memory().segments().to_vec())
        };
        let limits = self.payload_limits(commit, &view, &segments, stripped.needed);
        limits.is_ok_and(|limits| stripped.is_within(&limits))
    }

    /// Has readers find the new segment from now on, unless the same commit pruned it.
    pub(super) fn replace(&mut self, state: &mut State, stripped: Stripped) {
        if state
            .memory()
            .segment_of(stripped.segment.meta.first_seq())
            .is_none()
        {
            state.end_pruning();
            return stripped.discard();
        }
        let (first, payloads) = (stripped.segment.meta.first_seq(), stripped.len());
        let (last, segment) = (stripped.segment.meta.head.seq, Arc::new(stripped.segment));
        self.keys.replace(&segment);
        state.strip(segment);
        tracing::info!(
            first,
            last,
            payloads,
            "let {payloads} payloads go of the records {first} to {last}; their headers stay"
        );
    }
}

fn task_of(segment: &Arc<Segment>, due: Due, needed: Needed) -> StripTask {
    StripTask {
        segment: Arc::clone(segment),
        types: due.types,
        needed,
        turn: Arc::default(),
    }
}
