//! The operator: answers the API server about pods that are to be created, and, on the replica that holds the Lease,
//! reconciles integrations and strands.
//!
//! [`run`] starts everything and ends everything with one signal. A task that ends or panics before the signal ends the
//! process, and so does a lost Lease: Kubernetes restarts it, and the log says why it ended.

mod admission;
mod backoff;
mod caches;
mod causes;
mod certificates;
mod clock;
pub mod config;
mod container;
mod context;
mod controller;
mod error;
mod health;
mod integration;
mod leading;
mod lease;
mod metrics;
mod objects;
mod product;
pub mod reason;
mod serving;
mod signature;
mod strands;
mod tasks;
pub mod telemetry;
mod token;
mod witness;
mod witness_key;
mod writes;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use boboyka_otlp::{Sending, Service, Traces};
use kube::client::ClientBuilder;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use causes::causes;
use certificates::Certificates;
use config::Config;
use context::Context;
pub use error::RunError;
use health::Readiness;
use leading::lead;
use metrics::{CountRequests, Metrics};
use product::Product;
use tasks::Tasks;
use witness_key::WitnessKey;

/// Tasks end within this time after the signal, finished or not.
const END_MAX: Duration = Duration::from_secs(12);

/// Serves until a signal to end, or until something fails.
///
/// # Errors
/// [`RunError`]: what kept it from starting, or made it stop.
pub async fn run(config: Config) -> Result<(), RunError> {
    let mut context = connect(config).await?;
    let sending = start_traces(&mut context);
    let (leading, shutdown) = (CancellationToken::new(), CancellationToken::new());
    // No task outlives this function, however it ends.
    let _guards = (leading.clone().drop_guard(), shutdown.clone().drop_guard());
    let mut tasks = Tasks::default();
    let served = async {
        let product = start(&context, &shutdown, &mut tasks).await?;
        tasks.spawn("lease", lead(context.clone(), product, leading.clone()));
        Err(tasks.failed().await)
    };
    let mut result = tokio::select! {
        () = signal() => Ok(()),
        failure = served => failure,
    };
    context.readiness.listening.set(false);
    leading.cancel();
    if let Err(error) = &result {
        tracing::error!(error = causes(error), "ending after a failure");
    } else {
        let linger = context.config.linger;
        tracing::info!(?linger, "ending; calls are answered for {linger:?} more");
        sleep(linger).await;
    }
    shutdown.cancel();
    match timeout(END_MAX, tasks.ended()).await {
        Ok(None) => {}
        Ok(Some(error)) => result = result.and(Err(error)),
        Err(_) => tracing::warn!("some tasks did not finish within {END_MAX:?}"),
    }
    if let Some(sending) = sending {
        sending.end().await;
    }
    result
}

/// All metrics as OpenMetrics text, with a series of each: for their reference.
///
/// # Errors
/// A metric can't be written.
pub fn described_metrics() -> Result<String, std::fmt::Error> {
    metrics::described()
}

/// Creates the Secret with the witness's key, unless it is there.
///
/// # Errors
/// [`RunError`]: what kept it from being created.
pub async fn make_witness_key(config: Config) -> Result<(), RunError> {
    let (namespace, name) = (config.namespace.clone(), config.witness_name());
    let client = connect(config).await?.client;
    Ok(witness_key::make(client, &namespace, &name).await?)
}

/// Begins to send traces, if a collector is named.
fn start_traces(context: &mut Context) -> Option<Sending> {
    let config = &context.config;
    let service = Service {
        name: "boboyka-operator",
        version: env!("CARGO_PKG_VERSION"),
        attributes: vec![
            ("service.instance.id", config.pod_name.clone()),
            ("k8s.namespace.name", config.namespace.clone()),
            ("k8s.pod.name", config.pod_name.clone()),
        ],
    };
    let dropped = context.metrics.dropped_spans();
    let (traces, sending) = Traces::start(&config.traces, &service, dropped).unzip();
    context.traces = traces;
    sending
}

/// Makes the client; it sends nothing yet.
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
        traces: None,
    })
}

/// Starts every task but the one that leads.
async fn start(
    context: &Context,
    shutdown: &CancellationToken,
    tasks: &mut Tasks,
) -> Result<Product, RunError> {
    let config = &context.config;
    let health = listen(config.observe_listen, "health").await?;
    let webhook = listen(config.webhook_listen, "webhook").await?;
    let (readiness, metrics) = (context.readiness.clone(), Arc::clone(&context.metrics));
    let serving = health::serve(health, readiness, metrics, shutdown.clone());
    tasks.spawn("health", async {
        serving.await.map_err(|source| stopped("health", source))
    });

    let certificates = Certificates::begin(context.clone()).await?;
    let witness = witness_key(config);
    let product = Product::start(context, witness.clone(), shutdown, tasks);
    if let Some(key) = witness {
        let listener = listen(config.witness_listen, "witness").await?;
        let (context, caches, shutdown) = (context.clone(), product.caches(), shutdown.clone());
        tasks.spawn("witness", async move {
            let serving = witness::serve(listener, key, &context, caches, shutdown);
            serving.await.map_err(|source| stopped("witness", source))
        });
    }
    let panicked = Arc::new(Notify::new());
    let metrics = Arc::clone(&context.metrics);
    let decide = Arc::clone(&product.decide);
    let router =
        admission::review::router(decide, certificates.paths(), metrics, Arc::clone(&panicked));
    let webhook = webhook.into_std();
    let webhook = webhook.map_err(|source| stopped("webhook", source))?;
    let serving = admission::server::serve(webhook, certificates.tls(), router, shutdown.clone());
    tasks.spawn("admission", async {
        serving.await.map_err(|source| stopped("webhook", source))
    });
    context.readiness.listening.set(true);
    tasks.spawn("decisions", watch_decisions(panicked, shutdown.clone()));
    let keeping = certificates.run(shutdown.clone());
    tasks.spawn("certificates", async { Ok(keeping.await?) });
    Ok(product)
}

/// The key of the operator as a witness, if it is one.
fn witness_key(config: &Config) -> Option<Arc<WitnessKey>> {
    let file = config.witness_key_file.clone()?;
    let key = WitnessKey::new(file, config.witness_name(), config.witness_url());
    Some(Arc::new(key))
}

fn stopped(server: &'static str, source: std::io::Error) -> RunError {
    RunError::Serve { server, source }
}

async fn listen(address: SocketAddr, server: &'static str) -> Result<TcpListener, RunError> {
    let mut bound = TcpListener::bind(address).await;
    // A kernel without IPv6 has the addresses of IPv4 only.
    if bound.is_err() && address.ip() == Ipv6Addr::UNSPECIFIED {
        bound = TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await;
    }
    let listener = bound.map_err(|source| RunError::Listen { address, source })?;
    tracing::info!(%address, server, "the {server} server listens on {address}");
    Ok(listener)
}

/// Waits for a decision that panicked. Its review has been answered.
async fn watch_decisions(
    panicked: Arc<Notify>,
    shutdown: CancellationToken,
) -> Result<(), RunError> {
    tokio::select! {
        () = panicked.notified() => Err(RunError::DecisionPanicked),
        () = shutdown.cancelled() => Ok(()),
    }
}

/// Waits for SIGTERM or Ctrl-C.
async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = match signal(SignalKind::terminate()) {
        Ok(terminate) => terminate,
        Err(error) => {
            tracing::error!(error = causes(&error), "could not listen for SIGTERM");
            return std::future::pending().await;
        }
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
