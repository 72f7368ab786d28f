//! The health port: `/live`, `/ready` and `/metrics`, nothing else. A replica is ready when it can answer admission
//! calls: its server listens, API servers trust its certificate, its caches are filled.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::serving;

/// One part of a replica's readiness; the task in charge of that part sets it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flag(Arc<AtomicBool>);

impl Flag {
    /// Sets whether this part is ready.
    pub(crate) fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Relaxed);
    }

    /// Whether this part is ready.
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// All parts of a replica's readiness. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Readiness {
    /// The https server listens.
    pub(crate) listening: Flag,
    /// The webhook configuration has this replica's authority and a secret path.
    pub(crate) trusted: Flag,
    /// The caches, from which admission decides, are filled.
    pub(crate) caches: Flag,
}

impl Readiness {
    /// The parts that are not ready yet; empty when the replica is ready.
    pub(crate) fn missing(&self) -> Vec<&'static str> {
        [
            (&self.listening, "the https server listens"),
            (
                &self.trusted,
                "the webhook configuration has this replica's authority and a secret path",
            ),
            (&self.caches, "the caches are filled"),
        ]
        .into_iter()
        .filter(|(flag, _)| !flag.is_set())
        .map(|(_, what)| what)
        .collect()
    }
}

/// Serves until the signal.
pub(crate) async fn serve(
    listener: TcpListener,
    readiness: Readiness,
    metrics: Arc<Metrics>,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    let router = Router::new()
        .route("/live", get(|| async { "alive\n" }))
        .route("/ready", get(ready).with_state(readiness))
        .route("/metrics", get(text).with_state(metrics));
    serving::plain(listener, router, shutdown).await
}

async fn ready(State(readiness): State<Readiness>) -> Response {
    let missing = readiness.missing();
    if missing.is_empty() {
        return "ready\n".into_response();
    }
    let body = format!("not ready: waiting until {}\n", missing.join(", "));
    (StatusCode::SERVICE_UNAVAILABLE, body).into_response()
}

async fn text(State(metrics): State<Arc<Metrics>>) -> Response {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match metrics.text() {
        Ok(text) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::Readiness;

    #[test]
    fn a_replica_is_ready_when_every_part_is() {
        let readiness = Readiness::default();
        assert_eq!(readiness.missing().len(), 3);
        readiness.listening.set(true);
        readiness.trusted.set(true);
        assert_eq!(readiness.missing(), ["the caches are filled"]);
        readiness.caches.set(true);
        assert!(readiness.missing().is_empty());
    }
}
