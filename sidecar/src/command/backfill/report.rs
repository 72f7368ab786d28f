//! What a run says of itself in the status of the history. Pure.

use boboyka_crds::{BackfillReport, ImportedTable};
use boboyka_mirror::{BackfillProgress, BackfilledTable};
use boboyka_store::causes;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use crate::process::RunError;

/// What the definition of the resource allows.
const PROBLEM_MAX: usize = 512;

/// What is reported; `None` while the run has got no further than the one before, whose problem may still be there. `ended` is
/// why it ended before it was done.
pub(super) fn report(
    progress: &BackfillProgress,
    ended: Option<&RunError>,
) -> Option<BackfillReport> {
    // Who ended it knows why.
    let problem = ended
        .filter(|error| !matches!(error, RunError::BackfillInterrupted | RunError::HolderLost));
    if problem.is_none() && !progress.moved {
        return None;
    }
    let backfilled = &progress.backfilled;
    let tables = backfilled.tables.iter();
    Some(BackfillReport {
        until: time(backfilled.until_ms),
        tables: tables
            .map(|(name, table)| (name.clone(), imported(table)))
            .collect(),
        problem: problem.map(|error| causes(error).chars().take(PROBLEM_MAX).collect()),
    })
}

fn imported(table: &BackfilledTable) -> ImportedTable {
    ImportedTable {
        table: table.table.clone(),
        rows: number(table.records + table.documents),
        refused: number(table.refused),
        done: table.done,
    }
}

/// The time up to which it imports; 0 while that is not known.
fn time(ms: u64) -> Option<Time> {
    let ms = i64::try_from(ms).ok().filter(|ms| *ms > 0)?;
    Timestamp::from_millisecond(ms).ok().map(Time)
}

fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use boboyka_mirror::Backfilled;

    use super::*;

    fn progress(moved: bool) -> BackfillProgress {
        let table = BackfilledTable {
            table: "agent_health".to_owned(),
            records: 5,
            documents: 2,
            refused: 1,
            ..BackfilledTable::default()
        };
        BackfillProgress {
            backfilled: Backfilled {
                until_ms: 1_700_000_000_000,
                tables: [("agent_health".to_owned(), table)].into(),
            },
            moved,
        }
    }

    #[test]
    fn a_run_that_is_no_further_than_the_one_before_says_nothing() {
        assert_eq!(report(&progress(false), None), None);
        let ended = Some(&RunError::BackfillInterrupted);
        assert_eq!(report(&progress(false), ended), None);
    }

    #[test]
    fn rows_and_what_stands_in_the_way_are_told() {
        let told = report(&progress(true), None).unwrap();
        let table = &told.tables["agent_health"];
        assert_eq!((table.rows, table.refused, table.done), (7, 1, false));
        assert_eq!(told.until.unwrap().0.as_millisecond(), 1_700_000_000_000);
        let ended = RunError::Poisoned("the disk is full".to_owned());
        let told = report(&progress(false), Some(&ended)).unwrap();
        assert_eq!(
            told.problem.as_deref(),
            Some("the store stopped: the disk is full")
        );
        assert_eq!(told.tables["agent_health"].rows, 7);
    }
}
