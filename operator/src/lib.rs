//! The operator: answers the API server about pods that are to be created, and, on the replica that holds the Lease,
//! reconciles integrations and strands.
//!
//! [`run`] starts everything and ends everything with one signal. A task that ends or panics before the signal ends the
//! process, and so does a Lease that was lost: a new start mends what the log tells of.

pub mod admission;
mod backoff;
pub mod build;
pub mod caches;
mod certificates;
pub mod config;
pub mod container;
pub mod controller;
pub mod integration;
pub mod lease;
pub mod metrics;
pub mod observe;
pub mod phases;
mod product;
pub mod shutdown;
pub mod strands;
mod tasks;
pub mod telemetry;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use kube::client::ClientBuilder;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use certificates::Certificates;
pub use certificates::{AUTHORITIES, AuthorityError, CertificatesError};
use config::Config;
use lease::Lease;
use metrics::{CountRequests, Metrics};
use observe::Readiness;
use product::Product;
use shutdown::Shutdown;
use tasks::Tasks;

/// Tasks end within this time after the signal, or without having finished.
const END_MAX: Duration = Duration::from_secs(12);
/// Reconciliations under way are finished within this time, while the Lease is still held.
const RECONCILED_MAX: Duration = Duration::from_secs(3);

/// What every part of the operator works with; cheap to clone.
#[derive(Clone)]
pub struct Context {
    /// The API server; what goes through it is counted.
    pub client: Client,
    /// Flags and environment.
    pub config: Arc<Config>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What makes this replica ready.
    pub readiness: Readiness,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// Why the operator ended other than by a signal.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// No way to the API server is configured.
    #[error("could not find out how to reach the API server")]
    Configuration(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// An address could not be listened on.
    #[error("could not listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// A server stopped.
    #[error("a server stopped")]
    Serve(#[source] std::io::Error),
    /// API servers can't be made to trust this replica.
    #[error(transparent)]
    Certificates(#[from] CertificatesError),
    /// Another replica may lead now.
    #[error("the Lease was lost: {0}")]
    LeaseLost(String),
    /// A decision about a pod panicked.
    #[error("a decision about a pod panicked")]
    DecisionPanicked,
    /// A task panicked.
    #[error("the task {0:?} panicked")]
    TaskPanicked(&'static str),
    /// A task ended by itself.
    #[error("the task {0:?} ended before its time")]
    TaskEnded(&'static str),
}

/// Serves until a signal to end, or until something fails.
///
/// # Errors
/// [`RunError`]: what kept it from starting, or made it stop.
pub async fn run(config: Config) -> Result<(), RunError> {
    let context = connect(config).await?;
    let (stop_leading, leading) = shutdown::channel();
    let (end, shutdown) = shutdown::channel();
    let mut tasks = Tasks::default();
    let served = async {
        let product = start(&context, &shutdown, &mut tasks).await?;
        tasks.spawn("lease", lead(context.clone(), product, leading));
        Err(tasks.failed().await)
    };
    let mut result = tokio::select! {
        () = signal() => Ok(()),
        failure = served => failure,
    };
    context.readiness.listening.set(false);
    stop_leading.trigger();
    if let Err(error) = &result {
        tracing::error!(error = causes(error), "ending after a failure");
    } else {
        tracing::info!("ending: calls are still answered for a while");
        sleep(context.config.linger).await;
    }
    end.trigger();
    match timeout(END_MAX, tasks.ended()).await {
        Ok(None) => {}
        Ok(Some(error)) => result = result.and(Err(error)),
        Err(_) => tracing::warn!("not everything was finished in time"),
    }
    result
}

/// Makes the client; nothing is asked yet.
async fn connect(config: Config) -> Result<Context, RunError> {
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| RunError::Configuration(error);
    let metrics = Arc::new(Metrics::default());
    let found = kube::Config::infer().await;
    let builder = ClientBuilder::try_from(found.map_err(|error| failed(error.into()))?);
    let client = builder
        .map_err(|error| failed(error.into()))?
        .with_layer(&CountRequests::new(Arc::clone(&metrics)))
        .build();
    Ok(Context {
        client,
        config: Arc::new(config),
        metrics,
        readiness: Readiness::default(),
    })
}

/// Starts every task but the one that leads.
async fn start(
    context: &Context,
    shutdown: &Shutdown,
    tasks: &mut Tasks,
) -> Result<Product, RunError> {
    let config = &context.config;
    let observer = listen(config.observe_listen).await?;
    let webhook = listen(config.webhook_listen).await?;
    let (readiness, metrics) = (context.readiness.clone(), Arc::clone(&context.metrics));
    let observing = observe::serve(observer, readiness, metrics, shutdown.clone());
    tasks.spawn("observe", async {
        observing.await.map_err(RunError::Serve)
    });

    let certificates = Certificates::begin(context.clone()).await?;
    let product = Product::start(context, shutdown, tasks);
    let panicked = Arc::new(Notify::new());
    let metrics = Arc::clone(&context.metrics);
    let router = admission::router(product.decide.clone(), metrics, Arc::clone(&panicked));
    let webhook = webhook.into_std().map_err(RunError::Serve)?;
    let serving = admission::serve(webhook, certificates.tls(), router, shutdown.clone());
    tasks.spawn("admission", async {
        serving.await.map_err(RunError::Serve)
    });
    context.readiness.listening.set(true);
    tasks.spawn("decisions", watch_decisions(panicked, shutdown.clone()));
    let keeping = certificates.run(shutdown.clone());
    tasks.spawn("certificates", async { Ok(keeping.await?) });
    Ok(product)
}

async fn listen(address: SocketAddr) -> Result<TcpListener, RunError> {
    let listener = TcpListener::bind(address)
        .await
        .map_err(|source| RunError::Listen { address, source })?;
    tracing::info!(%address, "listening");
    Ok(listener)
}

/// Waits for a decision that panicked. Its answer has been given.
async fn watch_decisions(panicked: Arc<Notify>, mut shutdown: Shutdown) -> Result<(), RunError> {
    tokio::select! {
        () = panicked.notified() => Err(RunError::DecisionPanicked),
        () = shutdown.wait() => Ok(()),
    }
}

/// Waits for the Lease, then reconciles for as long as it is held.
async fn lead(context: Context, product: Product, mut shutdown: Shutdown) -> Result<(), RunError> {
    let config = &context.config;
    // A container that starts again in the same pod is another.
    let identity = format!("{}_{}", config.pod_name, uuid::Uuid::new_v4());
    let client = context.client.clone();
    let mut lease = Lease::new(client, &config.namespace, identity, config.lease_duration());
    let leads = async {
        // Who knows nothing has no use for the Lease.
        product.filled().await;
        lease.acquire().await;
    };
    tokio::select! {
        () = leads => {}
        () = shutdown.wait() => return Ok(()),
    }
    tracing::info!("leading");
    context.metrics.set_leader(true);
    let mut work = tokio::spawn(product.reconcile(shutdown.clone()));
    let ended = tokio::select! {
        ended = &mut work => ended.map_err(|_| RunError::TaskPanicked("reconcile")),
        reason = lease.lost() => {
            work.abort();
            Err(RunError::LeaseLost(reason))
        }
        () = shutdown.wait() => {
            let finished = timeout(RECONCILED_MAX, &mut work).await;
            work.abort();
            finished.map_or(Ok(()), |ended| ended.map_err(|_| RunError::TaskPanicked("reconcile")))
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
        Ok(()) if !shutdown.is_shutdown() => Err(RunError::TaskEnded("reconcile")),
        ended => ended,
    }
}

/// An error with all its causes, for the log.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.extend([": ", &error.to_string()]);
        cause = error.source();
    }
    text
}

/// SIGTERM or Ctrl-C.
async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = match signal(SignalKind::terminate()) {
        Ok(terminate) => terminate,
        Err(error) => {
            tracing::error!(%error, "can't hear SIGTERM");
            return std::future::pending().await;
        }
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
