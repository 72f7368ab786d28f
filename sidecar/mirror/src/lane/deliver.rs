//! A part of a batch on its way to the table, and what came of it: also that a table accepts rows and
//! keeps none of them, which only the count of an answer tells.

use std::future::Future;
use std::ops::Range;
use std::time::Instant;

use super::doubt::Doubt;
use super::task::{GRACE, Lane};
use super::work::Work;
use crate::classify::Class;
use crate::failure::Failure;
use crate::preflight::Shape;
use crate::request::Request;
use crate::row::RowMeta;
use crate::supabase::{Conflict, Target};
use crate::table::Mode;

/// Hashes in the URL of one question: each has 64 digits, and gateways accept 8 KiB.
const HASHES_MAX: usize = 100;

/// What became of a part.
#[derive(Debug)]
pub(super) enum Delivered {
    /// The table has its rows, but for these: it accepted them and kept nothing.
    Kept {
        /// By their index in the batch.
        lost: Vec<usize>,
    },
    /// The table kept fewer rows than it got, and only smaller parts tell which.
    Unclear,
    /// A request failed.
    Failed {
        /// How.
        failure: Failure,
        /// The length of its body.
        body_len: usize,
    },
}

impl Lane {
    /// Sends a part; `None` when the process ends or the credentials change first.
    pub(super) async fn deliver(
        &mut self,
        work: &mut Work,
        part: &Range<usize>,
    ) -> Option<Delivered> {
        let shape = self.shape.clone()?;
        let mut lost = Vec::new();
        for request in work.requests(part, &shape) {
            let (sent, body_len) = (Instant::now(), request.body.len());
            let kept = match self.insert(&shape, &request).await {
                Some(Ok(kept)) => kept,
                Some(Err(failure)) => {
                    if failure.ambiguous {
                        self.doubt(work, part, &shape, sent);
                    }
                    return Some(Delivered::Failed { failure, body_len });
                }
                None => {
                    self.doubt(work, part, &shape, sent);
                    return None;
                }
            };
            work.store(&request);
            if kept.is_none_or(|kept| kept >= request.rows.len() as u64) {
                continue;
            }
            match self.missing(work, &request, &shape).await? {
                Ok(Some(missing)) => lost.extend(missing),
                Ok(None) => return Some(Delivered::Unclear),
                Err(failure) => return Some(Delivered::Failed { failure, body_len }),
            }
        }
        // Where sending again does no harm, a part that was lost as a whole is looked at row by row.
        let all = !lost.is_empty() && (shape.mode == Mode::Latest || lost.len() == part.len());
        if all && shape.idempotent && part.len() > 1 {
            return Some(Delivered::Unclear);
        }
        Some(Delivered::Kept { lost })
    }

    fn doubt(&mut self, work: &Work, part: &Range<usize>, shape: &Shape, sent: Instant) {
        if shape.mode == Mode::Latest && !shape.guarded {
            let newest = last_seq(work, part);
            let earlier = self
                .doubt
                .filter(|doubt| doubt.holds(newest + 1, sent).is_some());
            self.doubt = Some(Doubt::of(earlier, newest, sent));
        }
    }

    /// Which rows of a request the table did not keep, since it kept fewer than it got; `None` when
    /// that can't be told.
    async fn missing(
        &mut self,
        work: &Work,
        request: &Request,
        shape: &Shape,
    ) -> Option<Result<Option<Vec<usize>>, Failure>> {
        if shape.guarded {
            // A newer state was there, and stays.
            return Some(Ok(Some(Vec::new())));
        }
        let rows: Vec<(usize, RowMeta)> = request
            .rows
            .iter()
            .filter_map(|row| Some((*row, work.batch.row(*row)?)))
            .collect();
        if shape.has(&self.layout.own.record_hash) {
            match self.ask_for(&rows).await? {
                Ok(missing) => return Some(Ok(Some(missing))),
                Err(failure) if failure.class == Class::Transient => return Some(Err(failure)),
                // Without the right to read, the count is all there is.
                Err(_) => {}
            }
        }
        Some(Ok(match (shape.mode, rows.len()) {
            // Most likely they were there already.
            (Mode::Append, _) if shape.idempotent => Some(Vec::new()),
            (_, 1) => Some(request.rows.clone()),
            (Mode::Latest, _) => None,
            (Mode::Append, rows) => {
                let table = self.table();
                tracing::warn!(%table, rows, "table {table} kept fewer rows than it got, and does not tell which");
                self.limit.shrink(1, request.body.len());
                Some(Vec::new())
            }
        }))
    }

    /// Which of these rows the table has not.
    pub(super) async fn ask_for(
        &self,
        rows: &[(usize, RowMeta)],
    ) -> Option<Result<Vec<usize>, Failure>> {
        let supabase = self.supabase.clone()?;
        let (table, column) = (self.table(), &self.layout.own.record_hash);
        let mut missing = Vec::new();
        for rows in rows.chunks(HASHES_MAX) {
            let hashes: Vec<String> = rows.iter().map(|(_, row)| row.hash.to_string()).collect();
            match self.call(supabase.present(&table, column, &hashes)).await? {
                Ok(present) => missing.extend(
                    rows.iter()
                        .filter(|(_, row)| !present.contains(&row.hash.to_string()))
                        .map(|(at, _)| *at),
                ),
                Err(failure) => return Some(Err(failure)),
            }
        }
        Some(Ok(missing))
    }

    async fn insert(
        &self,
        shape: &Shape,
        request: &Request,
    ) -> Option<Result<Option<u64>, Failure>> {
        let supabase = self.supabase.clone()?;
        let target = Target {
            table: &self.layout.table,
            columns: &request.columns,
            conflict: match shape.mode {
                Mode::Latest => Conflict::Merge(&shape.key),
                Mode::Append if shape.idempotent => Conflict::Ignore(&self.layout.own.record_hash),
                Mode::Append => Conflict::None,
            },
        };
        self.call(supabase.insert(target, request.body.clone()))
            .await
    }

    /// Waits for the answer to a request. When that takes longer than an ingest waits, the lane's view
    /// says so, and no ingest waits until there is an answer again.
    pub(super) async fn call<T>(
        &self,
        request: impl Future<Output = Result<T, Failure>>,
    ) -> Option<Result<T, Failure>> {
        let shutdown = self.shutdown.clone();
        let ended = async {
            shutdown.cancelled().await;
            tokio::time::sleep(GRACE).await;
        };
        let patience = self.settings.borrow().ack_timeout;
        let overdue = async {
            tokio::time::sleep(patience).await;
            self.view.send_modify(|view| view.is_hanging = true);
            std::future::pending::<()>().await;
        };
        // A request that hangs with the old key must not hold the new one up. Its rows may have been
        // stored, so it is given up only where sending them again does no harm.
        let mut configured = self.configured.clone();
        let may_give_up = self.shape.as_ref().is_none_or(|shape| shape.idempotent);
        tokio::select! {
            result = request => {
                let failure = result.as_ref().err();
                self.counters.count(failure.map_or(Class::Done, |failure| failure.class));
                if failure.is_none_or(Failure::is_answer) {
                    self.view.send_if_modified(|view| std::mem::take(&mut view.is_hanging));
                }
                Some(result)
            }
            () = ended => None,
            () = overdue => None,
            Ok(()) = configured.changed(), if may_give_up => None,
        }
    }
}

/// The newest record of a part.
pub(super) fn last_seq(work: &Work, part: &Range<usize>) -> u64 {
    let last = part
        .end
        .checked_sub(1)
        .and_then(|last| work.batch.row(last));
    last.map_or(0, |row| row.seq)
}
