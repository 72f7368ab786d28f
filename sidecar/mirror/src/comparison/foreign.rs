//! Counts the rows that no strand wrote, in all tables one after the other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use boboyka_store::now_ms;
use tokio::sync::{oneshot, watch};

use super::found::{Table, Unknown};
use crate::foreign::{Foreign, ForeignScope, ForeignTable, ForeignWrites};

/// How often the rows are counted.
const EVERY: Duration = Duration::from_mins(1);

/// The wait after a failure.
const FAILED_DELAY: Duration = Duration::from_secs(5);

/// Times the counting's own time that it rests at least.
const REST_TIMES: u32 = 20;

/// Keys that are shown of a table.
const SAMPLE: u32 = 10;

/// The counting: when it is due, and where its result is shown.
pub(super) struct ForeignCount {
    shown: watch::Sender<Foreign>,
    at: Instant,
    waiting: Vec<oneshot::Sender<()>>,
}

impl ForeignCount {
    pub(super) fn new(shown: watch::Sender<Foreign>) -> Self {
        Self {
            shown,
            at: Instant::now(),
            waiting: Vec::new(),
        }
    }

    /// When it is due; `None` where another sidecar counts.
    pub(super) fn due(&mut self, scope: ForeignScope) -> Option<Instant> {
        if scope == ForeignScope::Elsewhere {
            self.show(Foreign::Elsewhere);
            return None;
        }
        if *self.shown.borrow() == Foreign::Elsewhere {
            self.show(Foreign::Unknown("not counted yet".into()));
            self.at = Instant::now();
        }
        Some(self.at)
    }

    /// Counts now, for somebody who waits.
    pub(super) fn ask(&mut self, reply: oneshot::Sender<()>) {
        self.waiting.push(reply);
        self.at = Instant::now();
    }

    /// Counts as soon as it can be: what was known is of other credentials.
    pub(super) fn forget(&mut self) {
        self.at = Instant::now();
        if *self.shown.borrow() != Foreign::Elsewhere {
            self.shown
                .send_replace(Foreign::Unknown("not counted yet".into()));
        }
    }

    /// Says why nothing is known.
    pub(super) fn is_unknown(&mut self, reason: &Arc<str>, scope: ForeignScope) {
        self.show(match scope {
            ForeignScope::Elsewhere => Foreign::Elsewhere,
            ForeignScope::Nameless | ForeignScope::AllButOwn => {
                Foreign::Unknown(Arc::clone(reason))
            }
        });
    }

    /// Counts in these tables.
    pub(super) async fn count(
        &mut self,
        tables: Result<Vec<Arc<Table>>, Unknown>,
        scope: ForeignScope,
    ) {
        let begun = Instant::now();
        let counted = match tables {
            Ok(tables) => count(&tables, scope).await,
            Err(unknown) => Err(unknown),
        };
        match counted {
            Ok(writes) => {
                self.tell(&writes);
                self.at = Instant::now() + EVERY.max(begun.elapsed() * REST_TIMES);
                self.show(Foreign::Known(writes));
            }
            Err(unknown) => {
                self.at = Instant::now() + FAILED_DELAY;
                self.show(Foreign::Unknown(unknown.reason.into()));
            }
        }
    }

    fn show(&mut self, foreign: Foreign) {
        self.shown.send_if_modified(|shown| {
            let changed = *shown != foreign;
            *shown = foreign;
            changed
        });
        for reply in self.waiting.drain(..) {
            // The caller may have gone.
            let _ = reply.send(());
        }
    }

    /// Logs new rows: a table that had none, or less.
    fn tell(&self, writes: &ForeignWrites) {
        let before = self.shown.borrow().clone();
        let before = before.known().map_or(&[][..], |known| &known.tables);
        for now in &writes.tables {
            let known = before.iter().find(|known| known.table == now.table);
            if known.is_none_or(|known| known.rows < now.rows) {
                let (table, rows) = (&now.table, now.rows);
                tracing::warn!(
                    %table,
                    rows,
                    "table {table} has {rows} rows that no strand wrote: GET /v1/boboyka/mirror shows keys of them"
                );
            }
        }
    }
}

async fn count(tables: &[Arc<Table>], scope: ForeignScope) -> Result<ForeignWrites, Unknown> {
    let mut writes = ForeignWrites {
        since_ms: u64::MAX,
        checked_at_ms: 0,
        tables: Vec::new(),
    };
    let mut seen = Vec::new();
    for table in tables {
        let name = &table.layout.table;
        if seen.contains(name) {
            continue;
        }
        seen.push(Arc::clone(name));
        let counted = table
            .foreign_rows(scope == ForeignScope::AllButOwn, SAMPLE)
            .await?;
        writes.since_ms = writes.since_ms.min(counted.since_ms);
        if counted.rows > 0 {
            writes.tables.push(ForeignTable {
                table: Arc::clone(name),
                rows: counted.rows,
                newest_at_ms: counted.newest_at_ms,
                sample: counted.sample,
            });
        }
    }
    writes.checked_at_ms = now_ms();
    Ok(writes)
}
