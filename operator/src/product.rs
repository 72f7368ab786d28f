//! Where the shell meets what it is there for: the caches, decisions about pods, reconciling.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::admission::Decide;
use crate::admission::choose::Chooser;
use crate::caches::{Caches, Scope};
use crate::controller::{self, Leader};
use crate::integration::Defaults;
use crate::shutdown::Shutdown;
use crate::tasks::Tasks;
use crate::{Context, RunError};

/// How often the caches are looked at until they are filled.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// What the operator is there for.
pub(crate) struct Product {
    /// Decides about pods, on every replica.
    pub(crate) decide: Decide,
    caches: Caches,
    leader: Arc<Leader>,
}

impl Product {
    /// Starts the caches; a replica is ready once they are filled.
    pub(crate) fn start(context: &Context, shutdown: &Shutdown, tasks: &mut Tasks) -> Self {
        let config = &context.config;
        let client = context.client.clone();
        let namespace = config.watched_namespace().map(str::to_owned);
        let mut watches = JoinSet::new();
        let caches = Caches::start(&Scope::new(client.clone(), namespace), &mut watches);
        tasks.spawn("caches", watch(watches, shutdown.clone()));
        tasks.spawn("readiness", {
            let (caches, flag) = (caches.clone(), context.readiness.caches.clone());
            let mut shutdown = shutdown.clone();
            async move {
                tokio::select! {
                    () = filled(&caches) => flag.set(true),
                    () = shutdown.wait() => {}
                }
                shutdown.wait().await;
                Ok(())
            }
        });
        let defaults = Defaults {
            image: config.sidecar_image.clone(),
            pull_policy: config.sidecar_pull_policy.clone(),
        };
        let chooser = Arc::new(Chooser::new(
            client.clone(),
            caches.clone(),
            defaults.clone(),
        ));
        let leader = Leader::new(
            client,
            caches.clone(),
            defaults,
            Arc::clone(&context.metrics),
            config.pod_name.clone(),
            config.admission_grace,
        );
        Self {
            decide: Arc::new(move |review| {
                let chooser = Arc::clone(&chooser);
                Box::pin(async move { chooser.decide(review).await })
            }),
            caches,
            leader: Arc::new(leader),
        }
    }

    /// Returns once the caches are filled.
    pub(crate) async fn filled(&self) {
        filled(&self.caches).await;
    }

    /// Reconciles until the signal; only while this replica leads, and once the caches are filled.
    pub(crate) fn reconcile(&self, shutdown: Shutdown) -> impl Future<Output = ()> + Send + use<> {
        controller::run(Arc::clone(&self.leader), shutdown)
    }
}

/// Looks again and again: of several who wait for the same store, the library wakes one.
async fn filled(caches: &Caches) {
    while !caches.is_synced() {
        sleep(LOOK_AGAIN).await;
    }
}

/// Watches the watches: none of them ends by itself.
async fn watch(mut watches: JoinSet<()>, mut shutdown: Shutdown) -> Result<(), RunError> {
    tokio::select! {
        Some(ended) = watches.join_next() => Err(match ended {
            Ok(()) => RunError::TaskEnded("watch"),
            Err(_) => RunError::TaskPanicked("watch"),
        }),
        () = shutdown.wait() => Ok(()),
    }
}
