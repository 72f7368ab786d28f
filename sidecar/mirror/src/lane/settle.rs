//! What follows from an answer: the mark moves, a row becomes a dead letter, the lane stands back.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use boboyka_store::{DeadLetter, Mark, WriteError, causes, now_ms};
use boboyka_strand::Seq;
use futures_util::future::try_join_all;

use super::deliver::Delivered;
use super::task::{Lane, Pause};
use crate::backoff;
use crate::classify::{Class, is_final};
use crate::disposition::{self, Disposition};
use crate::failure::Failure;
use crate::request::key_of;
use crate::row::RowMeta;
use crate::status::LaneState;
use crate::table::Mode;

/// The first wait after a refused key or grant: a clock that is a second off, or a gateway's hiccup,
/// passes by itself.
const AUTH_RECHECK_MIN: Duration = Duration::from_secs(1);

/// The wait before a mark that the store had no room for is offered again.
const STORE_BUSY_DELAY: Duration = Duration::from_millis(100);

impl Lane {
    /// What follows from an answer.
    pub(super) async fn settle_part(&mut self, part: Range<usize>, delivered: Delivered) {
        match delivered {
            Delivered::Kept { lost } if lost.len() == part.len() => {
                self.refuse(part, &Failure::not_kept()).await;
            }
            Delivered::Kept { lost } => self.accepted(part, &lost).await,
            Delivered::Unclear => self.split(&part),
            Delivered::Failed { failure, body_len } => self.failed(part, body_len, &failure).await,
        }
    }

    /// The rows are in the table, but for those that it did not keep.
    pub(super) async fn accepted(&mut self, part: Range<usize>, lost: &[usize]) {
        self.trust_again();
        self.limit.passed();
        self.counters.count_rows(part.len() - lost.len());
        if !self.supersede_at_hand().await {
            return;
        }
        let mut letters = Vec::new();
        for at in lost {
            letters.extend(self.letter(*at, &Failure::not_kept()));
        }
        let Some(seq) = self.settle(&part) else {
            return;
        };
        let mark = self.mark();
        let mirrored = mark.mirrored + (part.len() - letters.len()) as u64;
        // Those who wait for the row need not wait for the mark to be durable: a mark that is lost
        // sends rows again, no more. Of a lost one they are told once its letter is there.
        if letters.is_empty() {
            self.view.send_modify(|view| view.passed = seq);
        }
        self.persist(
            Mark {
                seq,
                mirrored,
                ..mark
            },
            letters,
        )
        .await;
        self.view.send_modify(|view| view.passed = seq);
    }

    /// Dead letters older than the stored states of their keys are moot, and resolved before the mark
    /// passes those; whether that is durable.
    async fn supersede_at_hand(&mut self) -> bool {
        let Some(work) = self.work.as_ref() else {
            return true;
        };
        let Some(asides) = self.asides.as_ref().filter(|asides| !asides.is_empty()) else {
            return true;
        };
        let stored = work.stored().iter();
        let moot = stored
            .flat_map(|(key, seq)| asides.superseded(key, *seq))
            .collect();
        self.resolve(moot).await
    }

    /// These are no dead letters any more; whether that is durable.
    pub(super) async fn resolve(&mut self, letters: Vec<Seq>) -> bool {
        let resolved = letters.iter().map(|seq| {
            self.store
                .resolve_dead_letter(self.era, self.record_type, *seq)
        });
        // A letter that could not be resolved stays one, and its row is ignored when it is sent again.
        if let Err(error) = try_join_all(resolved).await {
            tracing::warn!(error = causes(&error), "could not update dead letters");
            return false;
        }
        if let Some(asides) = self.asides.as_mut() {
            for seq in letters {
                asides.remove(seq);
            }
        }
        true
    }

    /// The request failed.
    async fn failed(&mut self, part: Range<usize>, body_len: usize, failure: &Failure) {
        match self.patience.disposition(failure, part.len(), body_len) {
            Disposition::Accept => self.accepted(part, &[]).await,
            Disposition::Split => self.split(&part),
            Disposition::Shrink => self.shrink(&part, body_len),
            Disposition::Ask => self.blame(part, body_len, failure).await,
            Disposition::Refuse => self.refuse(part, failure).await,
            Disposition::BackOff => self.back_off(failure),
            Disposition::PauseSchema if !self.shape_disputed => {
                // The table has changed since the preflight: the next one may find what still fits.
                self.shape_disputed = true;
                self.shape = None;
            }
            Disposition::PauseSchema if failure.is_of_a_gateway() => {
                self.blame(part, body_len, failure).await;
            }
            Disposition::Slow | Disposition::PauseSchema => self.stand_back(failure),
        }
    }

    /// Sees by a preflight whether Supabase takes requests of this lane. If it does, the failure is
    /// about the rows, and the part is cut until one row is left.
    async fn blame(&mut self, part: Range<usize>, body_len: usize, failure: &Failure) {
        if !self.look_at_table().await {
            return;
        }
        let is_large = failure.reset || failure.class == Class::TimedOut;
        match part.len() {
            0 | 1 => self.refuse(part, failure).await,
            _ if is_large => self.shrink(&part, body_len),
            _ => self.split(&part),
        }
    }

    /// Something was accepted: Supabase works, and the table takes rows.
    pub(super) fn trust_again(&mut self) {
        self.breaker.answered();
        self.failures = 0;
        self.patience.settled();
        self.guard.accepted();
        self.refused = false;
        self.shape_disputed = false;
        self.resume();
    }

    /// The pause is over.
    pub(super) fn resume(&mut self) {
        if self.pause.take().is_some() {
            let table = self.table();
            tracing::info!(%table, "lane {table} mirrors again");
            self.show();
        }
    }

    /// Waits after a failure that no row caused.
    pub(super) fn stand_back(&mut self, failure: &Failure) {
        let reason: Arc<str> = self.explained(failure);
        let settings = self.settings.borrow().clone();
        let (state, delay) = match failure.class {
            Class::Transient | Class::TimedOut | Class::Suspect => return self.back_off(failure),
            Class::ReadOnly => (
                LaneState::BackingOff,
                disposition::read_only_delay(fastrand::f64()),
            ),
            Class::Auth => {
                self.auth_failures = self.auth_failures.saturating_add(1);
                let (tries, max) = (self.auth_failures, settings.auth_recheck);
                let delay = backoff::growing(AUTH_RECHECK_MIN, max, tries, fastrand::f64());
                (LaneState::AuthFailed, delay)
            }
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

    /// The failure's words, with what the key itself tells of why it is refused.
    fn explained(&self, failure: &Failure) -> Arc<str> {
        let flaw = self
            .supabase
            .as_ref()
            .and_then(|supabase| supabase.key_flaw(now_ms()));
        match flaw {
            Some(flaw) if failure.class == Class::Auth => {
                format!("{}: {flaw}", failure.message).into()
            }
            _ => failure.message.as_str().into(),
        }
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
            tracing::warn!(%table, state, %reason, "lane {table} waits: {reason}");
        }
        self.pause = Some(Pause {
            state,
            reason,
            until: Instant::now() + delay,
        });
        self.show();
    }

    pub(super) fn split(&mut self, part: &Range<usize>) {
        self.breaker.answered();
        if let Some(work) = self.work.as_mut() {
            work.split(part);
        }
    }

    fn shrink(&mut self, part: &Range<usize>, body_len: usize) {
        self.limit.shrink(part.len(), body_len);
        self.split(part);
    }

    /// The row is refused, and the lane goes on: a dead letter, or one that is sent again by itself.
    async fn refuse(&mut self, part: Range<usize>, failure: &Failure) {
        self.breaker.answered();
        let Some(letter) = self.letter(part.start, failure) else {
            return;
        };
        self.patience.settled();
        let Some(seq) = self.settle(&part) else {
            return;
        };
        let mark = self.mark();
        self.persist(Mark { seq, ..mark }, vec![letter]).await;
        self.view.send_modify(|view| view.passed = seq);
        if self.guard.refused(&failure.code) {
            self.pause_refused(&failure.code);
        } else {
            self.resume();
        }
    }

    /// The dead letter of a row at hand.
    fn letter(&mut self, at: usize, failure: &Failure) -> Option<DeadLetter> {
        let row = self.work.as_ref()?.batch.row(at)?;
        let (table, seq) = (self.table(), row.seq);
        let (code, message) = (failure.code.as_str(), failure.message.as_str());
        let again = !is_final(code);
        tracing::warn!(
            %table,
            seq,
            code,
            message,
            again,
            "supabase refuses record {seq} for table {table}: {message}"
        );
        self.add_aside(at, row, again);
        Some(DeadLetter {
            record_type: self.record_type,
            seq,
            record_hash: row.hash,
            code: failure.code.clone(),
            message: failure.message.clone(),
            attempts: self.patience.tries().max(1),
            since_ms: now_ms(),
        })
    }

    fn add_aside(&mut self, at: usize, row: RowMeta, again: bool) {
        let shape = self
            .shape
            .as_ref()
            .filter(|shape| shape.mode == Mode::Latest);
        let work = self.work.as_ref();
        let key = shape
            .zip(work)
            .and_then(|(shape, work)| key_of(work.batch.json(at), &shape.key));
        let again = again.then(|| Instant::now() + super::aside::PAUSE_MIN);
        if let Some(asides) = self.asides.as_mut() {
            asides.add(row.seq, row.ms, key, again);
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
                .advance_in(self.era, self.record_type, mark, dead.clone())
                .await
            {
                Ok(()) => return,
                Err(
                    WriteError::QueueFull
                    | WriteError::TailFull
                    | WriteError::DiskFull { .. }
                    | WriteError::DiskFullOnHold { .. },
                ) => {
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
