//! The parts that make the product, wired together: the caches, decisions about pods, reconciliation.

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::admission::decide::Decider;
use crate::admission::decision::Decide;
use crate::caches::{Caches, Scope};
use crate::context::Context;
use crate::controller::{self, Leader, Settings};
use crate::error::RunError;
use crate::integration::Defaults;
use crate::tasks::Tasks;
use crate::witness_key::WitnessKey;

/// The parts that make the product.
pub(crate) struct Product {
    /// Decides about pods, on every replica.
    pub(crate) decide: Decide,
    caches: Caches,
    leader: Arc<Leader>,
}

impl Product {
    /// Starts the caches; the replica is ready once they are filled.
    pub(crate) fn start(
        context: &Context,
        witness: Option<Arc<WitnessKey>>,
        shutdown: &CancellationToken,
        tasks: &mut Tasks,
    ) -> Self {
        let config = &context.config;
        let client = context.client.clone();
        let namespace = config.watched_namespace().map(str::to_owned);
        let mut watches = JoinSet::new();
        let scope = Scope::new(client.clone(), namespace);
        let caches = Caches::start(&scope, &config.legacy_config_maps, &mut watches);
        tasks.spawn("caches", supervise(watches, shutdown.clone()));
        tasks.spawn("readiness", {
            let (caches, flag) = (caches.clone(), context.readiness.caches.clone());
            let shutdown = shutdown.clone();
            async move {
                tokio::select! {
                    () = caches.wait_until_synced() => flag.set(true),
                    () = shutdown.cancelled() => {}
                }
                shutdown.cancelled().await;
                Ok(())
            }
        });
        let defaults = Defaults {
            image: config.sidecar_image.clone(),
            pull_policy: config.sidecar_pull_policy.clone(),
            pull_secrets: config.sidecar_pull_secrets.clone(),
            access_mode: config.access_mode.clone(),
            assigned_user: config.assigned_user,
            witness,
            traces: config.traces.clone(),
        };
        let decider = Arc::new(Decider::new(
            client.clone(),
            caches.clone(),
            defaults.clone(),
        ));
        let settings = Settings {
            defaults,
            instance: config.pod_name.clone(),
            grace: config.admission_grace,
            traces: context.traces.clone(),
        };
        let metrics = Arc::clone(&context.metrics);
        Self {
            decide: Arc::new(move |review| {
                let decider = Arc::clone(&decider);
                Box::pin(async move { decider.decide(review).await })
            }),
            leader: Arc::new(Leader::new(client, caches.clone(), metrics, settings)),
            caches,
        }
    }

    /// What every replica knows.
    pub(crate) fn caches(&self) -> Caches {
        self.caches.clone()
    }

    /// Waits until the caches are filled.
    pub(crate) async fn filled(&self) {
        self.caches.wait_until_synced().await;
    }

    /// Reconciles until the signal. Call it only while this replica leads and after the caches are filled.
    pub(crate) fn reconcile(
        &self,
        shutdown: CancellationToken,
    ) -> impl Future<Output = ()> + Send + use<> {
        controller::run(Arc::clone(&self.leader), shutdown)
    }
}

/// Waits for a watch that ends, which none does by itself.
async fn supervise(mut watches: JoinSet<()>, shutdown: CancellationToken) -> Result<(), RunError> {
    tokio::select! {
        Some(ended) = watches.join_next() => Err(match ended {
            Ok(()) => RunError::TaskEnded("watch"),
            Err(_) => RunError::TaskPanicked("watch"),
        }),
        () = shutdown.cancelled() => Ok(()),
    }
}
