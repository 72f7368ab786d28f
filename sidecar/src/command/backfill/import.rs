//! One run: imports into a strand that is open, and tells how far it is.

use boboyka_crds::BackfillReport;
use boboyka_mirror::{Backfill, BackfillProgress, Backfilled};
use boboyka_store::Store;
use tokio::sync::watch;

use super::plan::Plan;
use super::report;
use crate::process::RunError;
use crate::signals::Signals;

/// What was imported: all of it, and by this run.
pub(super) type Imported = (Backfilled, u64);

/// Imports into a strand, and tells how far it is, until `lost` says that the strand is another pod's.
pub(super) async fn import(
    store: &Store,
    (plan, source): Plan,
    signals: &mut Signals,
    tell: &watch::Sender<Option<BackfillReport>>,
    lost: impl Future<Output = ()>,
) -> Result<Imported, RunError> {
    let backfill = match Backfill::new(store.clone(), source, plan) {
        Ok(backfill) => backfill,
        Err(error) => {
            let error = RunError::from(error);
            tell.send_replace(report::report(&BackfillProgress::default(), Some(&error)));
            return Err(error);
        }
    };
    let mut progress = backfill.progress();
    let telling = async {
        while progress.changed().await.is_ok() {
            tell.send_replace(report::report(&progress.borrow_and_update(), None));
        }
    };
    let ended = tokio::select! {
        done = backfill.run() => done.map_err(RunError::from),
        () = signals.next() => Err(RunError::BackfillInterrupted),
        reason = store.poisoned() => Err(RunError::Poisoned(reason)),
        () = lost => Err(RunError::HolderLost),
        // The sender lives as long as the backfill.
        () = telling => Err(RunError::TaskEnded),
    };
    let known = backfill.progress().borrow().clone();
    tell.send_replace(report::report(&known, ended.as_ref().err()));
    ended
}
