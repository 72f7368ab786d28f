//! Retention at work: asks the store every few seconds to prune what the integration's policy lets go. The
//! store decides what may go, with the phase and the lanes as they are at that moment.

use std::time::Duration;

use boboyka_store::{Needed, Store, causes};
use boboyka_strand::retention::Policy;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::integration::{Integration, Retention};
use crate::trouble::Trouble;

/// How often: a policy of a minute is kept closely enough, and looking costs next to nothing.
const INTERVAL: Duration = Duration::from_secs(3);

/// Starts pruning; the task ends after `shutdown`.
pub fn start(
    store: Store,
    integration: watch::Receiver<Integration>,
    shutdown: CancellationToken,
) -> JoinHandle<()> {
    tokio::spawn(run(store, integration, shutdown))
}

async fn run(
    store: Store,
    mut integration: watch::Receiver<Integration>,
    shutdown: CancellationToken,
) {
    let mut asked = Policy::default();
    let mut trouble = Trouble::with("prune the strand");
    loop {
        let (policy, needed) = {
            let now = integration.borrow_and_update();
            (policy_of(&now.retention), needed(&now))
        };
        // A policy that was removed goes to the store once more, which then seals nothing early.
        if policy.is_some() || asked != policy {
            match store.prune_beside(needed, policy).await {
                Ok(()) => {
                    asked = policy;
                    trouble.over();
                }
                Err(error) => trouble.is(&causes(&error)),
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            changed = integration.changed() => if changed.is_err() {
                // The task that wrote it has ended, and so does the process.
                return shutdown.cancelled().await;
            },
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
}

/// What must stay whatever the policy lets go.
fn needed(integration: &Integration) -> Needed {
    match integration {
        it if it.finalized || !it.has_supabase => Needed::Nothing,
        it if it.has_migration => Needed::WayBack,
        _ => Needed::Owed,
    }
}

fn policy_of(retention: &Retention) -> Policy {
    let ms = |age: Duration| u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
    Policy {
        max_age_ms: retention.max_age.map(ms),
        max_size_bytes: retention.max_size_bytes,
    }
}
