//! The https server in front of the router. Its certificate can change while it serves.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use tokio_util::sync::CancellationToken;

/// A new connection must send its first request within this time.
const FIRST_REQUEST_MAX: Duration = Duration::from_secs(10);
/// Reviews in flight are answered within this time after the signal.
const DRAIN_MAX: Duration = Duration::from_secs(10);

/// Serves until the signal, then answers the reviews in flight.
pub(crate) async fn serve(
    listener: std::net::TcpListener,
    tls: RustlsConfig,
    router: Router,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    let handle = Handle::<SocketAddr>::new();
    // HTTP/1.1 is what API servers speak to webhooks.
    let server = axum_server::from_tcp_rustls(listener, tls)?
        .http1_only()
        .first_request_timeout(FIRST_REQUEST_MAX)
        .handle(handle.clone());
    let serving = server.serve(router.into_make_service());
    tokio::pin!(serving);
    tokio::select! {
        ended = &mut serving => return ended,
        () = shutdown.cancelled() => handle.graceful_shutdown(Some(DRAIN_MAX)),
    }
    serving.await
}
