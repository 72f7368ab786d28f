//! Signing at work: asks witnesses what they have seen of the strand's transparency log, begins it, then signs a checkpoint every
//! second while the strand grows. An idle strand wakes nobody.

use std::sync::Arc;
use std::time::Duration;

use boboyka_store::{Store, TlogError, TlogKey, causes};
use boboyka_tlog::Note;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::cluster::{Assignment, Claim};
use crate::cosigning::Witnesses;
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
    /// Who may know more of the log than the disk does.
    pub(crate) witnesses: Witnesses,
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

    async fn begin(&mut self, claim: &Claim) -> Result<(), TlogError> {
        let store = self.store.clone();
        let shown = match blocking(move || Ok(store.tlog_origin())).await? {
            Some(origin) => self.witnesses.show(&origin).await,
            None => Vec::new(),
        };
        let (store, key) = (self.store.clone(), Arc::clone(&self.key));
        let claim = match claim {
            Claim::Uid(uid) => Some(uid.clone()),
            Claim::None | Claim::Unknown => None,
        };
        blocking(move || store.begin_tlog(&key, claim.as_deref(), &shown)).await
    }

    /// Signs until the volume's claim may be another one than this. What a witness shows meanwhile does not begin anything anew:
    /// whoever shows it would keep the log from being signed while all are asked again.
    async fn go_on(&mut self, claim: &Claim, trouble: &mut Trouble) -> Result<(), TlogError> {
        loop {
            let (assignment, shown) = (self.assignment.as_mut(), &mut self.shown);
            match grow(&self.store, assignment, claim, shown, trouble).await? {
                Ended::Shown(note) => contradict(&self.store, &self.key, note).await?,
                Ended::Moved => return Ok(()),
            }
        }
    }

    async fn work(mut self) {
        let mut trouble = Trouble::with("sign checkpoints of the strand");
        loop {
            let claim = claim_of(self.assignment.as_mut()).await;
            let ended = match self.begin(&claim).await {
                Ok(()) => self.go_on(&claim, &mut trouble).await,
                Err(error) => Err(error),
            };
            if let Err(error) = ended {
                trouble.is(&causes(&error));
                tokio::time::sleep(RETRY_INTERVAL).await;
            }
        }
    }
}

/// Why signing stops.
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

/// Signs as the strand grows; returns when the volume's claim may be another one than this, or a witness shows a checkpoint.
async fn grow(
    store: &Store,
    mut assignment: Option<&mut watch::Receiver<Assignment>>,
    claim: &Claim,
    shown: &mut mpsc::Receiver<Note>,
    trouble: &mut Trouble,
) -> Result<Ended, TlogError> {
    let mut head = store.watch_head();
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
                    let other = assignment.wait_for(|now| now.claim != *claim);
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

/// The volume's claim, once it is known; outside of a cluster there is none.
async fn claim_of(assignment: Option<&mut watch::Receiver<Assignment>>) -> Claim {
    let Some(assignment) = assignment else {
        return Claim::None;
    };
    let known = assignment.wait_for(|now| now.claim != Claim::Unknown).await;
    let claim = known.map(|now| now.claim.clone());
    match claim {
        Ok(claim) => claim,
        // The watch has ended, and so does the process.
        Err(_) => std::future::pending().await,
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, TlogError> + Send + 'static,
) -> Result<T, TlogError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(TlogError::Unavailable("its thread panicked".to_owned())))
}
