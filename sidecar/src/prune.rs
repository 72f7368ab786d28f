//! Retention at work: asks the store every few seconds to prune what the integration's policy lets go, and to strip
//! segments of the payloads that it lets go by type. The
//! store decides what may go, with the phase and the lanes as they are at that moment. A legal hold reaches the store at once,
//! also while a run of retention is under way.

use std::time::{Duration, Instant};

use boboyka_store::{Needed, Store, causes};
use boboyka_strand::retention::{PayloadAges, Policy};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::archive::ArchiveHandle;
use crate::integration::{Integration, Retention};
use crate::trouble::Trouble;

/// How often: a policy of a minute is kept closely enough, and looking costs next to nothing.
const INTERVAL: Duration = Duration::from_secs(3);

/// Between two segments that are stripped.
const STRIP_PAUSE_MIN: Duration = Duration::from_millis(50);

/// Starts pruning a strand that nothing archives; the task ends after `shutdown`. A legal hold that is known by now is in force
/// when this returns.
pub fn start(
    store: Store,
    integration: watch::Receiver<Integration>,
    shutdown: CancellationToken,
) -> JoinHandle<()> {
    start_beside(store, integration, ArchiveHandle::none(), shutdown)
}

/// The same beside what archives the strand.
pub(crate) fn start_beside(
    store: Store,
    integration: watch::Receiver<Integration>,
    archive: ArchiveHandle,
    shutdown: CancellationToken,
) -> JoinHandle<()> {
    let pruning = run(
        store.clone(),
        integration.clone(),
        archive,
        shutdown.clone(),
    );
    hold(&store, integration.borrow().retention.hold);
    tokio::spawn(async move {
        tokio::join!(holding(store, integration, shutdown), pruning);
    })
}

/// Begins and ends legal holds.
async fn holding(
    store: Store,
    mut integration: watch::Receiver<Integration>,
    shutdown: CancellationToken,
) {
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            changed = integration.changed() => if changed.is_err() {
                return;
            },
        }
        let wanted = integration.borrow_and_update().retention.hold;
        hold(&store, wanted);
    }
}

fn hold(store: &Store, hold: bool) {
    if !store.hold(hold) {
        return;
    }
    if hold {
        tracing::warn!("a legal hold keeps every record of the strand (spec.retention.hold)");
    } else {
        tracing::warn!("the legal hold of the strand ended: retention prunes again");
    }
}

async fn run(
    store: Store,
    mut integration: watch::Receiver<Integration>,
    mut archive: ArchiveHandle,
    shutdown: CancellationToken,
) {
    let (mut asked, mut asked_ages) = (Policy::default(), PayloadAges::default());
    let mut trouble = Trouble::with("prune the strand");
    let mut stripping = Trouble::with("strip the strand of payloads");
    loop {
        let (policy, ages, needed, wanted, is_kept) = {
            let now = integration.borrow_and_update();
            let retention = now.retention;
            let policy = policy_of(&retention);
            (
                policy,
                retention.payload_ages,
                needed(&now),
                retention.hold,
                archive.obeys(&now),
            )
        };
        // A hold that comes together with a policy counts first.
        hold(&store, wanted);
        // A policy that was removed goes to the store once more, which then seals nothing early.
        // With an archive the tail is sealed in time, also without a policy.
        let is_due = policy.is_some() || asked != policy || store.archive_need().is_some();
        // What an archive is to have is kept before anything goes.
        if is_kept && is_due {
            match store.prune_beside(needed, policy).await {
                Ok(()) => {
                    asked = policy;
                    trouble.over();
                }
                Err(error) => trouble.is(&causes(&error)),
            }
        }
        let mut pause = INTERVAL;
        if is_kept && (ages.values().any(Option::is_some) || asked_ages != ages) {
            let began = Instant::now();
            match store.strip(needed, ages).await {
                Ok(more) => {
                    asked_ages = ages;
                    stripping.over();
                    if more {
                        // Half of the time at most: sealing, and every reader, has the disk too.
                        pause = began.elapsed().max(STRIP_PAUSE_MIN);
                    }
                }
                Err(error) => stripping.is(&causes(&error)),
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            changed = integration.changed() => if changed.is_err() {
                // The task that wrote it has ended, and so does the process.
                return shutdown.cancelled().await;
            },
            () = archive.changed() => {}
            () = tokio::time::sleep(pause) => {}
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
