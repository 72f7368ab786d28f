//! One step of a lane: a preflight if one is due, else a read if nothing is at hand, else a request.

use std::future::Future;
use std::time::{Duration, Instant};

use boboyka_store::{Mark, ReadError};
use boboyka_strand::Seq;
use bytes::Bytes;

use super::work::Work;
use super::{GRACE, LOOK_INTERVAL, Lane, Pause, Rest};
use crate::breaker::Leave;
use crate::classify::Class;
use crate::failure::Failure;
use crate::preflight::{Shape, preflight};
use crate::row::{Batch, RowError};
use crate::status::LaneState;
use crate::supabase::Target;

/// Payload read at a time. A row is about twice its payload (the columns repeat it), and two copies
/// of the rows are held, so four lanes stay below ten megabytes.
const READ_MAX_BYTES: usize = 384 * 1024;

/// An idle lane's mark is written again when the strand has grown by so much, so that a restart does
/// not look through what was looked through before.
const IDLE_MARK_STEP: Seq = 10_000;

/// The wait after the strand could not be read: the damage is there until somebody mends it.
const UNREADABLE_DELAY: Duration = Duration::from_mins(1);

/// Why a lane could not read its records.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    /// The store.
    #[error("read the records to mirror")]
    Read(#[from] ReadError),
    /// A payload.
    #[error("render the rows to mirror")]
    Row(#[from] RowError),
    /// A panic in the store, or the end of the process.
    #[error("the reading task ended early")]
    Task(#[from] tokio::task::JoinError),
}

impl Lane {
    pub(super) async fn turn(&mut self) -> Rest {
        if self.supabase.is_none() || self.closed().is_some() {
            self.work = None;
            return Rest::Until(None);
        }
        self.limit.set_rows_max(self.settings.borrow().batch_rows);
        let now = Instant::now();
        if let Some(until) = self
            .pause
            .as_ref()
            .map(|pause| pause.until)
            .filter(|at| now < *at)
        {
            return self.rest_paused(until).await;
        }
        match self.breaker.leave(now) {
            Leave::Nothing(until) => return Rest::Until(Some(until)),
            Leave::Probe => self.shape = None,
            Leave::Batches => {}
        }
        if self.is_preflight_due(now) {
            if !self.look_at_table().await {
                return Rest::Not;
            }
            if !self.refused {
                self.resume();
            }
        }
        if self.work.is_none() && !self.load().await {
            return if self.pause.is_some() {
                Rest::Not
            } else {
                self.rest_idle()
            };
        }
        let end = self.end();
        if self.work.as_ref().is_some_and(|work| work.last_seq() > end) {
            // What is at hand was read before the phase ended, so it lies before the end; this makes sure.
            self.work = None;
        } else if self.refused {
            self.send_trial().await;
        } else {
            self.send().await;
        }
        Rest::Not
    }

    /// A paused lane wakes for the first record that it has to keep waiting, to know its age.
    async fn rest_paused(&mut self, until: Instant) -> Rest {
        if self.view.borrow().oldest_ms.is_some() {
            return Rest::Until(Some(until));
        }
        if self.backlog() == 0 {
            return Rest::Idle(Some(until));
        }
        self.load().await;
        Rest::Until(Some(until))
    }

    fn rest_idle(&self) -> Rest {
        // The counts said that there is nothing; the strand itself has the last word.
        let unseen = self.end() > self.scanned_to;
        let look = unseen.then(|| self.looked + LOOK_INTERVAL);
        let whole = self.shape.as_ref().is_none_or(Shape::is_whole);
        let recheck = (!whole).then(|| self.shape_seen + self.settings.borrow().schema_recheck);
        Rest::Idle([look, recheck].into_iter().flatten().min())
    }

    /// A table that lacks something is looked at again now and then: perhaps it was given.
    fn is_preflight_due(&self, now: Instant) -> bool {
        self.shape.as_ref().is_none_or(|shape| {
            !shape.is_whole() && now >= self.shape_seen + self.settings.borrow().schema_recheck
        })
    }

    /// Finds the table's shape; whether rows can be sent. What stands in the way is handled.
    pub(super) async fn look_at_table(&mut self) -> bool {
        let Some(supabase) = self.supabase.clone() else {
            return false;
        };
        match self.call(preflight(&supabase, self.record_type)).await {
            Some(Ok(shape)) => {
                if !shape.is_whole() && self.lacking.as_ref() != Some(&shape) {
                    let (table, lost_columns) = (self.table(), &shape.lost_columns);
                    let idempotent = shape.idempotent;
                    tracing::warn!(
                        table,
                        ?lost_columns,
                        idempotent,
                        "table {table} lacks something"
                    );
                }
                self.lacking = (!shape.is_whole()).then(|| shape.clone());
                self.shape = Some(shape);
                self.shape_seen = Instant::now();
                self.breaker.answered();
                self.show();
                true
            }
            Some(Err(failure)) => {
                self.stand_back(&failure);
                false
            }
            None => false,
        }
    }

    /// Reads the next records; whether there are any.
    async fn load(&mut self) -> bool {
        let mark = self.mark();
        let after = mark.seq.max(self.scanned_to);
        let counted = self.backlog() > 0;
        if self.end() <= after || (!counted && self.looked.elapsed() < LOOK_INTERVAL) {
            return false;
        }
        let (batch, scanned_to) = match self.read(after).await {
            Ok(read) => read,
            Err(error) => {
                self.pause_unreadable(&error);
                return false;
            }
        };
        self.scanned_to = scanned_to;
        self.looked = Instant::now();
        let oldest_ms = batch.row(0).map(|row| row.ms);
        self.view.send_modify(|view| view.oldest_ms = oldest_ms);
        if oldest_ms.is_none() {
            if scanned_to >= mark.seq + IDLE_MARK_STEP {
                self.persist(
                    Mark {
                        seq: scanned_to,
                        ..mark
                    },
                    Vec::new(),
                )
                .await;
                self.view.send_modify(|view| view.passed = scanned_to);
            }
            return false;
        }
        self.work = Some(Work::new(batch, scanned_to));
        true
    }

    async fn read(&self, after: Seq) -> Result<(Batch, Seq), LoadError> {
        let (store, record_type) = (self.store.clone(), self.record_type);
        let rows_max = self.settings.borrow().batch_rows;
        let read = move || {
            let read = store.read_lane(record_type, after, rows_max, READ_MAX_BYTES)?;
            Ok((
                Batch::render(store.strand_id(), &read.blocks)?,
                read.scanned_to,
            ))
        };
        tokio::task::spawn_blocking(read).await?
    }

    fn pause_unreadable(&mut self, error: &LoadError) {
        let table = self.table();
        tracing::error!(
            table,
            error = error as &dyn std::error::Error,
            "lane {table} can't read"
        );
        self.pause = Some(Pause {
            state: LaneState::BackingOff,
            reason: "the strand can't be read".into(),
            until: Instant::now() + UNREADABLE_DELAY,
        });
    }

    /// Sends the next rows.
    async fn send(&mut self) {
        let Some(work) = self.work.as_mut() else {
            return;
        };
        let part = work.next(&self.limit);
        let body = work.batch.body(part.clone());
        let body_len = body.len();
        match self.insert(body).await {
            Some(Ok(())) => self.accepted(part).await,
            Some(Err(failure)) => self.failed(part, body_len, &failure).await,
            None => {}
        }
    }

    /// After too many refusals: whether the table takes the next row, or the last one at hand, which
    /// tells a wrong table from a long run of wrong records. No row becomes a dead letter here.
    async fn send_trial(&mut self) {
        let Some(work) = self.work.as_ref() else {
            return;
        };
        let (first, last) = work.ends();
        let (first_body, last_body) = (work.batch.body(first.clone()), work.batch.body(last));
        let result = match self.insert(first_body).await {
            Some(Ok(())) => {
                self.refused = false;
                return self.accepted(first).await;
            }
            Some(Err(failure)) if is_refusal(&failure) && self.is_idempotent() => {
                self.insert(last_body).await
            }
            refused => refused,
        };
        match result {
            // The row is sent again in its turn, and ignored by its hash.
            Some(Ok(())) => self.trust_again(),
            Some(Err(failure)) if is_refusal(&failure) => self.pause_refused(&failure.code),
            Some(Err(failure)) => self.stand_back(&failure),
            None => {}
        }
    }

    fn is_idempotent(&self) -> bool {
        self.shape.as_ref().is_some_and(|shape| shape.idempotent)
    }

    /// Inserts a body of rows; `None` when the process ends or the credentials change first.
    pub(super) async fn insert(&mut self, body: Bytes) -> Option<Result<(), Failure>> {
        let (supabase, shape) = (self.supabase.clone()?, self.shape.clone()?);
        let table = self.table();
        let target = Target {
            table,
            columns: &shape.columns,
            idempotent: shape.idempotent,
        };
        self.call(supabase.insert(target, body)).await
    }

    async fn call<T>(
        &self,
        request: impl Future<Output = Result<T, Failure>>,
    ) -> Option<Result<T, Failure>> {
        let shutdown = self.shutdown.clone();
        let ended = async {
            shutdown.cancelled().await;
            tokio::time::sleep(GRACE).await;
        };
        // A request that hangs with the old key must not hold the new one up. Its rows may have been
        // stored, so it is given up only where sending them again does no harm.
        let mut configured = self.configured.clone();
        let may_give_up = self.shape.as_ref().is_none_or(|shape| shape.idempotent);
        tokio::select! {
            result = request => {
                let class = result.as_ref().err().map_or(Class::Done, |failure| failure.class);
                self.counters.count(class);
                Some(result)
            }
            () = ended => None,
            Ok(()) = configured.changed(), if may_give_up => None,
        }
    }
}

/// Whether an answer is about the row and nothing else.
fn is_refusal(failure: &Failure) -> bool {
    matches!(
        failure.class,
        Class::Poison | Class::Dependency | Class::Size
    )
}
