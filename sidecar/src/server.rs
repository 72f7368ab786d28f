//! Serves HTTP on a bounded number of connections. Idle connections make room for new ones; on the health port the oldest
//! one does. A client that sends or reads nothing loses its connection. Requests under way at the end are still answered.

mod accept_log;
mod body;
mod connections;
pub(crate) mod listen;
mod parser_error;
mod stream;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use boboyka_store::causes;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use rustix::process::{Resource, getrlimit};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use accept_log::AcceptLog;
use body::{RequestBody, ResponseBody};
use connections::{Closed, Connection, Connections, Spares};
use listen::Listeners;
use stream::ClientStream;

/// The most connections at once. For one more, the server closes the one that has been idle longest.
const CONNECTIONS_MAX: usize = 1024;
/// Connections use at most a quarter of the file descriptors of the process: the store needs some too.
const DESCRIPTORS_PART: u64 = 4;
/// How long a request's head may take on the API, and how long a connection may idle.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// The most connections of observers: a kubelet and a Prometheus or two need few.
const OBSERVERS_MAX: usize = 256;
/// How long the head of an observer's request may take. Anybody with a network address can connect.
const OBSERVER_HEADER_TIMEOUT: Duration = Duration::from_secs(2);
/// How long requests may go on after the signal to end.
const DRAIN: Duration = Duration::from_secs(10);

/// Whom a server serves, and so what it bears with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clients {
    /// The containers of the pod: they keep connections, and an answer under way is never cut off.
    Own,
    /// Anybody who reaches the health port: each connection has one request, and the oldest one makes room for a new one,
    /// so that no client keeps a kubelet out.
    Observers,
}

/// Serves until the signal, then until what was under way is answered.
pub(crate) async fn serve(
    listeners: Listeners,
    router: Router,
    clients: Clients,
    shutdown: CancellationToken,
) {
    let connections = match clients {
        Clients::Own => Connections::new(connections_max(CONNECTIONS_MAX), Spares::Busy),
        Clients::Observers => Connections::new(connections_max(OBSERVERS_MAX), Spares::None),
    };
    let graceful = GracefulShutdown::new();
    let accepting = accept(&listeners, &connections, |stream, connection| {
        let stream = ClientStream::new(stream, Arc::clone(&connection));
        let service = answers(router.clone(), Arc::clone(&connection));
        let served = graceful.watch(http(clients).serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            tokio::select! {
                ended = served => if let Err(error) = ended {
                    tracing::debug!(error = causes(&error), "a caller closed its connection early");
                },
                () = connection.closed() => tracing::debug!("the sidecar closed an idle connection"),
            }
        });
    });
    tokio::select! {
        () = accepting => {}
        () = shutdown.cancelled() => {}
    }
    drop(listeners);
    if tokio::time::timeout(DRAIN, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("the sidecar ended before it answered all requests");
    }
}

/// Accepts connections until the future is dropped.
async fn accept(
    listeners: &Listeners,
    connections: &Arc<Connections>,
    serve: impl Fn(TcpStream, Arc<Connection>),
) {
    let mut log = AcceptLog::new();
    loop {
        match listeners.accept().await {
            Ok(stream) => {
                log.succeeded();
                // Small answers must not wait for more to send.
                let _ = stream.set_nodelay(true);
                serve(stream, connections.admit().await);
            }
            Err(error) => {
                // Mostly the process is out of file descriptors: another connection must end first.
                connections.close_longest_idle();
                tokio::time::sleep(log.failed(&error)).await;
            }
        }
    }
}

fn http(clients: Clients) -> http1::Builder {
    let mut http = http1::Builder::new();
    let limit = match clients {
        Clients::Own => HEADER_TIMEOUT,
        Clients::Observers => OBSERVER_HEADER_TIMEOUT,
    };
    http.timer(TokioTimer::new())
        .header_read_timeout(limit)
        .keep_alive(clients == Clients::Own)
        // A client may close its sending side and wait for the answer.
        .half_close(true);
    http
}

/// The router as a service. The connection is busy from the head of a request to the end of its answer.
fn answers(
    router: Router,
    connection: Arc<Connection>,
) -> impl Service<
    Request<Incoming>,
    Response = Response<ResponseBody>,
    Error = Closed,
    Future: Send + 'static,
> {
    service_fn(move |request: Request<Incoming>| {
        let router = router.clone();
        let busy = connection.begin();
        async move {
            let busy = busy?;
            let Ok(response) = router.oneshot(RequestBody::of(request)).await;
            Ok(response.map(|body| ResponseBody::new(body, busy)))
        }
    })
}

fn connections_max(most: usize) -> usize {
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let part = usize::try_from(descriptors / DESCRIPTORS_PART).unwrap_or(usize::MAX);
    part.clamp(1, most)
}
