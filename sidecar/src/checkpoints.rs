//! Signing at work: begins the strand's transparency log, then signs a checkpoint every second while the strand grows. An idle strand
//! wakes nobody.

use std::sync::Arc;
use std::time::Duration;

use boboyka_store::{Store, TlogError, TlogKey, causes};
use boboyka_tlog::Note;
use tokio::sync::{mpsc, watch};
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
    pub(crate) key: Arc<TlogKey>,
    /// What the strand's resource says, in a cluster.
    pub(crate) assignment: Option<watch::Receiver<Assignment>>,
    /// Checkpoints of this log that witnesses show and the strand may not hold.
    pub(crate) shown: mpsc::Receiver<Note>,
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
        loop {
            let claim = claim_of(self.assignment.as_mut()).await;
            let (signer, key) = (store.clone(), Arc::clone(&self.key));
            let begin = move || signer.begin_tlog(&key, claim.as_deref());
            let ended = match blocking(begin).await {
                Ok(()) => {
                    let ended = grow(
                        &store,
                        self.assignment.as_mut(),
                        &mut self.shown,
                        &mut trouble,
                    );
                    ended.await
                }
                Err(error) => Err(error),
            };
            let ended = match ended {
                Ok(Ended::Shown(note)) => contradict(&store, &self.key, note).await,
                Ok(Ended::Moved) => Ok(()),
                Err(error) => Err(error),
            };
            if let Err(error) = ended {
                trouble.is(&causes(&error));
                tokio::time::sleep(RETRY_INTERVAL).await;
            }
        }
    }
}

/// Why signing begins anew.
enum Ended {
    /// The volume's claim may be another one.
    Moved,
    /// A witness shows a checkpoint.
    Shown(Note),
}

/// Lets the log go on as the next incarnation, if its own key has signed what a witness shows and the strand does not hold it.
async fn contradict(store: &Store, key: &Arc<TlogKey>, shown: Note) -> Result<(), TlogError> {
    let (store, key) = (store.clone(), Arc::clone(key));
    let goes_on = blocking(move || store.contradict_tlog(&key, &shown)).await?;
    if !goes_on {
        tracing::warn!(
            "what the witness shows is no evidence: the log's key has not signed it, or the strand holds it"
        );
    }
    Ok(())
}

/// Signs as the strand grows; returns when the volume's claim may be another one, or a witness shows a checkpoint.
async fn grow(
    store: &Store,
    mut assignment: Option<&mut watch::Receiver<Assignment>>,
    shown: &mut mpsc::Receiver<Note>,
    trouble: &mut Trouble,
) -> Result<Ended, TlogError> {
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
            match tokio::time::timeout(INTERVAL, shown.recv()).await {
                Ok(Some(note)) => return Ok(Ended::Shown(note)),
                Ok(None) => tokio::time::sleep(INTERVAL).await,
                Err(_) => {}
            }
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
            () = moved => return Ok(Ended::Moved),
            Some(note) = shown.recv() => return Ok(Ended::Shown(note)),
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
