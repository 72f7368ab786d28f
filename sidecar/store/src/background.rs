//! The store's second thread: sealing segments, unlinking pruned files and reading the strand again take long, and no
//! append waits for them. Between them it looks whether the data folder is still there.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use boboyka_strand::Seq;
use boboyka_strand::retention::Policy;

use crate::error::causes;
use crate::gather::{self, Gather};
use crate::job::{Job, Waiter};
use crate::keeping;
use crate::pruned;
use crate::scrub::Scrub;
use crate::seal::{self, SealTask};
use crate::shared::Shared;

/// Tasks that may wait: one seal at a time, and a few sweeps.
pub(crate) const TASKS_MAX: usize = 4;

/// How often it looks for the data folder, unless it works.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// One task of the thread.
pub(crate) enum Task {
    /// Seal the tail's older part; the writer receives the result through its queue.
    Seal(SealTask),
    /// Unlink what was pruned, then answer.
    Sweep {
        policy: Policy,
        waiters: Vec<Waiter>,
    },
}

/// Works until the writer, which sends the tasks, has ended.
pub(crate) fn work(shared: &Shared, tasks: &Receiver<Task>) {
    let (mut scrub, mut gather) = (Scrub::new(&shared.options), Gather::new());
    loop {
        scrub.wake(shared);
        let pause = gather.pause().unwrap_or(LOOK_INTERVAL);
        match tasks.recv_timeout(pause.min(scrub.pause()).min(LOOK_INTERVAL)) {
            Ok(task) => run(shared, task),
            Err(RecvTimeoutError::Timeout) if scrub.pause().is_zero() => scrub.step(shared),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        gather.wake();
        gather.step(shared);
        look_for_folder(shared);
    }
}

fn look_for_folder(shared: &Shared) {
    if let Some(change) = shared.lock.moved() {
        let folder = shared.options.data_dir.display();
        shared.poison.set(format!(
            "the data folder {folder} {change} while it was open; put it back, or start again with the right folder"
        ));
    }
}

fn write_roots(shared: &Shared, up_to: Seq) {
    if let Err(error) = keeping::write_roots(shared, up_to) {
        let error = causes(&error);
        tracing::error!(
            error,
            "could not write the roots of the transparency log; the next seal tries again"
        );
    }
}

fn run(shared: &Shared, task: Task) {
    match task {
        Task::Seal(task) => {
            let segment = seal::seal(&task, &shared.segments_folder, shared.strand);
            if let Some(segment) = &segment {
                // Before the tail's entries go, so that no reader misses them.
                gather::of_sealed(shared, segment, &task.runs);
                write_roots(shared, segment.meta.head.seq);
            }
            let job = segment.map_or(Job::SealFailed, |segment| Job::Sealed(Box::new(segment)));
            if shared.queue.push(job).is_err() {
                tracing::debug!("the store closed before it catalogued a new segment");
            }
        }
        Task::Sweep { policy, waiters } => {
            sweep(shared, policy);
            for waiter in waiters {
                let _ = waiter.send(Ok(()));
            }
        }
    }
}

/// Unlinks what lies below the floor. The next sweep and the next start try again what fails.
fn sweep(shared: &Shared, policy: Policy) {
    let retired = shared.state().retired().to_vec();
    if retired.is_empty() {
        return;
    }
    if let Err(error) = keeping::keep_entries(shared) {
        tracing::error!(
            error = causes(&error),
            "could not write what the tlog needs of the pruned segments, which stay until that is done; the next run tries again"
        );
        return;
    }
    let (mut freed_bytes, mut gone) = (0, Vec::new());
    for segment in retired {
        let path = segment.path();
        match shared.pruned_index.retire(path) {
            Ok(bytes) => {
                freed_bytes += bytes;
                gone.push(segment.meta.first_seq());
            }
            Err(error) => {
                let file = path.display().to_string();
                tracing::error!(
                    file,
                    error = causes(&error),
                    "could not unlink the pruned segment {file}"
                );
            }
        }
    }
    let budget = pruned::budget(policy.max_size_bytes);
    if let Err(error) = shared.pruned_index.finish(&shared.segments_folder, budget) {
        tracing::error!(
            error = causes(&error),
            "could not finish pruning; the next run tries again"
        );
    }
    shared.change(|state| state.swept(&gone, freed_bytes));
    keeping::forget_entries(shared);
}
