//! How servers serve until the signal, and what bounds the plain ones: the health port and the witness. Nothing that they say is
//! secret, so they need no TLS; anybody in the cluster may ask them, so both have the same bounds.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum_server::Handle;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::admission::places::Places;

/// The head of a request must be there within this time.
const HEAD_MAX: Duration = Duration::from_secs(2);
/// Connections; when there are more, the oldest gives way.
const CONNECTIONS_MAX: usize = 2048;
/// A connection's buffer.
const BUFFER_BYTES_MAX: usize = 32 << 10;
/// Requests in flight are answered within this time after the signal.
const DRAIN_MAX: Duration = Duration::from_secs(6);

/// Serves plain HTTP until the signal, then answers the requests in flight.
pub(crate) async fn plain(
    listener: TcpListener,
    router: Router,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let handle = Handle::new();
    let mut server = axum_server::from_tcp(listener.into_std()?)?
        .acceptor(Places::new(CONNECTIONS_MAX))
        .http1_only()
        .first_request_timeout(HEAD_MAX)
        .handle(handle.clone());
    let mut http1 = server.http_builder().http1();
    // A sidecar asks twice a minute, a probe or a scrape a few times: open connections would only wait.
    http1.keep_alive(false);
    http1.header_read_timeout(HEAD_MAX);
    http1.max_buf_size(BUFFER_BYTES_MAX);
    let serving = server.serve(router.into_make_service());
    until(serving, &handle, shutdown, DRAIN_MAX).await
}

/// Serves until the signal, then for the requests in flight at most this long.
pub(crate) async fn until(
    serving: impl Future<Output = io::Result<()>>,
    handle: &Handle<SocketAddr>,
    shutdown: CancellationToken,
    drain: Duration,
) -> io::Result<()> {
    tokio::pin!(serving);
    tokio::select! {
        ended = &mut serving => return ended,
        () = shutdown.cancelled() => handle.graceful_shutdown(Some(drain)),
    }
    serving.await
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;
    use tokio::time::timeout;

    use super::*;

    /// What a server sends to a connection that sent this, until it closes it.
    async fn says(address: SocketAddr, sent: &[u8]) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(sent).await.unwrap();
        let mut said = String::new();
        let read = stream.read_to_string(&mut said);
        let read = timeout(Duration::from_mins(2), read).await;
        drop(read.expect("the server closes the connection"));
        said
    }

    #[tokio::test]
    async fn a_connection_has_one_request_and_who_sends_none_is_not_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (shutdown, router) = (CancellationToken::new(), Router::new());
        let router = router.route("/live", get(|| async { "alive" }));
        let serving = tokio::spawn(plain(listener, router, shutdown.clone()));
        let head = b"GET /live HTTP/1.1\r\nHost: h\r\n\r\n";
        assert!(says(address, head).await.ends_with("alive"));
        for slow in [&b""[..], &head[..20]] {
            assert!(!says(address, slow).await.contains("alive"));
        }
        shutdown.cancel();
        serving.await.unwrap().unwrap();
    }
}
