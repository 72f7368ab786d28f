//! What the writer has done beside it: sealing, and unlinking what was pruned.

use std::sync::Arc;
use std::sync::mpsc::TrySendError;
use std::time::Instant;

use boboyka_strand::retention::Policy;

use super::thread::Writer;
use crate::background::Task;
use crate::job::Waiter;
use crate::retention::Needed;
use crate::seal;
use crate::segment::Segment;

impl Writer {
    /// Has the files below the floor unlinked. Waiters for whom the thread has no room are answered at once: what they
    /// pruned goes with the sweeps that wait already.
    pub(super) fn start_sweep(&self, waiters: Vec<Waiter>) {
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

    /// Has counted what of segments is not mirrored. The waiter is answered at once when the thread has no room: the next run
    /// tries again.
    pub(super) fn start_counting(
        &self,
        segments: Vec<Arc<Segment>>,
        policy: Policy,
        needed: Needed,
        waiter: Waiter,
    ) {
        let count = Task::Count {
            segments,
            policy,
            needed,
            waiter,
        };
        if let Err(TrySendError::Full(task) | TrySendError::Disconnected(task)) =
            self.background.try_send(count)
            && let Task::Count { waiter, .. } = task
        {
            let _ = waiter.send(Ok(()));
        }
    }

    pub(super) fn start_sealing(&mut self, now_ms: u64) {
        if self.sealing || !self.seal_pause.is_over(Instant::now()) {
            return;
        }
        let task = {
            let (state, options) = (self.shared.state(), &self.shared.options);
            let kept = seal::kept_for(self.policy, &self.ages);
            seal::due(state.memory(), options, kept, state.archive(), now_ms)
        };
        if let Some(task) = task {
            // When the thread has too much to do, the next commit tries again.
            self.sealing = self.background.try_send(Task::Seal(task)).is_ok();
        }
    }
}
