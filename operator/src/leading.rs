//! Leads while the Lease is held: waits for it, reconciles, and gives it back or fails with it.

use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::error::RunError;
use crate::lease::Lease;
use crate::product::Product;

/// Looks in flight are finished within this time after the signal, while the Lease is still held.
const FINISH_MAX: Duration = Duration::from_secs(3);

/// Waits for the Lease, then reconciles as long as it is held.
pub(crate) async fn lead(
    context: Context,
    product: Product,
    shutdown: CancellationToken,
) -> Result<(), RunError> {
    let config = &context.config;
    // A container that restarts in the same pod is another holder.
    let identity = format!("{}_{}", config.pod_name, uuid::Uuid::new_v4());
    let client = context.client.clone();
    let mut lease = Lease::new(client, &config.namespace, identity, config.lease_duration());
    let leads = async {
        // A replica with empty caches could do nothing as the leader.
        product.filled().await;
        lease.acquire().await;
    };
    tokio::select! {
        () = leads => {}
        () = shutdown.cancelled() => return Ok(()),
    }
    tracing::info!(pod = config.pod_name, "this replica leads");
    context.metrics.set_leader(true);
    let mut work = tokio::spawn(product.reconcile(shutdown.clone()));
    let panicked = |_| RunError::TaskPanicked("reconcile");
    let ended = tokio::select! {
        ended = &mut work => ended.map_err(panicked),
        reason = lease.lost() => {
            work.abort();
            Err(RunError::LeaseLost(reason))
        }
        () = shutdown.cancelled() => {
            let finished = timeout(FINISH_MAX, &mut work).await;
            work.abort();
            finished.map_or(Ok(()), |ended| ended.map_err(panicked))
        }
    };
    context.metrics.set_leader(false);
    if !matches!(ended, Err(RunError::LeaseLost(_))) {
        // Only once nothing reconciles here any more.
        if !work.is_finished() {
            let _ = work.await;
        }
        lease.release().await;
    }
    match ended {
        Ok(()) if !shutdown.is_cancelled() => Err(RunError::TaskEnded("reconcile")),
        ended => ended,
    }
}
