//! The HTTP server of the witness. Nothing that it says is secret and everything is signed, so it needs no TLS.

use std::net::SocketAddr;
use std::time::Duration;

use axum_server::Handle;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::requests::Requests;
use crate::admission::places::Places;

/// The head of a request must be there within this time.
const HEAD_MAX: Duration = Duration::from_secs(2);
/// Connections; when there are more, the oldest gives way.
const CONNECTIONS_MAX: usize = 2048;
/// A connection's buffer.
const BUFFER_BYTES_MAX: usize = 32 << 10;
/// Requests in flight are answered within this time after the signal.
const DRAIN_MAX: Duration = Duration::from_secs(6);

/// Serves until the signal, then answers the requests in flight.
pub(super) async fn serve(
    listener: TcpListener,
    requests: Requests,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    let handle = Handle::<SocketAddr>::new();
    let mut server = axum_server::from_tcp(listener.into_std()?)?
        .acceptor(Places::new(CONNECTIONS_MAX))
        .http1_only()
        .first_request_timeout(HEAD_MAX)
        .handle(handle.clone());
    let mut http1 = server.http_builder().http1();
    // A sidecar asks twice a minute: ten thousand open connections would only wait.
    http1.keep_alive(false);
    http1.header_read_timeout(HEAD_MAX);
    http1.max_buf_size(BUFFER_BYTES_MAX);
    let serving = server.serve(requests.router().into_make_service());
    tokio::pin!(serving);
    tokio::select! {
        ended = &mut serving => return ended,
        () = shutdown.cancelled() => handle.graceful_shutdown(Some(DRAIN_MAX)),
    }
    serving.await
}
