//! Dead letters sent again: all of them because somebody asked for it, or those whose refusal may pass,
//! by themselves. What the table takes now is no dead letter any more, what it refuses stays one. New
//! records of the lane wait meanwhile, for a bounded time.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use boboyka_store::{DeadLetter, ReadError, Store, causes, now_ms};
use boboyka_strand::{Block, RecordType, Seq};

use super::aside::Asides;
use super::deliver::Delivered;
use super::task::Lane;
use super::turn::LoadError;
use super::work::Work;
use crate::classify::is_final;
use crate::disposition::Disposition;
use crate::failure::Failure;
use crate::request::key_of;
use crate::retry::{Retry, RetryReport};
use crate::row::Batch;
use crate::table::{Layout, Mode};

/// Longer a replay does not keep the lane from new records; the next one goes on where it stopped.
const REPLAY_MAX: Duration = Duration::from_secs(20);

/// The same for the rows that are sent again by themselves.
const ASIDES_MAX: Duration = Duration::from_millis(500);

/// The longest rest after them: waiting for a request that hung kept the lane from little.
const ASIDES_REST_MAX: Duration = Duration::from_mins(1);

/// Dead letters read and sent at a time: the rows of one page are in memory together.
const PAGE_ROWS: usize = 100;

/// Why a replay went no further.
struct Stopped;

/// Letters, and the rows of those whose record is still there.
type Page = (Vec<DeadLetter>, Batch);

impl Lane {
    /// Wakes the lane whatever it waits for, and replays its dead letters.
    pub(super) async fn retry(&mut self, retry: Retry) {
        let mut report = RetryReport::default();
        self.keep_up();
        self.hurry();
        let phase_known = self.store.view().phase.is_some();
        if self.supabase.is_some()
            && phase_known
            && self.look_at_table().await
            && self.find_asides().await
        {
            if !self.refused {
                self.resume();
            }
            if self.replay(&mut report).await.is_ok() {
                self.replayed_to = 0;
            }
        }
        self.show();
        // The caller may have gone.
        let _ = retry.reply.send(report);
    }

    async fn replay(&mut self, report: &mut RetryReport) -> Result<(), Stopped> {
        let deadline = Instant::now() + REPLAY_MAX;
        loop {
            let after = self.replayed_to;
            let page = self.page(move |store, lane| store.dead_letters(lane, after, PAGE_ROWS));
            let (letters, batch) = page.await?;
            let Some(last) = letters.last().map(|letter| letter.seq) else {
                return Ok(());
            };
            let mut work = Work::new(batch, last);
            while !work.is_done() {
                self.send_again(&mut work, &letters, deadline, report)
                    .await?;
            }
            self.replayed_to = last;
        }
    }

    /// Sends those refused rows again that are due.
    pub(super) async fn replay_asides(&mut self) {
        let begun = Instant::now();
        let due = self
            .asides
            .as_ref()
            .map_or_else(Vec::new, |asides| asides.due(begun, PAGE_ROWS));
        // A row is gone that somebody's retry stored, or that retention took.
        let wanted = due.clone();
        let page = self.page(move |store, lane| {
            let letters = wanted.iter().map(|seq| store.dead_letter(lane, *seq));
            letters.filter_map(Result::transpose).collect()
        });
        if let Ok((letters, batch)) = page.await {
            let there = |seq: &Seq| batch.rows().iter().any(|row| row.seq == *seq);
            if let Some(asides) = self.asides.as_mut() {
                due.iter()
                    .filter(|seq| !there(seq))
                    .for_each(|seq| asides.remove(*seq));
            }
            let mut work = Work::new(batch, 0);
            let mut report = RetryReport::default();
            let deadline = begun + ASIDES_MAX;
            while !work.is_done()
                && self
                    .send_again(&mut work, &letters, deadline, &mut report)
                    .await
                    .is_ok()
            {}
        }
        // New records get most of the time.
        let rest = (4 * begun.elapsed()).clamp(ASIDES_MAX, ASIDES_REST_MAX);
        self.asides_rest = Instant::now() + rest;
        self.show();
    }

    pub(super) fn are_asides_due(&self, now: Instant) -> bool {
        self.asides_due_at().is_some_and(|at| at <= now)
    }

    /// When the next of the refused rows is sent again.
    pub(super) fn asides_due_at(&self) -> Option<Instant> {
        let next = self.asides.as_ref().and_then(Asides::next);
        next.map(|next| next.max(self.asides_rest))
    }

    /// Looks which rows were refused before the start, once; whether that worked.
    pub(super) async fn find_asides(&mut self) -> bool {
        if self.asides.is_some() {
            return true;
        }
        let shape = self
            .shape
            .clone()
            .filter(|shape| shape.mode == Mode::Latest);
        let (mut found, mut after) = (Asides::default(), 0);
        while self.mark().dead_lettered > 0 {
            let page = self.page(move |store, lane| store.dead_letters(lane, after, PAGE_ROWS));
            let Ok((letters, batch)) = page.await else {
                return false;
            };
            let Some(last) = letters.last() else { break };
            after = last.seq;
            for (at, row) in batch.rows().iter().enumerate() {
                let letter = letters.iter().find(|letter| letter.seq == row.seq);
                let again = letter.is_some_and(|letter| !is_final(&letter.code));
                let key = shape
                    .as_ref()
                    .and_then(|shape| key_of(batch.json(at), &shape.key));
                found.add(row.seq, row.ms, key, again.then(Instant::now));
            }
        }
        self.asides = Some(found);
        true
    }

    /// Some dead letters and their rows. A record that retention took is left out.
    async fn page(
        &mut self,
        letters: impl FnOnce(&Store, RecordType) -> Result<Vec<DeadLetter>, ReadError> + Send + 'static,
    ) -> Result<Page, Stopped> {
        let (store, record_type) = (self.store.clone(), self.record_type);
        let layout = Arc::clone(&self.layout);
        let read = move || {
            let letters = letters(&store, record_type)?;
            let blocks = blocks_of(&store, &letters)?;
            Ok((letters, render(&layout, &store, &blocks)?))
        };
        let read = tokio::task::spawn_blocking(read).await;
        let page = read.map_err(LoadError::from).and_then(|page| page);
        page.map_err(|error| {
            self.pause_unreadable(&error);
            Stopped
        })
    }

    async fn send_again(
        &mut self,
        work: &mut Work,
        letters: &[DeadLetter],
        deadline: Instant,
        report: &mut RetryReport,
    ) -> Result<(), Stopped> {
        if Instant::now() >= deadline || self.shutdown.is_cancelled() {
            return Err(Stopped);
        }
        let part = work.next(&self.limit);
        let (failure, body_len) = match self.deliver(work, &part).await.ok_or(Stopped)? {
            Delivered::Kept { lost } if lost.is_empty() => {
                return self.stored(work, &part, report).await;
            }
            Delivered::Kept { .. } | Delivered::Unclear => (Failure::not_kept(), 0),
            Delivered::Failed { failure, body_len } => (failure, body_len),
        };
        let mut disposition = self.patience.disposition(&failure, part.len(), body_len);
        if disposition == Disposition::Ask {
            if !self.look_at_table().await {
                return Err(Stopped);
            }
            disposition = if part.len() > 1 {
                Disposition::Split
            } else {
                Disposition::Refuse
            };
        }
        match disposition {
            Disposition::Accept => self.stored(work, &part, report).await,
            Disposition::Refuse => {
                self.refuse_again(work, part, letters, &failure, report)
                    .await
            }
            Disposition::Shrink => {
                self.limit.shrink(part.len(), body_len);
                Ok(())
            }
            Disposition::Split => {
                work.split(&part);
                Ok(())
            }
            Disposition::Ask
            | Disposition::BackOff
            | Disposition::Slow
            | Disposition::PauseSchema => {
                self.stand_back(&failure);
                Err(Stopped)
            }
        }
    }

    /// The table has the rows of a part: they, and the older ones of their keys, are no dead letters
    /// any more.
    async fn stored(
        &mut self,
        work: &mut Work,
        part: &Range<usize>,
        report: &mut RetryReport,
    ) -> Result<(), Stopped> {
        self.trust_again();
        self.counters.count_rows(part.len());
        let rows = work.batch.rows().get(part.clone()).unwrap_or_default();
        let mut letters: Vec<Seq> = rows.iter().map(|row| row.seq).collect();
        if let Some(asides) = &self.asides {
            let stored = work.stored().iter();
            letters.extend(stored.flat_map(|(key, seq)| asides.superseded(key, *seq)));
            letters.sort_unstable();
            letters.dedup();
        }
        if !self.resolve(letters).await {
            return Err(Stopped);
        }
        report.retried += part.len() as u64;
        report.mirrored += part.len() as u64;
        work.settle(part);
        Ok(())
    }

    async fn refuse_again(
        &mut self,
        work: &mut Work,
        part: Range<usize>,
        letters: &[DeadLetter],
        failure: &Failure,
        report: &mut RetryReport,
    ) -> Result<(), Stopped> {
        self.patience.settled();
        let row = work.batch.row(part.start).ok_or(Stopped)?;
        let known = letters.iter().find(|letter| letter.seq == row.seq);
        let letter = DeadLetter {
            record_type: self.record_type,
            seq: row.seq,
            record_hash: row.hash,
            code: failure.code.clone(),
            message: failure.message.clone(),
            attempts: known.map_or(0, |letter| letter.attempts).saturating_add(1),
            since_ms: known.map_or_else(now_ms, |letter| letter.since_ms),
        };
        if let Some(asides) = self.asides.as_mut() {
            let (now, jitter) = (Instant::now(), fastrand::f64());
            asides.refused(row.seq, is_final(&letter.code), now, jitter);
        }
        self.store
            .replace_dead_letter(self.era, letter)
            .await
            .map_err(|error| {
                tracing::warn!(error = causes(&error), "could not update dead letters");
                Stopped
            })?;
        report.retried += 1;
        report.dead_lettered += 1;
        work.settle(&part);
        Ok(())
    }
}

fn blocks_of(store: &Store, letters: &[DeadLetter]) -> Result<Vec<Block>, ReadError> {
    let mut blocks = Vec::with_capacity(letters.len());
    for letter in letters {
        match store.block(letter.seq) {
            Ok(block) => blocks.extend(block.filter(|block| !block.is_gone())),
            Err(ReadError::Lost { .. } | ReadError::Pruned { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(blocks)
}

fn render(layout: &Layout, store: &Store, blocks: &[Block]) -> Result<Batch, LoadError> {
    Ok(Batch::render(layout, store.strand_id(), blocks)?)
}
