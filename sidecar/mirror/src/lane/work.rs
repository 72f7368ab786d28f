//! A batch on its way: which rows are settled, which go next, and how it was split. Rows are settled
//! strictly in order, so the mark can follow. Pure.

use std::collections::HashMap;
use std::ops::Range;

use boboyka_strand::Seq;

use crate::disposition::Limit;
use crate::preflight::Shape;
use crate::request::{self, Key, Request};
use crate::row::{Batch, RowMeta};

/// A batch and how far it came.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) batch: Batch,
    /// All rows before it are settled.
    at: usize,
    /// Where the parts end that are still to be sent, the next one last.
    ends: Vec<usize>,
    /// The lane holds no other record up to here.
    scanned_to: Seq,
    /// Of each key the newest state that the table has from this batch.
    stored: HashMap<Key, Seq>,
}

impl Work {
    pub(super) fn new(batch: Batch, scanned_to: Seq) -> Self {
        Self {
            batch,
            at: 0,
            ends: Vec::new(),
            scanned_to,
            stored: HashMap::new(),
        }
    }

    /// The requests that store a part.
    pub(super) fn requests(&self, part: &Range<usize>, shape: &Shape) -> Vec<Request> {
        request::requests(&self.batch, part, shape, &self.stored)
    }

    /// The table has the rows of a request.
    pub(super) fn store(&mut self, request: &Request) {
        for (key, row) in request.keys.iter().zip(&request.rows) {
            if let Some(row) = self.batch.row(*row)
                && !key.is_empty()
            {
                self.stored.insert(key.clone(), row.seq);
            }
        }
    }

    /// Of each key the newest state that the table has from this batch.
    pub(super) fn stored(&self) -> &HashMap<Key, Seq> {
        &self.stored
    }

    /// The rows to send next; empty when all are settled.
    pub(super) fn next(&mut self, limit: &Limit) -> Range<usize> {
        let wished = self.batch.run_from(self.at, limit.rows(), limit.bytes());
        match self.ends.last() {
            Some(end) if *end <= wished.end => self.at..*end,
            _ => {
                if !wished.is_empty() {
                    self.ends.push(wished.end);
                }
                wished
            }
        }
    }

    /// Sends the first half of a part before the rest of it.
    pub(super) fn split(&mut self, part: &Range<usize>) {
        let middle = part.start + part.len() / 2;
        if middle > part.start {
            self.ends.push(middle);
        }
    }

    /// The part is settled.
    pub(super) fn settle(&mut self, part: &Range<usize>) {
        self.at = part.end;
        while self.ends.last().is_some_and(|end| *end <= self.at) {
            self.ends.pop();
        }
    }

    /// Whether all rows are settled.
    pub(super) fn is_done(&self) -> bool {
        self.at >= self.batch.rows().len()
    }

    /// Up to where everything of the lane is settled, once `part` is.
    pub(super) fn seq_after(&self, part: &Range<usize>) -> Seq {
        if part.end >= self.batch.rows().len() {
            return self.scanned_to;
        }
        part.end
            .checked_sub(1)
            .and_then(|last| self.batch.row(last))
            .map_or(0, |row| row.seq)
    }

    /// The next row alone, and the last one alone.
    pub(super) fn ends(&self) -> (Range<usize>, Range<usize>) {
        let rows = self.batch.rows().len();
        (self.at..rows.min(self.at + 1), rows.saturating_sub(1)..rows)
    }

    /// The last row.
    pub(super) fn last_seq(&self) -> Seq {
        self.batch.rows().last().map_or(0, |row| row.seq)
    }

    /// The oldest row that is not settled.
    pub(super) fn oldest(&self) -> Option<RowMeta> {
        self.batch.row(self.at)
    }
}

#[cfg(test)]
mod tests {
    use boboyka_strand::{Head, Record, RecordType};
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::{Batch, Limit, Work};
    use crate::table::{Layout, TableSettings};

    fn work(rows: u64) -> Work {
        let mut head = Head::EMPTY;
        let blocks: Vec<_> = (0..rows)
            .map(|_| {
                let data = r#"{"agent_id":"a","status":"healthy"}"#;
                let record = Record::from_json(RecordType::AgentHealth, data).unwrap();
                let block = head.link(record, |_| Uuid::nil(), 1);
                head = head.follow(&block).unwrap();
                block
            })
            .collect();
        let layout = Layout::new(RecordType::AgentHealth, &TableSettings::default());
        let batch = Batch::render(&layout, Uuid::nil(), &blocks).unwrap();
        Work::new(batch, rows + 5)
    }

    /// Settles a batch as a table would that refuses some rows; gives back the dead and the marks.
    fn drain(rows: u64, poison: &[usize], limit: Limit) -> (Vec<usize>, Vec<u64>, usize) {
        let mut work = work(rows);
        let (mut dead, mut marks, mut requests) = (Vec::new(), Vec::new(), 0);
        while !work.is_done() {
            let part = work.next(&limit);
            requests += 1;
            let bad = poison.iter().any(|row| part.contains(row));
            if bad && part.len() > 1 {
                work.split(&part);
                continue;
            }
            if bad {
                dead.push(part.start);
            }
            marks.push(work.seq_after(&part));
            work.settle(&part);
        }
        (dead, marks, requests)
    }

    #[test]
    fn one_bad_row_in_a_full_batch_is_found_in_few_requests() {
        let (dead, marks, requests) = drain(500, &[317], Limit::new(500, 1 << 20));
        assert_eq!(dead, [317]);
        assert!(requests <= 20, "{requests}");
        assert_eq!(marks.last(), Some(&505));
    }

    proptest! {
        #[test]
        fn exactly_the_bad_rows_are_dead_and_the_mark_only_rises(
            rows in 1_u64..60,
            poison in proptest::collection::btree_set(0_usize..60, 0..8),
            rows_max in 1_usize..70,
        ) {
            let poison: Vec<usize> =
                poison.into_iter().filter(|row| (*row as u64) < rows).collect();
            let (dead, marks, _) = drain(rows, &poison, Limit::new(rows_max, 1 << 20));
            prop_assert_eq!(dead, poison);
            prop_assert!(marks.is_sorted());
            prop_assert_eq!(marks.last().copied(), Some(rows + 5));
        }
    }

    #[test]
    fn a_limit_that_shrinks_under_way_is_obeyed_at_once() {
        let mut work = work(10);
        let mut limit = Limit::new(10, 1 << 20);
        assert_eq!(work.next(&limit), 0..10);
        limit.shrink(10, 1 << 20);
        assert_eq!(work.next(&limit), 0..5);
        work.settle(&(0..5));
        assert_eq!(work.next(&limit), 5..10);
        work.settle(&(5..10));
        assert!(work.is_done() && work.next(&limit).is_empty());
    }
}
