//! A backfill in a pod of its integration, which a Job of the operator made: the integration says what to import, and the status
//! of the strand's resource says how far it is.

use std::time::Duration;

use boboyka_cosigning::Cosigned;
use boboyka_mirror::{ForeignScope, Mirror, Settings, SupabaseSource};
use boboyka_store::Store;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::import::{Imported, import};
use super::plan::{self, Plan};
use crate::cluster::Cluster;
use crate::config::{Backfill, Membership};
use crate::process::{RunError, close, open_folder};
use crate::report::{Reporter, Source};
use crate::signals::Signals;

/// How long it waits to become the holder, whose report counts.
const HOLDER_LIMIT: Duration = Duration::from_secs(30);
/// How long the last report may take.
const REPORT_LIMIT: Duration = Duration::from_secs(10);

/// Imports what the integration asks for, and reports how far it is.
pub(super) async fn run(
    options: &Backfill,
    membership: Membership,
    signals: &mut Signals,
) -> Result<Imported, RunError> {
    if options.integration.is_some() {
        return Err(RunError::TwoIntegrations);
    }
    let shutdown = CancellationToken::new();
    let _end = shutdown.clone().drop_guard();
    let (cluster, watch) = Cluster::new(membership);
    tokio::spawn(watch.run(shutdown.clone()).in_current_span());
    let plan = tokio::select! {
        plan = planned(options, &cluster) => plan?,
        () = signals.next() => return Err(RunError::BackfillInterrupted),
    };
    let store = open_folder(&options.data_dir, options.min_free_bytes).await?;
    let ended = reported(options, plan, &cluster, &store, signals, &shutdown).await;
    close(store).await;
    ended
}

/// What the integration asks for, once it is known.
async fn planned(options: &Backfill, cluster: &Cluster) -> Result<Plan, RunError> {
    let mut integration = cluster.integration.clone();
    let known = integration.wait_for(|it| it.in_force.is_some()).await;
    let known = known.map_err(|_| RunError::TaskEnded)?.clone();
    plan::member(options, &known)
}

async fn reported(
    options: &Backfill,
    plan: Plan,
    cluster: &Cluster,
    store: &Store,
    signals: &mut Signals,
    shutdown: &CancellationToken,
) -> Result<Imported, RunError> {
    let (tell, told) = watch::channel(None);
    let (_settings, settings) = watch::channel(Settings {
        foreign: ForeignScope::Elsewhere,
        ..Settings::default()
    });
    let (_boundary, boundary) = watch::channel(None);
    let (_cosigned, cosigned) = watch::channel(Cosigned::default());
    // It mirrors nothing; a report is about its lanes too.
    let (absent, end) = (SupabaseSource::Absent, shutdown.clone());
    let (mirror, lanes) = Mirror::start(store.clone(), absent, settings, end);
    let data_dir = options.data_dir.clone();
    let source = Source::new(store.clone(), mirror, boundary, cosigned, data_dir, false);
    let reporter = Reporter::new(cluster.clone(), source.with_backfill(told));
    let reporting = tokio::spawn(reporter.run(shutdown.clone()).in_current_span());
    let ended = import(store, plan, signals, &tell, cluster.holder_lost()).await;
    if !matches!(ended, Err(RunError::HolderLost)) {
        let held = tokio::time::timeout(HOLDER_LIMIT, cluster.held()).await;
        if held.is_err() {
            tracing::warn!(
                "the backfill can't report how far it is: this pod does not hold the strand"
            );
        }
    }
    shutdown.cancel();
    if let Ok(reporter) = reporting.await {
        reporter.last(REPORT_LIMIT).await;
    }
    // A lane that failed has no part in what was imported.
    let _ = lanes.await;
    ended
}
