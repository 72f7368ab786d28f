//! Serving: takes records until a signal to end, then mirrors what it can in the time that is left.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::api::{self, Access};
use crate::api_key::KeyFile;
use crate::config::Serve;
use crate::process::{RunError, close, listen, open, outside, serve_health};
use crate::server::{self, Clients};
use crate::signals::Signals;
use crate::traces::Traces;
use crate::upkeep::{Outside, Upkeep};

/// How long the last report may take: the pod is waiting for it.
const LAST_REPORT_LIMIT: Duration = Duration::from_secs(1);

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
    let key = serve
        .api_key_file
        .as_deref()
        .map(KeyFile::read)
        .transpose()?;
    let store = open(&serve.strand).await?;
    let listeners = listen(&serve.listen).await?;
    let addresses = listeners.to_string();
    let shutdown = CancellationToken::new();
    let end = shutdown.clone().drop_guard();
    let (traces, sending) = Traces::start(&serve.traces, outside.membership.as_ref(), &store);
    let mut upkeep = Upkeep::start(&store, &serve.strand, outside, true, &shutdown).await;
    let access = key.as_ref().map_or(Access::Open, KeyFile::access);
    let api = serve_health(
        &serve.strand,
        &store,
        &mut upkeep,
        access,
        traces,
        &shutdown,
    )
    .await?;
    if let Some(key) = key {
        upkeep.spawn(key.follow(shutdown.clone()));
    }
    upkeep.spawn(api::watch_lag(Arc::clone(&api)));
    upkeep.spawn(server::serve(
        listeners,
        api::router(api),
        Clients::Own,
        shutdown,
    ));
    // Programs wait for the name of the event; the message is for people and may change.
    tracing::info!(
        event = "listening",
        addresses,
        strand_id = %store.strand_id(),
        head = store.view().head.seq,
        "the sidecar takes records on {}",
        serve.listen
    );
    listening();
    let mut failure = tokio::select! {
        () = signals.next() => None,
        reason = store.poisoned() => Some(RunError::Poisoned(reason)),
        () = upkeep.task_ended() => Some(RunError::TaskEnded),
    };
    let drain = Duration::from_secs(serve.drain_seconds);
    if failure.is_none() && !drain.is_zero() && !upkeep.is_settled() {
        tracing::info!(?drain, "the sidecar ends once it has mirrored everything");
        tokio::select! {
            () = upkeep.settled() => {}
            () = tokio::time::sleep(drain) => tracing::warn!("the sidecar ends before it has mirrored everything"),
            () = signals.next() => {}
            reason = store.poisoned() => failure = Some(RunError::Poisoned(reason)),
        }
    }
    tracing::info!("the sidecar answers the requests under way and ends");
    drop(end);
    upkeep.end(LAST_REPORT_LIMIT).await;
    close(store).await;
    if let Some(sending) = sending {
        sending.end().await;
    }
    failure.map_or(Ok(()), Err)
}
