//! The store's second thread: sealing segments and unlinking pruned files take long, and no append waits for
//! them.

use std::path::Path;
use std::sync::mpsc::Receiver;

use boboyka_strand::retention::Policy;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::Shared;
use crate::error::WriteError;
use crate::queue::Job;
use crate::seal::{self, SealTask};

/// Tasks that may wait: one seal at a time, and the sweeps of the few who prune.
pub(crate) const TASKS_MAX: usize = 4;

/// One task of the thread.
pub(crate) enum Task {
    /// Seal the tail's older part; the writer hears of the result through its queue.
    Seal(SealTask),
    /// Unlink what was pruned, then answer.
    Sweep {
        policy: Policy,
        replies: Vec<oneshot::Sender<Result<(), WriteError>>>,
    },
}

/// Works until the writer, which sends the tasks, has ended.
pub(crate) fn work(shared: &Shared, tasks: &Receiver<Task>, segments_folder: &Path, strand: Uuid) {
    for task in tasks {
        match task {
            Task::Seal(task) => {
                let job = seal::seal(&task, segments_folder, strand)
                    .map_or(Job::SealFailed, |segment| Job::Sealed(Box::new(segment)));
                if shared.queue.push(job).is_err() {
                    tracing::debug!("the store closes before it has catalogued a new segment");
                }
            }
            Task::Sweep { policy, replies } => {
                shared.sweep(policy);
                for reply in replies {
                    let _ = reply.send(Ok(()));
                }
            }
        }
    }
}
