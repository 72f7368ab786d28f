//! The sidecar: takes records on localhost, keeps them in a strand, mirrors them to Supabase.
//!
//! [`run`] opens the store, starts the mirror and both listeners, and ends them all with one signal.
//! Handlers and lanes never call each other: they meet in the store.

mod api;
mod cluster;
pub mod command;
pub mod config;
pub mod integration;
pub mod mirroring;
mod observe;
pub mod phase;
pub mod prune;
mod report;
mod server;
mod signals;
mod standalone;
mod upkeep;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use boboyka_mirror::SupabaseSource;
use boboyka_store::{NewRecord, OpenError, Options, Store, quarantined_in};
use boboyka_strand::{Record, RecordType};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

pub use cluster::Membership;
use config::{Serve, Strand};
use signals::Signals;
use upkeep::{Outside, Upkeep};

/// How long the last report may take: the pod is waiting for it.
const LAST_REPORT_LIMIT: Duration = Duration::from_secs(1);

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
    /// Its place in a cluster is told by halves.
    #[error("the environment is incomplete")]
    Membership(#[from] config::HalfMember),
    /// It was told to end before it had mirrored everything.
    #[error("interrupted before supabase had everything")]
    Interrupted,
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
    let outside = outside(&serve.strand)?;
    let span = outside.span();
    Box::pin(serve_strand(serve, outside, listening).instrument(span)).await
}

async fn serve_strand(
    serve: Serve,
    outside: Outside,
    listening: impl FnOnce(),
) -> Result<(), RunError> {
    let mut signals = Signals::listen();
    let store = open(&serve.strand).await?;
    let listener = listen(serve.listen).await?;
    let shutdown = CancellationToken::new();
    let end = shutdown.clone().drop_guard();
    let mut upkeep = Upkeep::start(&store, &serve.strand, outside, true, &shutdown).await;
    let api = observed(&serve.strand, &store, &mut upkeep, &shutdown).await?;
    upkeep.spawn(server::serve(listener, api::router(api), shutdown));
    tracing::info!(
        address = %serve.listen,
        strand_id = %store.strand_id(),
        head = store.head().seq,
        "listening"
    );
    listening();
    let mut failure = tokio::select! {
        () = signals.next() => None,
        reason = store.poisoned() => Some(RunError::Poisoned(reason)),
        () = upkeep.task_ended() => Some(RunError::TaskEnded),
    };
    let drain = Duration::from_secs(serve.drain_seconds);
    if failure.is_none() && !drain.is_zero() && !upkeep.is_settled() {
        tracing::info!(?drain, "ending: supabase gets first what it has not yet");
        tokio::select! {
            () = upkeep.settled() => {}
            () = tokio::time::sleep(drain) => tracing::warn!("ending before supabase had everything"),
            () = signals.next() => {}
            reason = store.poisoned() => failure = Some(RunError::Poisoned(reason)),
        }
    }
    tracing::info!("ending: requests under way are answered first");
    drop(end);
    upkeep.end(LAST_REPORT_LIMIT).await;
    close(store).await;
    failure.map_or(Ok(()), Err)
}

/// What the sidecar has to do with others, by flags and environment.
fn outside(strand: &Strand) -> Result<Outside, RunError> {
    let tables = standalone::tables(strand.mirror_tables.as_deref());
    let supabase = match &tables {
        Ok(_) => standalone::supabase(strand.supabase_dir.as_deref()),
        // Rows must not go to other tables than the file was to name.
        Err(reason) => SupabaseSource::Wrong(reason.as_str().into()),
    };
    Ok(Outside {
        supabase,
        tables: tables.unwrap_or_default(),
        membership: config::membership()?,
    })
}

/// Opens the strand, and records in it what had to be set aside.
async fn open(strand: &Strand) -> Result<Store, RunError> {
    let known = quarantined_in(&strand.data_dir);
    let options = Options {
        min_free_bytes: strand.min_free_bytes,
        ..Options::new(&strand.data_dir)
    };
    let store = Store::open(options)?;
    record_quarantine(&store, known.len()).await;
    Ok(store)
}

/// Answers whoever watches.
async fn observed(
    strand: &Strand,
    store: &Store,
    upkeep: &mut Upkeep,
    shutdown: &CancellationToken,
) -> Result<Arc<api::Api>, RunError> {
    let observer = listen(strand.observe).await?;
    let api = Arc::new(api::Api::new(store.clone(), upkeep.mirror.clone()));
    let router = observe::router(Arc::clone(&api));
    upkeep.spawn(server::serve(observer, router, shutdown.clone()));
    Ok(api)
}

async fn close(store: Store) {
    let closed = tokio::task::spawn_blocking(move || store.close()).await;
    debug_assert!(closed.is_ok(), "closing does not panic");
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
