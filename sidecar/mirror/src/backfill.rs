//! Imports what was in Supabase before any strand wrote to it: the rows of each table in the order of its primary key, into a
//! strand of its own. How far it came is in the strand, in the commit of the rows: see [`Backfilled`].
//!
//! The strand of a backfill mirrors nothing, whatever opens it: before its first row, the strand records the end of the
//! migration, after which no phase changes.

mod error;
mod history;
mod imported;
mod keyset;
mod progress;

use std::sync::Arc;
use std::time::{Duration, Instant};

use boboyka_store::{NewRecord, Phase, PhaseChange, Store, now_ms};
use boboyka_strand::{PerType, Record, RecordType};
use tokio::sync::watch;

pub use self::error::BackfillError;
use self::history::{History, Rows};
use self::keyset::rfc3339;
use self::progress::RefusedRow;
pub use self::progress::{BackfillProgress, Backfilled, BackfilledTable};
use crate::source::{SupabaseSource, client_of};
use crate::supabase::Supabase;
use crate::table::{Layout, TableSettings};

/// Rows that are read at a time: Supabase gives a thousand at most.
const PAGE_ROWS: u32 = 500;

/// How often the log says how far a table is.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// What to import.
#[derive(Clone, Debug)]
pub struct BackfillPlan {
    /// The record types whose tables are imported.
    pub record_types: Vec<RecordType>,
    /// How each record type's table differs from the product's own.
    pub tables: PerType<TableSettings>,
    /// Rows that say of themselves to be younger are left out; `None`: those that are younger than the mirror.
    pub until_ms: Option<u64>,
    /// How many rows are read in a second at most.
    pub rows_per_second: u32,
}

/// A backfill of one strand.
pub struct Backfill {
    store: Store,
    supabase: Arc<Supabase>,
    plan: BackfillPlan,
    progress: watch::Sender<BackfillProgress>,
}

impl Backfill {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// There are no credentials.
    pub fn new(
        store: Store,
        source: SupabaseSource,
        plan: BackfillPlan,
    ) -> Result<Self, BackfillError> {
        let supabase = client_of(source);
        let supabase = supabase.map_err(|reason| BackfillError::NoSupabase(reason.to_string()))?;
        Ok(Self {
            store,
            supabase,
            plan,
            progress: watch::Sender::default(),
        })
    }

    /// How far the run is.
    pub fn progress(&self) -> watch::Receiver<BackfillProgress> {
        self.progress.subscribe()
    }

    /// Imports what is not imported yet: how far the strand came, and how many rows this run brought. May be dropped at any
    /// time: what it imported until then stays, and the next run goes on behind it.
    ///
    /// # Errors
    /// [`BackfillError`].
    pub async fn run(&self) -> Result<(Backfilled, u64), BackfillError> {
        let mut backfilled = self.begin().await?;
        let before = backfilled.imported();
        self.note(&backfilled, false);
        for record_type in &self.plan.record_types {
            self.import(*record_type, &mut backfilled).await?;
        }
        self.note(&backfilled, true);
        let now = backfilled.imported() - before;
        Ok((backfilled, now))
    }

    /// How far an earlier run came, and the end of the migration for this strand.
    async fn begin(&self) -> Result<Backfilled, BackfillError> {
        let store = self.store.clone();
        let before = tokio::task::spawn_blocking(move || Backfilled::of(&store)).await;
        // A panic was logged; nothing is known then.
        let before = before.unwrap_or(Err(BackfillError::Unreadable { first: 1, last: 1 }))?;
        let backfilled = match (before, self.plan.until_ms) {
            (Some(before), Some(until_ms)) if before.until_ms != until_ms => {
                return Err(BackfillError::OtherUntil {
                    before: rfc3339(before.until_ms),
                    now: rfc3339(until_ms),
                });
            }
            (Some(before), _) => before,
            (None, until_ms) => Backfilled {
                until_ms: self.until_ms(until_ms).await?,
                ..Backfilled::default()
            },
        };
        self.store.set_phase(Phase::CutOver, 0).await?;
        let end = PhaseChange {
            finalizes: true,
            ..PhaseChange::to(Phase::CutOver, 0)
        };
        self.store.change_phase(end).await?;
        Ok(backfilled)
    }

    async fn until_ms(&self, wanted: Option<u64>) -> Result<u64, BackfillError> {
        match wanted {
            Some(until_ms) => Ok(until_ms),
            None => Ok(history::mirror_began(&self.supabase)
                .await?
                .unwrap_or_else(now_ms)),
        }
    }

    async fn import(
        &self,
        record_type: RecordType,
        backfilled: &mut Backfilled,
    ) -> Result<(), BackfillError> {
        let layout = Layout::new(record_type, &self.plan.tables[record_type]);
        let name = record_type.name();
        let is_done = |it: &BackfilledTable| it.done && it.table == *layout.table;
        if backfilled.tables.get(name).is_some_and(is_done) {
            return Ok(());
        }
        let supabase = Arc::clone(&self.supabase);
        let history = History::look(supabase, layout, record_type, backfilled.until_ms).await?;
        let now = BackfilledTable {
            table: history.layout.table.to_string(),
            key: history.keyset.key.clone(),
            ..BackfilledTable::default()
        };
        let mut table = backfilled
            .tables
            .remove(name)
            .unwrap_or_else(|| now.clone());
        if table.place() != now.place() {
            return Err(BackfillError::OtherTable {
                record_type: name,
                before: table.place(),
                now: now.place(),
            });
        }
        let mut said = Instant::now();
        while !table.done {
            let begun = Instant::now();
            let rows = history.rows(&table.after, self.page_rows()).await?;
            let (records, refused) = take(record_type, &history, &rows, &mut table)?;
            backfilled.tables.insert(name.to_owned(), table.clone());
            let passed = records.len() + refused.len();
            self.append(records, backfilled, &refused, &table).await?;
            if table.done || said.elapsed() >= SAY_EVERY {
                say(&table);
                said = Instant::now();
            }
            let pace = Duration::from_secs(1) * u32::try_from(passed).unwrap_or(u32::MAX);
            let pace = pace / self.plan.rows_per_second.max(1);
            tokio::time::sleep(pace.saturating_sub(begun.elapsed())).await;
        }
        Ok(())
    }

    fn page_rows(&self) -> usize {
        let rows = self.plan.rows_per_second.clamp(1, PAGE_ROWS);
        usize::try_from(rows).unwrap_or(usize::MAX)
    }

    fn note(&self, backfilled: &Backfilled, moved: bool) {
        self.progress.send_replace(BackfillProgress {
            backfilled: backfilled.clone(),
            moved,
        });
    }

    /// Appends the rows, and how far that is, in one commit.
    async fn append(
        &self,
        mut records: Vec<Record>,
        backfilled: &Backfilled,
        refused: &[RefusedRow],
        table: &BackfilledTable,
    ) -> Result<(), BackfillError> {
        let note = backfilled.record(refused);
        records.push(note.map_err(|source| BackfillError::Note {
            table: table.table.clone(),
            source,
        })?);
        let new = records
            .into_iter()
            .map(|record| NewRecord { record, key: None });
        self.store.append(new.collect()).await?;
        self.note(backfilled, true);
        Ok(())
    }
}

/// The records that rows become, and the rows that become none; notes in the table that they are passed.
fn take(
    record_type: RecordType,
    history: &History,
    rows: &Rows,
    table: &mut BackfilledTable,
) -> Result<(Vec<Record>, Vec<RefusedRow>), BackfillError> {
    let parsed = rows.parse().map_err(|_| history.not_understood())?;
    let (mut records, mut refused) = (Vec::with_capacity(parsed.len()), Vec::new());
    table.done = parsed.is_empty();
    for row in &parsed {
        let key = imported::key_of(&table.key, row).ok_or_else(|| history.not_understood())?;
        let shown = imported::shown_key(&table.key, &key);
        let record = if rows.too_long {
            Err("the row is longer than 16 MiB".to_owned())
        } else {
            imported::record(record_type, &history.layout, &shown, row)
        };
        match record {
            Ok(record) => {
                let is_document = record.record_type() == RecordType::Document;
                table.documents += u64::from(is_document);
                table.records += u64::from(!is_document);
                records.push(record);
            }
            Err(why) => {
                table.refused += 1;
                refused.push(RefusedRow { row: shown, why });
            }
        }
        table.after = key;
    }
    Ok((records, refused))
}

fn say(table: &BackfilledTable) {
    let (name, rows, refused) = (&table.table, table.rows(), table.refused);
    let is_done = if table.done { ", all of them" } else { "" };
    tracing::info!(
        table = %name,
        rows,
        refused,
        done = table.done,
        "the backfill has passed {rows} rows of table {name}{is_done}"
    );
}
