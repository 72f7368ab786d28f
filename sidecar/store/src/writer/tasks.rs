//! What the writer has done beside it: sealing, and unlinking what was pruned.

use std::sync::mpsc::TrySendError;
use std::time::Instant;

use super::thread::Writer;
use crate::background::Task;
use crate::job::Waiter;
use crate::seal;

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

    pub(super) fn start_sealing(&mut self, now_ms: u64) {
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
}
