//! The store's second thread: sealing segments, unlinking pruned files and reading the strand again take long, and no
//! append waits for them. Between them it looks whether the data folder is still there.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use boboyka_strand::Seq;
use boboyka_strand::retention::Policy;

use crate::error::causes;
use crate::gather::{self, Gather};
use crate::job::{Job, StripWaiter, Waiter};
use crate::keeping;
use crate::mirrored::Mirrored;
use crate::owing;
use crate::pruned;
use crate::retention::Needed;
use crate::scrub::Scrub;
use crate::seal::{self, SealTask};
use crate::segment::Segment;
use crate::shared::Shared;
use crate::strip::{self, StripError, StripTask};

/// Tasks that may wait: one seal at a time, and a few sweeps.
pub(crate) const TASKS_MAX: usize = 4;

/// How often it looks for the data folder, unless it works.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// One task of the thread.
pub(crate) enum Task {
    /// Seal the tail's older part; the writer receives the result through its queue.
    Seal(SealTask),
    /// Count what of segments is not mirrored; the writer then plans again the pruning that asks for it.
    Count {
        segments: Vec<Arc<Segment>>,
        policy: Policy,
        needed: Needed,
        waiter: Waiter,
    },
    /// Unlink what was pruned, then answer.
    Sweep {
        policy: Policy,
        waiters: Vec<Waiter>,
    },
    /// Write a segment anew without some payloads; the writer receives the result through its queue.
    Strip { task: StripTask, reply: StripWaiter },
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
        unlink_replaced(shared);
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
        Task::Count {
            segments,
            policy,
            needed,
            waiter,
        } => {
            let mirrored = Mirrored::of(&shared.state());
            let job = Job::Prune {
                policy,
                needed,
                counted: owing::count_others(&mirrored, &segments),
                reply: waiter,
            };
            if shared.queue.push(job).is_err() {
                tracing::debug!("the store closed before it pruned");
            }
        }
        Task::Strip { task, reply } => strip_segment(shared, task, reply),
        Task::Sweep { policy, waiters } => {
            sweep(shared, policy);
            for waiter in waiters {
                let _ = waiter.send(Ok(()));
            }
        }
    }
}

fn strip_segment(shared: &Shared, task: StripTask, reply: StripWaiter) {
    let (first, last) = (task.segment.meta.first_seq(), task.segment.meta.head.seq);
    let look_no_more = || shared.change_quietly(|state| state.look_no_more(first, task.types));
    let answer = match strip::strip(&task, &shared.segments_folder) {
        Ok(Some(stripped)) => {
            drop(task);
            let stripped = Box::new(stripped);
            if shared
                .queue
                .push(Job::Stripped { stripped, reply })
                .is_err()
            {
                tracing::debug!("the store closed before it catalogued a stripped segment");
            }
            return;
        }
        Ok(None) => {
            look_no_more();
            true
        }
        Err(error) => {
            let why = causes(&error);
            tracing::error!(
                first,
                last,
                error = why,
                "the payloads of the records {first} to {last} stay, though retention lets some go"
            );
            if matches!(error, StripError::Read(_)) {
                look_no_more();
            }
            false
        }
    };
    let _ = reply.send(Ok(answer));
}

/// Unlinks segments in whose place others came, once nobody reads them. The next start tries again what fails.
fn unlink_replaced(shared: &Shared) {
    if !shared.state().has_replaced() {
        return;
    }
    let mut unread = Vec::new();
    shared.change_quietly(|state| unread = state.take_replaced());
    if unread.is_empty() {
        return;
    }
    let mut freed = 0;
    for (segment, bytes) in unread {
        match std::fs::remove_file(segment.path()) {
            Ok(()) => freed += bytes,
            Err(error) => {
                let file = segment.path().display().to_string();
                tracing::error!(
                    file,
                    error = causes(&error),
                    "could not unlink the segment {file}, in whose place another one came"
                );
            }
        }
    }
    shared.change(|state| state.freed(freed));
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
