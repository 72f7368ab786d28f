//! Signing at work: begins the strand's transparency log, then signs a checkpoint every second while the strand grows. An idle strand
//! wakes nobody.

use std::time::Duration;

use boboyka_store::{Store, TlogError, TlogKey, causes};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::cluster::{Assignment, Claim};
use crate::trouble::Trouble;

/// The newest checkpoint is hardly older than this while the strand grows.
const INTERVAL: Duration = Duration::from_secs(1);
/// After something failed.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// What signs, and what it has to know before.
pub(crate) struct Signing {
    pub(crate) store: Store,
    pub(crate) key: TlogKey,
    /// What the strand's resource says, in a cluster.
    pub(crate) assignment: Option<watch::Receiver<Assignment>>,
}

impl Signing {
    /// Signs until `shutdown`.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = self.work() => {}
        }
    }

    async fn work(mut self) {
        let mut trouble = Trouble::with("sign checkpoints of the strand");
        let store = self.store.clone();
        let key = std::sync::Arc::new(self.key);
        loop {
            let claim = claim_of(self.assignment.as_mut()).await;
            let (signer, key) = (store.clone(), std::sync::Arc::clone(&key));
            let begin = move || signer.begin_tlog(&key, claim.as_deref());
            let ended = match blocking(begin).await {
                Ok(()) => grow(&store, self.assignment.as_mut(), &mut trouble).await,
                Err(error) => Err(error),
            };
            if let Err(error) = ended {
                trouble.is(&causes(&error));
                tokio::time::sleep(RETRY_INTERVAL).await;
            }
        }
    }
}

/// Signs as the strand grows; returns when the volume's claim may be another one.
async fn grow(
    store: &Store,
    mut assignment: Option<&mut watch::Receiver<Assignment>>,
    trouble: &mut Trouble,
) -> Result<(), TlogError> {
    let mut head = store.watch_head();
    let claim = assignment
        .as_ref()
        .map(|assignment| assignment.borrow().claim.clone());
    loop {
        let size = head.borrow_and_update().seq;
        let published = store
            .checkpoint()
            .map_or(0, |newest| newest.checkpoint.size());
        if size > published {
            let signer = store.clone();
            blocking(move || signer.publish_checkpoint(size)).await?;
            trouble.over();
            tokio::time::sleep(INTERVAL).await;
            continue;
        }
        trouble.over();
        let moved = async {
            match &mut assignment {
                Some(assignment) => {
                    let other = assignment.wait_for(|now| Some(&now.claim) != claim.as_ref());
                    if other.await.is_err() {
                        std::future::pending::<()>().await;
                    }
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = head.changed() => if changed.is_err() {
                std::future::pending::<()>().await;
            },
            () = moved => return Ok(()),
        }
    }
}

/// The UID of the volume's claim, once it is known; `None` for a volume without one, and outside of a cluster.
async fn claim_of(assignment: Option<&mut watch::Receiver<Assignment>>) -> Option<String> {
    let known = assignment?
        .wait_for(|now| now.claim != Claim::Unknown)
        .await;
    let claim = known.map(|now| now.claim.clone()).ok();
    match claim {
        Some(Claim::Uid(uid)) => Some(uid),
        Some(Claim::None | Claim::Unknown) => None,
        // The watch has ended, and so does the process.
        None => std::future::pending().await,
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, TlogError> + Send + 'static,
) -> Result<T, TlogError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(TlogError::Unavailable("its thread panicked".to_owned())))
}
