//! One step of a lane: a preflight if one is due, else what is due of the refused rows, else a read if
//! nothing is at hand, else a request.

use std::sync::Arc;
use std::time::{Duration, Instant};

use boboyka_store::{Mark, ReadError, causes};
use boboyka_strand::Seq;

use super::deliver::{Delivered, last_seq};
use super::scan::Look;
use super::task::{Lane, Pause, Rest};
use super::work::Work;
use crate::breaker::Leave;
use crate::classify::{Class, NOT_KEPT};
use crate::failure::Failure;
use crate::preflight::{Shape, preflight};
use crate::row::{Batch, RowError};
use crate::status::LaneState;

/// Payload read at a time. A row is about twice its payload (the columns repeat it), and two copies
/// of the rows are held, so four lanes stay below ten megabytes.
const READ_MAX_BYTES: usize = 384 * 1024;

/// Records by which the strand grows before an idle lane writes its mark again, so that a restart does not
/// scan the same blocks once more.
const IDLE_MARK_STEP: Seq = 10_000;

/// The wait after the strand could not be read: the damage stays until an operator repairs it.
const UNREADABLE_DELAY: Duration = Duration::from_mins(1);

/// Why a lane could not read its records.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    /// The store.
    #[error("could not read the records to mirror")]
    Read(#[from] ReadError),
    /// A payload.
    #[error("could not render the rows to mirror")]
    Row(#[from] RowError),
    /// A panic in the store, or the end of the process.
    #[error("the task that reads the strand ended early")]
    Task(#[from] tokio::task::JoinError),
}

impl Lane {
    pub(super) async fn turn(&mut self) -> Rest {
        self.keep_up();
        if self.supabase.is_none() || self.closed().is_some() {
            self.work = None;
            return Rest::Until(None);
        }
        self.limit.set_rows_max(self.settings.borrow().batch_rows);
        let now = Instant::now();
        if let Some(until) = self.paused_until(now) {
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
        if !self.find_asides().await {
            return Rest::Not;
        }
        if self.are_asides_due(now) {
            self.replay_asides().await;
            return Rest::Not;
        }
        if self.work.is_none() && !self.load().await {
            // A pause that is over is no reason to wait, and none to turn again at once.
            return match self.paused_until(Instant::now()) {
                Some(until) => Rest::Until(Some(until)),
                None => self.rest_idle(),
            };
        }
        self.send_next().await
    }

    /// Sends what is at hand.
    async fn send_next(&mut self) -> Rest {
        let end = self.end();
        let Some(mut work) = self.work.take() else {
            return Rest::Not;
        };
        if work.last_seq() > end {
            // What is at hand was read before the phase ended, so it lies before the end; this makes sure.
            return Rest::Not;
        }
        let part = if self.refused {
            work.ends().0
        } else {
            work.next(&self.limit)
        };
        let hold = self
            .doubt
            .and_then(|doubt| doubt.holds(last_seq(&work, &part), Instant::now()));
        if let Some(until) = hold {
            self.work = Some(work);
            return self.rest_in_doubt(until);
        }
        if self.refused {
            self.send_trial(work).await;
        } else {
            let delivered = self.deliver(&mut work, &part).await;
            self.work = Some(work);
            if let Some(delivered) = delivered {
                self.settle_part(part, delivered).await;
            }
        }
        Rest::Not
    }

    fn paused_until(&self, now: Instant) -> Option<Instant> {
        let until = self.pause.as_ref().map(|pause| pause.until);
        until.filter(|until| now < *until)
    }

    fn rest_in_doubt(&mut self, until: Instant) -> Rest {
        let reason = "an earlier request has no answer and may still be carried out";
        self.pause = Some(Pause {
            state: LaneState::BackingOff,
            reason: reason.into(),
            until,
        });
        Rest::Until(Some(until))
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

    /// Nothing is at hand: rests until the strand, the table or a refused row is to be looked at.
    fn rest_idle(&mut self) -> Rest {
        if !self.refused {
            self.resume();
        }
        let look = match self.look(Instant::now()) {
            Look::Now => return Rest::Not,
            Look::At(at) => Some(at),
            Look::Never => None,
        };
        let whole = self.shape.as_ref().is_none_or(|shape| shape.is_whole());
        let recheck = (!whole).then(|| self.shape_seen + self.settings.borrow().schema_recheck);
        let aside = self.asides_due_at();
        Rest::Idle([look, recheck, aside].into_iter().flatten().min())
    }

    fn look(&self, now: Instant) -> Look {
        let counted = self.backlog() > 0;
        self.scan.look(self.mark().seq, self.end(), counted, now)
    }

    /// A table without some columns or its key is checked again now and then: an operator may have added them.
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
        let layout = Arc::clone(&self.layout);
        match self.call(preflight(&supabase, &layout)).await {
            Some(Ok(shape)) => {
                self.adopt_shape(shape);
                true
            }
            Some(Err(failure)) => {
                self.stand_back(&failure);
                false
            }
            None => false,
        }
    }

    fn adopt_shape(&mut self, shape: Shape) {
        let table = self.table();
        if self
            .told
            .as_ref()
            .is_some_and(|told| told.mode != shape.mode)
        {
            // What is to be known of the refused rows depends on the mode.
            self.asides = None;
        }
        if self.told.as_deref() != Some(&shape) {
            let (mode, key) = (shape.mode.name(), shape.key.join(", "));
            tracing::info!(%table, mode, key, "table {table} is mirrored in the mode {mode}");
            if !shape.is_whole() {
                let (lost_columns, idempotent) = (&shape.lost_columns, shape.idempotent);
                tracing::warn!(
                    %table,
                    ?lost_columns,
                    idempotent,
                    "table {table} has not all columns and keys; the mirror goes on without them: apply schema.sql to add them"
                );
            }
        }
        let shape = Arc::new(shape);
        self.told = Some(Arc::clone(&shape));
        self.shape = Some(shape);
        self.shape_seen = Instant::now();
        self.auth_failures = 0;
        self.breaker.answered();
        self.show();
    }

    /// Reads the next records; whether there are any.
    async fn load(&mut self) -> bool {
        if self.look(Instant::now()) != Look::Now {
            return false;
        }
        let mark = self.mark();
        let (batch, gone, scanned_to) = match self.read(self.scan.from(mark.seq)).await {
            Ok(read) => read,
            Err(error) => {
                self.pause_unreadable(&error);
                return false;
            }
        };
        self.scan.looked(scanned_to, Instant::now());
        let oldest_ms = batch.row(0).map(|row| row.ms);
        self.view.send_modify(|view| view.oldest_ms = oldest_ms);
        if oldest_ms.is_none() {
            if gone > 0 {
                let table = self.table();
                tracing::warn!(
                    %table,
                    gone,
                    "{gone} records up to seq {scanned_to} are not sent to table {table}: retention removed their payloads"
                );
            }
            if scanned_to >= mark.seq + IDLE_MARK_STEP || gone > 0 {
                // What has no payload any more can't be sent, and nobody waits for it.
                self.persist(
                    Mark {
                        seq: scanned_to,
                        mirrored: mark.mirrored + gone,
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

    /// The next rows, how many records have lost their payload instead, and up to where there are no others.
    async fn read(&self, after: Seq) -> Result<(Batch, u64, Seq), LoadError> {
        let (store, record_type) = (self.store.clone(), self.record_type);
        let layout = Arc::clone(&self.layout);
        let rows_max = self.settings.borrow().batch_rows;
        let read = move || {
            let read = store.read_lane(record_type, after, rows_max, READ_MAX_BYTES)?;
            Ok((
                Batch::render(&layout, store.strand_id(), &read.blocks)?,
                read.gone.len() as u64,
                read.scanned_to,
            ))
        };
        tokio::task::spawn_blocking(read).await?
    }

    pub(super) fn pause_unreadable(&mut self, error: &LoadError) {
        let table = self.table();
        tracing::error!(
            %table,
            error = causes(error),
            "lane {table} could not read the strand"
        );
        self.pause = Some(Pause {
            state: LaneState::BackingOff,
            reason: "the strand can't be read".into(),
            until: Instant::now() + UNREADABLE_DELAY,
        });
    }

    /// After too many refusals: whether the table takes the next row, or the last one at hand, which
    /// distinguishes a wrong table from a long run of wrong records. No row becomes a dead letter here.
    async fn send_trial(&mut self, mut work: Work) {
        let (first, last) = work.ends();
        let mut delivered = self.deliver(&mut work, &first).await;
        let again = self.is_idempotent() && delivered.as_ref().is_some_and(is_refusal);
        if again {
            delivered = self.deliver(&mut work, &last).await;
        }
        self.work = Some(work);
        match delivered {
            Some(Delivered::Kept { lost }) if lost.is_empty() => {
                self.trust_again();
                if !again {
                    self.accepted(first, &[]).await;
                }
                // The last row is sent again in its turn, which does no harm.
            }
            Some(Delivered::Failed { failure, .. }) if !is_about_rows(&failure) => {
                self.stand_back(&failure);
            }
            Some(Delivered::Failed { failure, .. }) => self.pause_refused(&failure.code),
            Some(Delivered::Kept { .. } | Delivered::Unclear) => self.pause_refused(NOT_KEPT),
            None => {}
        }
    }

    fn is_idempotent(&self) -> bool {
        self.shape.as_ref().is_some_and(|shape| shape.idempotent)
    }
}

fn is_refusal(delivered: &Delivered) -> bool {
    match delivered {
        Delivered::Kept { lost } => !lost.is_empty(),
        Delivered::Unclear => true,
        Delivered::Failed { failure, .. } => is_about_rows(failure),
    }
}

/// Whether an answer is about the row and nothing else, or may be: a preflight has just passed.
fn is_about_rows(failure: &Failure) -> bool {
    match failure.class {
        Class::Poison | Class::Dependency | Class::Size | Class::Suspect | Class::Auth => true,
        Class::Schema => failure.is_of_a_gateway(),
        Class::Done | Class::Transient | Class::TimedOut | Class::ReadOnly => false,
    }
}
