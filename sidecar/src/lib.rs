//! The sidecar: takes records on localhost, keeps them in a strand, mirrors them to Supabase.
//!
//! [`run`] opens the store, starts the mirror and both listeners, and ends them all with one signal.
//! Handlers and lanes never call each other: they meet in the store.

mod api;
pub mod config;
pub mod integration;
pub mod mirror;
mod observe;
pub mod phase;
pub mod prune;
mod server;
pub mod shutdown;
pub mod store;

use std::net::SocketAddr;
use std::sync::Arc;

use boboyka_strand::{Record, RecordType};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use config::Serve;
use integration::Integration;
use mirror::{Credentials, Mirror, Settings, SupabaseSource};
use store::{NewRecord, OpenError, Options, Store};

/// Why the sidecar ended other than by a signal.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The strand could not be opened.
    #[error("could not open the strand")]
    Open(#[from] OpenError),
    /// An address could not be listened on.
    #[error("could not listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// Supabase's settings are wrong.
    #[error("the settings for Supabase are wrong")]
    Supabase(#[source] mirror::CredentialsError),
    /// A write failed; only a new start can tell what the disk holds.
    #[error("the store stopped: {0}")]
    Poisoned(String),
    /// A listener or the mirror ended by itself; a new start mends what the log tells of.
    #[error("a task ended before its time")]
    TaskEnded,
}

/// Serves until a signal to end, or until the store fails. `listening` is called once, when callers can
/// connect.
///
/// # Errors
/// [`RunError`]: what kept it from starting, or made it stop.
pub async fn run(serve: Serve, listening: impl FnOnce()) -> Result<(), RunError> {
    let source = supabase_source(&serve)?;
    let known = store::quarantined_in(&serve.data_dir);
    let options = Options {
        min_free_bytes: serve.min_free_bytes,
        ..Options::new(&serve.data_dir)
    };
    let store = Store::open(options)?;
    record_quarantine(&store, known.len()).await;
    let listener = listen(serve.listen).await?;
    let observer = listen(serve.observe).await?;
    let (end, shutdown) = shutdown::channel();
    let (_integration, integration) = watch::channel(Integration::standalone());
    let (_boundary, follower) =
        phase::follow(store.clone(), integration.clone(), shutdown.clone()).await;
    let pruner = prune::start(store.clone(), integration.clone(), shutdown.clone());
    let (mirror, lanes) = Mirror::start(
        store.clone(),
        source,
        Settings::default(),
        integration,
        shutdown.clone(),
    );
    let api = Arc::new(api::Api::new(store.clone(), mirror));
    let mut tasks = JoinSet::new();
    tasks.spawn(server::serve(
        listener,
        api::router(Arc::clone(&api)),
        shutdown.clone(),
    ));
    tasks.spawn(server::serve(
        observer,
        observe::router(api),
        shutdown.clone(),
    ));
    for (task, what) in [
        (lanes, "mirror"),
        (follower, "phase"),
        (pruner, "retention"),
    ] {
        tasks.spawn(async move {
            if let Err(error) = task.await {
                tracing::error!(%error, "the task {what} failed");
            }
        });
    }
    tracing::info!(
        address = %serve.listen,
        strand = %store.strand_id(),
        head = store.head().seq,
        "listening"
    );
    listening();
    let failure = tokio::select! {
        () = signal() => None,
        reason = store.poisoned() => Some(RunError::Poisoned(reason)),
        // None of them ends before the signal unless something is wrong with it.
        _ = tasks.join_next() => Some(RunError::TaskEnded),
    };
    tracing::info!("ending: requests under way are answered first");
    end.trigger();
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a task had failed");
        }
    }
    let closed = tokio::task::spawn_blocking(move || store.close()).await;
    debug_assert!(closed.is_ok(), "closing does not panic");
    failure.map_or(Ok(()), Err)
}

fn supabase_source(serve: &Serve) -> Result<SupabaseSource, RunError> {
    match (&serve.supabase_dir, config::supabase_variables()) {
        (Some(folder), _) => Ok(SupabaseSource::Folder(folder.clone())),
        (None, Some((url, key))) => Credentials::new(&url, &key)
            .map(SupabaseSource::Fixed)
            .map_err(RunError::Supabase),
        (None, None) => Ok(SupabaseSource::Absent),
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, RunError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| RunError::Listen { address, source })
}

/// Appends what was set aside at this start to the strand itself: it is part of its history.
async fn record_quarantine(store: &Store, known: usize) {
    let fresh = store.quarantined().into_iter().skip(known);
    let records: Vec<_> = fresh
        .filter_map(|quarantined| {
            let data = json!({
                "agent_id": "boboyka_sidecar",
                "event": "strand_quarantined",
                "metadata": {"folder": quarantined.folder, "reason": quarantined.reason},
            });
            Record::from_json(RecordType::AuditLog, &data.to_string()).ok()
        })
        .map(|record| NewRecord { record, key: None })
        .collect();
    if !records.is_empty()
        && let Err(error) = store.append(records).await
    {
        tracing::error!(%error, "could not record in the strand what was quarantined");
    }
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

/// An error with all its causes, for a log.
pub fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.extend([": ", &error.to_string()]);
        cause = error.source();
    }
    text
}
