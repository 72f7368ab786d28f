//! The writer's queue: what waits to be written, bounded, handed over whole.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::append::NewRecord;
use crate::error::WriteError;
use crate::job::{AppendReply, Job};
use crate::key::IdempotencyKey;

/// The most records that may wait: some commits' worth, so that a full queue means a stalled disk.
const WAITING_RECORDS_MAX: usize = 20_000;
/// The most payload bytes that may wait.
const WAITING_BYTES_MAX: usize = 32 * 1024 * 1024;

#[derive(Default)]
struct Waiting {
    jobs: Vec<Job>,
    records: usize,
    bytes: usize,
    closed: bool,
}

/// The queue between callers and the one writer.
#[derive(Default)]
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    filled: Condvar,
}

impl Queue {
    /// Queues an append, unless too much waits already. An empty queue takes whatever comes.
    pub(crate) fn append(
        &self,
        records: Vec<NewRecord>,
        unit: Option<IdempotencyKey>,
    ) -> Result<oneshot::Receiver<AppendReply>, WriteError> {
        let bytes: usize = records.iter().map(|new| new.record.payload().len()).sum();
        let mut waiting = self.lock();
        if waiting.closed {
            return Err(WriteError::Closed);
        }
        let full = waiting.records + records.len() > WAITING_RECORDS_MAX
            || waiting.bytes + bytes > WAITING_BYTES_MAX;
        if full && waiting.records > 0 {
            return Err(WriteError::QueueFull);
        }
        let (reply, receiver) = oneshot::channel();
        waiting.records += records.len();
        waiting.bytes += bytes;
        waiting.jobs.push(Job::Append {
            records,
            unit,
            reply,
        });
        drop(waiting);
        self.filled.notify_one();
        Ok(receiver)
    }

    /// Queues anything else; such jobs are few and never refused while the queue is open.
    pub(crate) fn push(&self, job: Job) -> Result<(), WriteError> {
        let mut waiting = self.lock();
        if waiting.closed {
            return Err(WriteError::Closed);
        }
        waiting.jobs.push(job);
        drop(waiting);
        self.filled.notify_one();
        Ok(())
    }

    /// Takes all that waits, after waiting for something; `None` once closed and empty.
    pub(crate) fn take(&self) -> Option<Vec<Job>> {
        let mut waiting = self.lock();
        while waiting.jobs.is_empty() {
            if waiting.closed {
                return None;
            }
            waiting = self
                .filled
                .wait(waiting)
                .unwrap_or_else(PoisonError::into_inner);
        }
        waiting.records = 0;
        waiting.bytes = 0;
        Some(std::mem::take(&mut waiting.jobs))
    }

    /// Refuses everything from now on; what waits is still written.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
