//! Dead letters sent again because somebody asked for it: what the table takes now is no dead letter
//! any more, what it refuses stays one. New records of the lane wait meanwhile, for a bounded time.

use std::ops::Range;
use std::time::{Duration, Instant};

use boboyka_store::{DeadLetter, ReadError, WriteError};
use boboyka_strand::Seq;
use futures_util::future::try_join_all;

use super::settle::now_ms;
use super::turn::LoadError;
use super::work::Work;
use super::{Lane, Retry};
use crate::RetryReport;
use crate::failure::Failure;
use crate::row::Batch;
use crate::verdict::Verdict;

/// Longer a replay does not keep the lane from new records; the next one goes on where it stopped.
const REPLAY_MAX: Duration = Duration::from_secs(20);

/// Dead letters read and sent at a time: the rows of one page are in memory together.
const PAGE_ROWS: usize = 100;

/// Why a replay went no further.
struct Stopped;

impl Lane {
    /// Wakes the lane whatever it waits for, and replays its dead letters.
    pub(super) async fn retry(&mut self, retry: Retry) {
        let mut report = RetryReport::default();
        self.hurry();
        let phase_known = self.store.phase().is_some();
        if self.supabase.is_some() && phase_known && self.look_at_table().await {
            if !self.refused {
                self.resume();
            }
            if self.replay(&mut report).await.is_ok() {
                self.replayed_to = 0;
            }
        }
        self.show();
        // Whoever asked may have gone.
        let _ = retry.reply.send(report);
    }

    async fn replay(&mut self, report: &mut RetryReport) -> Result<(), Stopped> {
        let deadline = Instant::now() + REPLAY_MAX;
        loop {
            let (letters, batch) = self.page().await.map_err(|error| {
                let table = self.table();
                let error = &error as &dyn std::error::Error;
                tracing::error!(table, error, "the dead letters of {table} can't be read");
                Stopped
            })?;
            let Some(last) = letters.last().map(|letter| letter.seq) else {
                return Ok(());
            };
            let mut work = Work::new(batch, last);
            while !work.is_done() {
                if Instant::now() >= deadline || self.shutdown.is_cancelled() {
                    return Err(Stopped);
                }
                self.send_again(&mut work, &letters, report).await?;
            }
            self.replayed_to = last;
        }
    }

    /// The next dead letters and their rows. A record that retention took is left out.
    async fn page(&self) -> Result<(Vec<DeadLetter>, Batch), LoadError> {
        let (store, record_type) = (self.store.clone(), self.record_type);
        let after: Seq = self.replayed_to;
        let read = move || {
            let letters = store.dead_letters(record_type, after, PAGE_ROWS)?;
            let mut blocks = Vec::with_capacity(letters.len());
            for letter in &letters {
                match store.block(letter.seq) {
                    Ok(block) => blocks.extend(block),
                    Err(ReadError::Pruned { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Ok((letters, Batch::render(store.strand_id(), &blocks)?))
        };
        tokio::task::spawn_blocking(read).await?
    }

    async fn send_again(
        &mut self,
        work: &mut Work,
        letters: &[DeadLetter],
        report: &mut RetryReport,
    ) -> Result<(), Stopped> {
        let part = work.next(&self.limit);
        let body = work.batch.body(part.clone());
        let body_len = body.len();
        let failure = match self.insert(body).await.ok_or(Stopped)? {
            Ok(()) => return self.resolve(work, part, report).await,
            Err(failure) => failure,
        };
        match self.patience.verdict(&failure, part.len(), body_len) {
            Verdict::Accept => self.resolve(work, part, report).await,
            Verdict::Split => {
                work.split(&part);
                Ok(())
            }
            Verdict::Shrink => {
                self.limit.shrink(part.len(), body_len);
                Ok(())
            }
            Verdict::DeadLetter | Verdict::Await => {
                self.refuse_again(work, part, letters, &failure, report)
                    .await
            }
            Verdict::SuspectSize
            | Verdict::BackOff
            | Verdict::Slow
            | Verdict::PauseAuth
            | Verdict::PauseSchema => {
                self.stand_back(&failure);
                Err(Stopped)
            }
        }
    }

    async fn resolve(
        &mut self,
        work: &mut Work,
        part: Range<usize>,
        report: &mut RetryReport,
    ) -> Result<(), Stopped> {
        self.trust_again();
        self.counters.count_rows(part.len());
        let rows = work.batch.rows().get(part.clone()).unwrap_or_default();
        let resolved = rows
            .iter()
            .map(|row| self.store.resolve_dead_letter(self.record_type, row.seq));
        // A letter that could not be resolved stays one, and its row is ignored when it is sent again.
        try_join_all(resolved).await.map_err(stopped)?;
        report.retried += part.len() as u64;
        report.mirrored += part.len() as u64;
        work.settle(&part);
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
        self.patience.dead_lettered();
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
        self.store
            .replace_dead_letter(letter)
            .await
            .map_err(stopped)?;
        report.retried += 1;
        report.dead_lettered += 1;
        work.settle(&part);
        Ok(())
    }
}

fn stopped(error: WriteError) -> Stopped {
    tracing::warn!(%error, "dead letters could not be updated");
    Stopped
}
