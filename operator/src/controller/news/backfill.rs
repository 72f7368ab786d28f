//! What of a backfill is told: that it is done, and what stands in its way. Pure.

use boboyka_crds::{BackfillStatus, IntegrationStatus};

use crate::reason::Reason;

/// What a change of status tells, with its reason.
pub(super) fn news(
    before: &IntegrationStatus,
    after: &IntegrationStatus,
) -> Option<(Reason, String)> {
    let now = of(after)?;
    let was = of(before);
    let was_done = was.is_some_and(|was| was.done);
    if now.done && !was_done {
        return Some((Reason::BackfillDone, done(now)));
    }
    let problem = now.problem.as_ref()?;
    let is_told = was.is_some_and(|was| was.problem.as_ref() == Some(problem));
    (!is_told).then(|| {
        let what = if now.done {
            "what was imported is damaged"
        } else {
            "the backfill does not go on"
        };
        (Reason::BackfillFailed, format!("{what}: {problem}"))
    })
}

/// The same status without what moves by itself.
pub(super) fn without_counters(status: &BackfillStatus) -> BackfillStatus {
    BackfillStatus {
        rows: [].into(),
        refused: 0,
        ..status.clone()
    }
}

fn of(status: &IntegrationStatus) -> Option<&BackfillStatus> {
    status.migration.as_ref()?.backfill.as_ref()
}

fn done(now: &BackfillStatus) -> String {
    let rows = match now.imported() {
        1 => "1 row".to_owned(),
        rows => format!("{rows} rows"),
    };
    let refused = match now.refused {
        0 => String::new(),
        1 => "; no record can hold 1 row, which it names".to_owned(),
        refused => format!("; no record can hold {refused} rows, which it names"),
    };
    format!("the backfill is done: the history has {rows} of Supabase{refused}")
}
