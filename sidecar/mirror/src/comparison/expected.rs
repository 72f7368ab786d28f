//! The records of a span as their rows should be: read from the strand and rendered as the lane renders them.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use boboyka_store::{ReadError, Store};
use boboyka_strand::{RecordType, Seq};
use serde_json::value::RawValue;

use super::columns::Columns;
use super::compare::Expected;
use super::digest::RowDigest;
use crate::row::{Batch, RowError};
use crate::table::Layout;

/// Records read at a time, so that no thread is busy for long and other readers get their turn.
const PAGE_ROWS: usize = 250;

/// The same in bytes of their payloads.
const PAGE_MAX_BYTES: usize = 384 * 1024;

/// Dead letters read at a time.
const LETTERS: usize = 500;

/// Why the strand could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadingError {
    /// The store.
    #[error("could not read the records to compare")]
    Read(#[from] ReadError),
    /// A payload.
    #[error("could not render the rows to compare")]
    Row(#[from] RowError),
    /// A rendered row.
    #[error("could not read a rendered row")]
    Json(#[from] serde_json::Error),
    /// A time in a form that only the database knows.
    #[error(
        "a value of column {0} can only be compared by the functions of schema.sql, in a table with a payload of the type jsonb: run it"
    )]
    Time(Arc<str>),
    /// A panic in the store, or the end of the process.
    #[error("the task that reads the strand ended early")]
    Task(#[from] tokio::task::JoinError),
}

/// Some of a lane's records.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) records: Vec<Expected>,
    /// Records whose payload is gone: nothing is left to compare a row with, which may be there or not.
    pub(crate) gone: Vec<Seq>,
    /// The lane has no other record up to here.
    pub(crate) scanned_to: Seq,
}

/// Reads the next records of a lane after a seq. Blocking.
pub(crate) fn page(
    store: &Store,
    lane: RecordType,
    layout: &Layout,
    columns: &Columns,
    key: &[Arc<str>],
    after: Seq,
) -> Result<Page, ReadingError> {
    let read = store.read_lane(lane, after, PAGE_ROWS, PAGE_MAX_BYTES)?;
    let batch = Batch::render(layout, store.strand_id(), &read.blocks)?;
    let mut records = Vec::with_capacity(batch.rows().len());
    for (at, row) in batch.rows().iter().enumerate() {
        let members: HashMap<Cow<'_, str>, &RawValue> = serde_json::from_slice(batch.json(at))?;
        if let Some(column) = columns.unreadable(&members) {
            return Err(ReadingError::Time(Arc::clone(column)));
        }
        records.push(Expected {
            seq: row.seq,
            hash: row.hash.to_string(),
            digest: RowDigest::of(columns, &members)?,
            key: key_object(&members, key),
            ms: row.ms,
        });
    }
    Ok(Page {
        records,
        gone: read.gone,
        scanned_to: read.scanned_to,
    })
}

/// The columns of a key as a JSON object; none when one of them is absent or null, which no unique key compares.
fn key_object(row: &HashMap<Cow<'_, str>, &RawValue>, key: &[Arc<str>]) -> Option<String> {
    let mut object = String::from("{");
    for column in key {
        let value = row.get(&**column)?.get();
        if value == "null" {
            return None;
        }
        let comma = if object.len() > 1 { "," } else { "" };
        object.extend([comma, "\"", column, "\":", value]);
    }
    object.push('}');
    (!key.is_empty()).then_some(object)
}

/// Which records of a span Supabase refused. Blocking.
pub(crate) fn refused(
    store: &Store,
    lane: RecordType,
    mut after: Seq,
    to: Seq,
) -> Result<HashSet<Seq>, ReadingError> {
    let mut refused = HashSet::new();
    while store.view().marks[lane].dead_lettered > 0 && after < to {
        let letters = store.dead_letters(lane, after, LETTERS)?;
        let Some(last) = letters.last() else { break };
        after = last.seq;
        let within = letters.iter().map(|letter| letter.seq);
        refused.extend(within.filter(|seq| *seq <= to));
    }
    Ok(refused)
}
