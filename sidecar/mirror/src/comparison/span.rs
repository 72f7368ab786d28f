//! Compares a span of the strand with its table.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use boboyka_store::{Store, causes, now_ms};
use boboyka_strand::{RecordType, Seq};

use super::compare::{Expected, differences};
use super::expected::{self, ReadingError};
use super::found::{Functions, Table, Unknown};
use super::reach::Reach;
use super::spans::{Job, Span};
use super::states;
use crate::parity::{Difference, DifferenceKind, Tally};
use crate::table::Mode;

/// Records of one comparison: one question for a digest, a fraction of a second for the database.
const RECORDS: usize = 5000;

/// The same in a table of states, whose rows are asked for by their keys.
const STATES: usize = 1000;

/// Records that are compared row by row when their digest differs.
const ROWS: usize = 300;

/// Keys that are asked for at a time.
const KEYS: usize = 250;

/// The records of a span, and up to where there are no others.
struct Gathered {
    records: Vec<Expected>,
    /// Those that nothing is left to compare with.
    gone: HashSet<Seq>,
    to: Seq,
    full: bool,
}

/// Compares the records of a lane after `job.after` that are settled, as many as one comparison takes.
pub(crate) async fn compare(
    store: &Store,
    lane: RecordType,
    table: &Arc<Table>,
    job: Job,
    reach: Reach,
) -> Result<Span, Unknown> {
    let (at, at_ms) = (Instant::now(), now_ms());
    let gathered = gather(store, lane, table, job, reach).await?;
    let Gathered {
        mut records,
        gone,
        to,
        full,
    } = gathered;
    // Of the records that were refused, or whose payload is gone, a row may be there or not.
    let mut refused = refused(store, lane, job.after, to).await?;
    refused.extend(gone);
    records.retain(|record| !refused.contains(&record.seq));
    let mut told = match table.shape.mode {
        Mode::Append => rows(table, &records, &refused, job.after, to).await?,
        Mode::Latest => states_of(table, records, &refused, job.after, to).await?,
    };
    told.sort_by_key(|difference| difference.seq);
    let mut beyond = if to >= reach.up_to {
        Some(beyond(store, table).await?)
    } else {
        None
    };
    let view = store.view();
    // Retention, or a phase that mirrors again, may have moved on meanwhile.
    for told in [&mut told].into_iter().chain(&mut beyond) {
        told.retain(|difference| {
            let in_flight = difference.kind == DifferenceKind::Extra
                && (reach.settled + 1..=view.mirrored_end(lane)).contains(&difference.seq);
            difference.seq > view.floor.head.seq && !in_flight
        });
    }
    let mut tally = Tally::default();
    for difference in &told {
        tally.count(difference.kind);
    }
    Ok(Span {
        after: job.after,
        to,
        full,
        at,
        at_ms,
        tally,
        differences: told,
        beyond,
    })
}

async fn gather(
    store: &Store,
    lane: RecordType,
    table: &Arc<Table>,
    job: Job,
    reach: Reach,
) -> Result<Gathered, Unknown> {
    let most = match table.shape.mode {
        Mode::Append => RECORDS,
        Mode::Latest => STATES,
    };
    let end = job.to.min(reach.settled);
    let (mut records, mut gone, mut after) = (Vec::new(), HashSet::new(), job.after);
    while after < end {
        let (read_store, read_table) = (store.clone(), Arc::clone(table));
        let read = move || {
            let (layout, columns) = (&read_table.layout, &read_table.columns);
            let key = &read_table.shape.key;
            expected::page(&read_store, lane, layout, columns, key, after)
        };
        let page = blocking(read).await?;
        records.extend(page.records.into_iter().filter(|record| record.seq <= end));
        gone.extend(page.gone.into_iter().filter(|seq| *seq <= end));
        if page.scanned_to <= after {
            break;
        }
        after = page.scanned_to;
        if records.len() + gone.len() >= most && after < end {
            return Ok(Gathered {
                records,
                gone,
                to: after,
                full: true,
            });
        }
    }
    let full = records.len() + gone.len() >= most;
    Ok(Gathered {
        records,
        gone,
        to: job.to,
        full,
    })
}

async fn refused(
    store: &Store,
    lane: RecordType,
    after: Seq,
    to: Seq,
) -> Result<HashSet<Seq>, Unknown> {
    let store = store.clone();
    blocking(move || expected::refused(&store, lane, after, to)).await
}

async fn blocking<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, ReadingError> + Send + 'static,
) -> Result<T, Unknown> {
    let read = tokio::task::spawn_blocking(read).await;
    let read = read.map_err(ReadingError::from).and_then(|read| read);
    read.map_err(|error| {
        if matches!(error, ReadingError::Time(_)) {
            return Unknown::because(error.to_string());
        }
        tracing::error!(
            error = causes(&error),
            "could not read the strand to compare it"
        );
        Unknown::because("the strand can't be read".to_owned())
    })
}

/// Compares a table of records: by digest, and where that differs by halves, down to the rows.
async fn rows(
    table: &Table,
    records: &[Expected],
    refused: &HashSet<Seq>,
    after: Seq,
    to: Seq,
) -> Result<Vec<Difference>, Unknown> {
    let mut told = Vec::new();
    let mut parts = vec![(after + 1, to, 0..records.len())];
    while let Some((from, to, part)) = parts.pop() {
        let some = records.get(part.clone()).unwrap_or_default();
        if to < from {
            continue;
        }
        if table.functions == Functions::Current {
            let sum = some.iter().map(|record| record.digest).collect();
            if table.digest(from, to).await? == sum {
                continue;
            }
            let middle = part.start + part.len() / 2;
            if let Some(record) = records.get(middle).filter(|_| part.len() > ROWS) {
                parts.push((from, record.seq - 1, part.start..middle));
                parts.push((record.seq, to, middle..part.end));
                continue;
            }
        }
        told.extend(differences(some, refused, &table.rows(from, to).await?));
    }
    Ok(told)
}

/// Compares a table of states: the row of each key that the span tells of, and the strand's rows in the span.
async fn states_of(
    table: &Table,
    records: Vec<Expected>,
    refused: &HashSet<Seq>,
    after: Seq,
    to: Seq,
) -> Result<Vec<Difference>, Unknown> {
    let known = records.iter().map(|it| (it.seq, it.hash.clone())).collect();
    let mut told = if after < to {
        states::extras(&table.rows(after + 1, to).await?, &known, refused)
    } else {
        Vec::new()
    };
    for some in states::newest(records).chunks(KEYS) {
        let keys: Vec<&str> = some.iter().filter_map(|it| it.key.as_deref()).collect();
        let there = table.states(&keys).await?;
        let differ = some
            .iter()
            .enumerate()
            .filter_map(|(key, record)| states::difference(table.strand, record, there.get(&key)));
        told.extend(differ);
    }
    Ok(told)
}

/// Rows that carry the strand's id at places that it has not come to.
async fn beyond(store: &Store, table: &Table) -> Result<Vec<Difference>, Unknown> {
    let from = store.view().head.seq + 1;
    if table.functions == Functions::Current && table.digest(from, Seq::MAX).await?.rows == 0 {
        return Ok(Vec::new());
    }
    let rows = table.rows(from, Seq::MAX).await?;
    let head = store.view().head.seq;
    let extra = |seq| Difference {
        seq,
        kind: DifferenceKind::Extra,
    };
    let seqs = rows.iter().map(|row| row.seq);
    Ok(seqs.filter(|seq| *seq > head).map(extra).collect())
}
