//! How far a backfill came. The strand itself holds it: each commit of imported rows ends with a record of the strand's own
//! that says so, which no caller can make. So neither a crash nor a second run imports a row twice.

use std::collections::BTreeMap;

use boboyka_store::{PageQuery, Store};
use boboyka_strand::record::OWN_AGENT;
use boboyka_strand::{Block, PayloadJson, Record, RecordError, RecordType};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::error::BackfillError;

/// The event of the strand's own records about the backfill.
const EVENT: &str = "backfill";

/// Records that are looked at at a time.
const STEP: usize = 256;

/// How far a backfill came.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backfilled {
    /// Rows that say of themselves to be younger are no history, in milliseconds since 1970.
    pub until_ms: u64,
    /// By record type.
    pub tables: BTreeMap<String, BackfilledTable>,
}

/// How far it came in one table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackfilledTable {
    /// The table.
    pub table: String,
    /// The columns of its primary key.
    pub key: Vec<String>,
    /// Their values in the last row that was passed, as text; empty before the first.
    pub after: Vec<String>,
    /// Rows that became records of the type.
    pub records: u64,
    /// Rows that became documents, because they are no records of the type.
    pub documents: u64,
    /// Rows that no record can hold. The strand names them.
    pub refused: u64,
    /// Whether every row was passed.
    pub done: bool,
}

/// How far a run is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackfillProgress {
    /// How far the strand came; nothing until it was read.
    pub backfilled: Backfilled,
    /// Whether the run has got further than the one before, or has found that nothing is left.
    pub moved: bool,
}

/// A row that no record can hold.
#[derive(Clone, Debug, Serialize)]
pub(super) struct RefusedRow {
    /// Its key.
    pub(super) row: String,
    /// The column, and what is wrong with it.
    pub(super) why: String,
}

impl BackfilledTable {
    /// All rows that were passed.
    pub fn rows(&self) -> u64 {
        self.records + self.documents + self.refused
    }

    /// Table and key, as an error names them.
    pub(super) fn place(&self) -> String {
        format!("{} by {}", self.table, self.key.join(", "))
    }
}

impl Backfilled {
    /// Rows that are in the strand.
    pub fn imported(&self) -> u64 {
        let tables = self.tables.values();
        tables.map(|table| table.records + table.documents).sum()
    }

    /// Rows that no record can hold.
    pub fn refused(&self) -> u64 {
        self.tables.values().map(|table| table.refused).sum()
    }

    /// How far the strand came; `None` for a strand that is still empty. Blocking.
    ///
    /// # Errors
    /// The strand is none of a backfill, or a part of it can't be read.
    pub(super) fn of(store: &Store) -> Result<Option<Self>, BackfillError> {
        let mut query = PageQuery {
            record_type: Some(RecordType::AuditLog),
            limit: STEP,
            ..PageQuery::default()
        };
        let mut others = others(store);
        loop {
            let page = store.page(&query);
            if let Some(missing) = page.missing.first() {
                return Err(BackfillError::Unreadable {
                    first: missing.first_seq,
                    last: missing.last_seq,
                });
            }
            for block in &page.blocks {
                match own(block) {
                    None => others = true,
                    Some((event, metadata)) if event == EVENT => {
                        return serde_json::from_value(metadata).map(Some).map_err(|_| {
                            BackfillError::Unreadable {
                                first: block.header.seq,
                                last: block.header.seq,
                            }
                        });
                    }
                    Some(_) => {}
                }
            }
            match page.next_before {
                Some(before) => query.before = before,
                None if others => return Err(BackfillError::NotItsOwn),
                None => return Ok(None),
            }
        }
    }

    /// The record that notes it.
    pub(super) fn record(&self, refused: &[RefusedRow]) -> Result<Record, RecordError> {
        let mut metadata = json!({"until_ms": self.until_ms, "tables": self.tables});
        if let Some(metadata) = metadata.as_object_mut().filter(|_| !refused.is_empty()) {
            metadata.insert("refused_rows".to_owned(), json!(refused));
        }
        Record::own(EVENT, &metadata)
    }
}

/// Whether there are records of another type than the strand's own.
fn others(store: &Store) -> bool {
    let counts = store.view().counts;
    let mut counts = counts.into_iter();
    counts.any(|(record_type, count)| record_type != RecordType::AuditLog && count > 0)
}

/// Event and metadata of a record that the strand made of itself.
fn own(block: &Block) -> Option<(String, Value)> {
    #[derive(Deserialize)]
    struct Own {
        agent_id: String,
        event: String,
        metadata: Option<Value>,
    }
    let payload = serde_json::to_vec(&PayloadJson(&block.payload)).ok()?;
    let own: Own = serde_json::from_slice(&payload).ok()?;
    (own.agent_id == OWN_AGENT).then(|| (own.event, own.metadata.unwrap_or_default()))
}
