//! Serving HTTP: bounded connections, slow clients cut off, a drain at the end.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use boboyka_store::causes;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Connections at once; more wait until one ends. Agents in a pod are few, file descriptors too.
const CONNECTIONS_MAX: usize = 1024;
/// How long a request's head may take, and how long a connection may idle.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long requests may go on after the signal to end.
const DRAIN: Duration = Duration::from_secs(10);

/// Serves until the signal, then until what was under way is answered.
pub(crate) async fn serve(listener: TcpListener, router: Router, shutdown: CancellationToken) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let graceful = GracefulShutdown::new();
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
            break;
        };
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of file descriptors, mostly: others must end first.
                    tracing::warn!(error = causes(&error), "could not accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            () = shutdown.cancelled() => break,
        };
        // Small answers must not wait for more to send.
        let _ = stream.set_nodelay(true);
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT);
        let service = TowerToHyperService::new(router.clone());
        let connection = graceful.watch(builder.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            let _slot = slot;
            if let Err(error) = connection.await {
                tracing::debug!(error = causes(&error), "a connection ended early");
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(DRAIN, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("the sidecar ended before it answered all requests");
    }
}
