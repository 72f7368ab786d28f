//! What follows from an answer: the mark moves, a row becomes a dead letter, the lane stands back.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use boboyka_store::{DeadLetter, Mark, WriteError};

use super::{Lane, Pause};
use crate::backoff;
use crate::classify::Class;
use crate::failure::Failure;
use crate::status::{LaneState, as_ms};
use crate::verdict::{self, Verdict};

/// The wait before a mark that the store had no room for is offered again.
const STORE_BUSY_DELAY: Duration = Duration::from_millis(100);

impl Lane {
    /// The rows are in the table.
    pub(super) async fn accepted(&mut self, part: Range<usize>) {
        self.trust_again();
        self.limit.passed();
        self.counters.count_rows(part.len());
        let Some(seq) = self.settle(&part) else {
            return;
        };
        let mark = self.mark();
        let mirrored = mark.mirrored + part.len() as u64;
        // Those who wait for the row need not wait for the mark to be durable: a mark that is lost
        // sends rows again, no more.
        self.view.send_modify(|view| view.passed = seq);
        self.persist(
            Mark {
                seq,
                mirrored,
                ..mark
            },
            Vec::new(),
        )
        .await;
    }

    /// The request failed.
    pub(super) async fn failed(&mut self, part: Range<usize>, body_len: usize, failure: &Failure) {
        match self.patience.verdict(failure, part.len(), body_len) {
            Verdict::Accept => self.accepted(part).await,
            Verdict::Split => self.split(&part),
            Verdict::Shrink => self.shrink(&part, body_len),
            Verdict::SuspectSize => {
                if !self.look_at_table().await {
                    return;
                }
                if part.len() > 1 {
                    self.shrink(&part, body_len);
                } else {
                    self.dead_letter(part, failure).await;
                }
            }
            Verdict::DeadLetter => self.dead_letter(part, failure).await,
            Verdict::BackOff => self.back_off(failure),
            Verdict::Await => {
                self.breaker.answered();
                let delay = verdict::dependency_delay(fastrand::f64());
                self.pause(
                    LaneState::BackingOff,
                    failure.message.as_str().into(),
                    delay,
                );
            }
            Verdict::PauseSchema if !self.shape_disputed => {
                // The table has changed since the preflight: the next one may find what still fits.
                self.shape_disputed = true;
                self.shape = None;
            }
            Verdict::Slow | Verdict::PauseAuth | Verdict::PauseSchema => self.stand_back(failure),
        }
    }

    /// Something was accepted: Supabase works, and the table takes rows.
    pub(super) fn trust_again(&mut self) {
        self.breaker.answered();
        self.failures = 0;
        self.patience.accepted();
        self.guard.accepted();
        self.refused = false;
        self.shape_disputed = false;
        self.resume();
    }

    /// The pause is over.
    pub(super) fn resume(&mut self) {
        if self.pause.take().is_some() {
            let table = self.table();
            tracing::info!(table, "lane {table} mirrors again");
            self.show();
        }
    }

    /// Waits as a failure demands that no row is to blame for.
    pub(super) fn stand_back(&mut self, failure: &Failure) {
        let reason: Arc<str> = failure.message.as_str().into();
        let settings = *self.settings.borrow();
        let (state, delay) = match failure.class {
            Class::Transient => return self.back_off(failure),
            Class::ReadOnly => (
                LaneState::BackingOff,
                verdict::read_only_delay(fastrand::f64()),
            ),
            Class::Auth => (LaneState::AuthFailed, settings.auth_recheck),
            // The last four can't be told by rows when none were sent: it is the table.
            Class::Schema | Class::Done | Class::Size | Class::Poison | Class::Dependency => {
                (LaneState::SchemaMismatch, settings.schema_recheck)
            }
        };
        self.breaker.answered();
        self.shape = None;
        self.shape_disputed = false;
        self.pause(state, reason, delay);
    }

    pub(super) fn pause_refused(&mut self, code: &str) {
        let recheck = self.settings.borrow().refused_recheck;
        let reason = format!("table {} refuses every record ({code})", self.table());
        self.refused = true;
        self.breaker.answered();
        self.pause(LaneState::Refused, reason.into(), recheck);
    }

    fn back_off(&mut self, failure: &Failure) {
        self.failures = self.failures.saturating_add(1);
        let delay = backoff::delay(self.failures, fastrand::f64(), failure.retry_after);
        self.breaker.failed(Instant::now(), delay);
        let state = if self.breaker.is_open() {
            LaneState::Open
        } else {
            LaneState::BackingOff
        };
        self.pause(state, failure.message.as_str().into(), delay);
    }

    fn pause(&mut self, state: LaneState, reason: Arc<str>, delay: Duration) {
        let same = self
            .pause
            .as_ref()
            .is_some_and(|was| was.state == state && was.reason == reason);
        if !same {
            let (table, state) = (self.table(), state.name());
            tracing::warn!(table, state, %reason, "lane {table} waits: {reason}");
        }
        self.pause = Some(Pause {
            state,
            reason,
            until: Instant::now() + delay,
        });
        self.show();
    }

    fn split(&mut self, part: &Range<usize>) {
        self.breaker.answered();
        if let Some(work) = self.work.as_mut() {
            work.split(part);
        }
    }

    fn shrink(&mut self, part: &Range<usize>, body_len: usize) {
        self.limit.shrink(part.len(), body_len);
        self.split(part);
    }

    /// The row is never accepted: it is set aside, and the lane goes on.
    async fn dead_letter(&mut self, part: Range<usize>, failure: &Failure) {
        self.breaker.answered();
        let Some(row) = self
            .work
            .as_ref()
            .and_then(|work| work.batch.row(part.start))
        else {
            return;
        };
        let (table, seq) = (self.table(), row.seq);
        let (code, message) = (failure.code.as_str(), failure.message.as_str());
        tracing::warn!(
            table,
            seq,
            code,
            message,
            "supabase refuses record {seq}: {code}"
        );
        let letter = DeadLetter {
            record_type: self.record_type,
            seq,
            record_hash: row.hash,
            code: failure.code.clone(),
            message: failure.message.clone(),
            attempts: self.patience.tries(),
            since_ms: now_ms(),
        };
        self.patience.dead_lettered();
        let Some(seq) = self.settle(&part) else {
            return;
        };
        let mark = self.mark();
        let dead_lettered = mark.dead_lettered + 1;
        self.persist(
            Mark {
                seq,
                dead_lettered,
                ..mark
            },
            vec![letter],
        )
        .await;
        self.view.send_modify(|view| view.passed = seq);
        if self.guard.refused(code) {
            self.pause_refused(code);
        } else {
            self.resume();
        }
    }

    /// Takes the rows off the work at hand; the seq up to which the lane is settled then.
    fn settle(&mut self, part: &Range<usize>) -> Option<u64> {
        let work = self.work.as_mut()?;
        let seq = work.seq_after(part);
        work.settle(part);
        let oldest_ms = work.oldest().map(|row| row.ms);
        if work.is_done() {
            self.work = None;
        }
        self.view.send_modify(|view| view.oldest_ms = oldest_ms);
        Some(seq)
    }

    /// Makes the mark durable, with what became a dead letter on the way. A store that is busy or
    /// full is asked again; one that has stopped ends the lane's work, since nothing more can be kept.
    pub(super) async fn persist(&mut self, mark: Mark, dead: Vec<DeadLetter>) {
        loop {
            match self
                .store
                .advance(self.record_type, mark, dead.clone())
                .await
            {
                Ok(()) => return,
                Err(WriteError::QueueFull | WriteError::DiskFull { .. }) => {
                    tokio::time::sleep(STORE_BUSY_DELAY).await;
                    if self.shutdown.is_cancelled() {
                        return;
                    }
                }
                Err(WriteError::Poisoned | WriteError::Closed) => {
                    return self.shutdown.cancelled().await;
                }
            }
        }
    }
}

pub(super) fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, as_ms)
}
