//! Counts the rows that no strand wrote, in all tables one after the other.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use boboyka_store::now_ms;
use tokio::sync::{oneshot, watch};

use super::found::{ForeignAnswer, Table, Unknown};
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
    quiet: Quiet,
    waiting: Vec<oneshot::Sender<()>>,
}

/// Since when nobody has written a foreign row, by table.
#[derive(Debug, Default)]
struct Quiet(HashMap<Arc<str>, Since>);

/// What was counted last: the newest row, when it was first seen and how old it was then, and the number of rows.
#[derive(Clone, Copy, Debug)]
struct Since {
    newest: Option<u64>,
    first: Instant,
    age: Duration,
    rows: u64,
}

impl Quiet {
    /// For how long nobody has written, now that this was counted.
    fn of(&mut self, table: &Arc<str>, counted: &ForeignAnswer, now: Instant) -> Duration {
        let (newest, rows) = (counted.newest_at_ms, counted.rows);
        let known = self.0.get(table).filter(|known| known.newest == newest);
        let begun = |age| Since {
            newest,
            first: now,
            age,
            rows,
        };
        let since = match known {
            // More rows, and none of them newer: a transaction ended that had begun before the newest was seen.
            Some(known) if known.rows < rows => begun(Duration::ZERO),
            Some(known) => Since { rows, ..*known },
            None => begun(Duration::from_millis(counted.quiet_ms.unwrap_or(0))),
        };
        self.0.insert(Arc::clone(table), since);
        since.age + now.saturating_duration_since(since.first)
    }
}

impl ForeignCount {
    pub(super) fn new(shown: watch::Sender<Foreign>) -> Self {
        Self {
            shown,
            at: Instant::now(),
            quiet: Quiet::default(),
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
        self.quiet = Quiet::default();
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

    /// Counts in these tables; whether that could be done.
    pub(super) async fn count(
        &mut self,
        tables: Result<Vec<Arc<Table>>, Unknown>,
        scope: ForeignScope,
    ) -> bool {
        let begun = Instant::now();
        let counted = match tables {
            Ok(tables) => count(&tables, scope, &mut self.quiet).await,
            Err(unknown) => Err(unknown),
        };
        match counted {
            Ok(writes) => {
                self.tell(&writes);
                self.at = Instant::now() + EVERY.max(begun.elapsed() * REST_TIMES);
                self.show(Foreign::Known(writes));
                true
            }
            Err(unknown) => {
                self.at = Instant::now() + FAILED_DELAY;
                self.show(Foreign::Unknown(unknown.reason.into()));
                false
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

async fn count(
    tables: &[Arc<Table>],
    scope: ForeignScope,
    quiet: &mut Quiet,
) -> Result<ForeignWrites, Unknown> {
    let mut writes = ForeignWrites {
        since_ms: u64::MAX,
        checked_at_ms: now_ms(),
        checked: Instant::now(),
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
                quiet: quiet.of(name, &counted, writes.checked),
                sample: counted.sample,
            });
        }
    }
    Ok(writes)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{ForeignAnswer, Quiet};

    fn counted(newest_at_ms: u64, quiet_ms: Option<u64>) -> ForeignAnswer {
        ForeignAnswer {
            since_ms: 0,
            rows: 1,
            newest_at_ms: Some(newest_at_ms),
            quiet_ms,
            sample: Vec::new(),
        }
    }

    #[test]
    fn a_clock_that_jumps_makes_no_row_older_and_a_new_row_begins_anew() {
        let (mut quiet, begin) = (Quiet::default(), Instant::now());
        let table = "builds".into();
        let mut of = |second, answer: &ForeignAnswer| {
            let now = begin + Duration::from_secs(second);
            quiet.of(&table, answer, now).as_secs()
        };
        assert_eq!(
            of(0, &counted(7, Some(50_000))),
            50,
            "as the database knows"
        );
        for jumped in [0, 51_000, 900_000_000] {
            assert_eq!(of(10, &counted(7, Some(jumped))), 60);
        }
        assert_eq!(of(20, &counted(8, Some(1000))), 1, "somebody wrote");
        assert_eq!(
            of(21, &counted(6, None)),
            0,
            "an earlier schema.sql knows no age"
        );
        assert_eq!(of(25, &counted(6, None)), 4);
        let more = ForeignAnswer {
            rows: 2,
            ..counted(6, None)
        };
        assert_eq!(of(26, &more), 0, "a transaction that was open all the time");
        assert_eq!(of(28, &more), 2);
        assert_eq!(of(29, &counted(6, None)), 3, "somebody deleted one");
    }
}
