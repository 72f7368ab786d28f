//! The store's transparency log as the cosigner sees it.

use std::sync::Arc;

use boboyka_cosigning::{Cosigned, Cosigner, Log};
use boboyka_store::{Published, Store, causes};
use boboyka_tlog::policy::Party;
use boboyka_tlog::{Note, TreeHash};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// What is cosigned, and the task that has it cosigned, which ends with `shutdown`.
pub(crate) fn start(
    store: &Store,
    witnesses: &[Party],
    shutdown: &CancellationToken,
) -> (
    watch::Receiver<Cosigned>,
    impl Future<Output = ()> + Send + use<>,
) {
    let cosigner = Cosigner::new(StoreLog(store.clone()), witnesses);
    let cosigner = cosigner
        .inspect_err(|error| {
            let error = causes(error);
            tracing::error!(error, "no witness can be asked: {error}");
        })
        .ok()
        .filter(Cosigner::has_witnesses);
    let watched = cosigner.as_ref().map(Cosigner::watch);
    let shutdown = shutdown.clone();
    let run = async move {
        match cosigner {
            Some(cosigner) => cosigner.run(shutdown).await,
            None => shutdown.cancelled().await,
        }
    };
    (
        watched.unwrap_or_else(|| watch::channel(Cosigned::default()).1),
        run,
    )
}

struct StoreLog(Store);

impl Log for StoreLog {
    type Checkpoint = Published;

    fn checkpoints(&self) -> watch::Receiver<Option<Arc<Published>>> {
        self.0.watch_checkpoint()
    }

    fn note(published: &Published) -> &Note {
        &published.note
    }

    async fn consistency(&self, old: u64, new: u64) -> Result<Vec<TreeHash>, String> {
        let store = self.0.clone();
        let proof = tokio::task::spawn_blocking(move || store.tlog_consistency(old, new));
        let proof = proof.await.map_err(|error| error.to_string())?;
        proof.map_err(|error| causes(&error))
    }

    async fn cosigned(&self, witness: &str, size: u64) {
        let (store, name) = (self.0.clone(), witness.to_owned());
        let pinned = tokio::task::spawn_blocking(move || store.pin_tlog_size(&name, size)).await;
        if let Ok(Err(error)) = pinned {
            let error = causes(&error);
            tracing::error!(
                error,
                witness,
                "could not pin the size that {witness} has cosigned; after a pruning it may not be able to go on: {error}"
            );
        }
    }
}
