//! The https server in front of the router. Its certificate can change while it serves.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum_server::Handle;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use tokio_util::sync::CancellationToken;

use super::places::Places;
use crate::serving::until;

/// A new connection must finish its TLS handshake, and then send the head of its first request, within this time each.
const FIRST_REQUEST_MAX: Duration = Duration::from_secs(2);
/// A connection without a request is closed after this time. API servers close theirs after 90 s; a server that closed
/// first might do so just when a review arrives.
const IDLE_MAX: Duration = Duration::from_mins(2);
/// Connections that have sent no review yet.
const UNPROVED_MAX: usize = 128;
/// A connection's buffer: a review is larger, and its body is read apart from it.
const BUFFER_BYTES_MAX: usize = 64 << 10;
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
    let acceptor = RustlsAcceptor::new(tls)
        .handshake_timeout(FIRST_REQUEST_MAX)
        .acceptor(Places::new(UNPROVED_MAX));
    // HTTP/1.1 is what API servers speak to webhooks.
    let mut server = axum_server::from_tcp(listener)?
        .acceptor(acceptor)
        .http1_only()
        .first_request_timeout(FIRST_REQUEST_MAX)
        .handle(handle.clone());
    let mut http1 = server.http_builder().http1();
    http1.header_read_timeout(IDLE_MAX);
    http1.max_buf_size(BUFFER_BYTES_MAX);
    let serving = server.serve(router.into_make_service());
    until(serving, &handle, shutdown, DRAIN_MAX).await
}
