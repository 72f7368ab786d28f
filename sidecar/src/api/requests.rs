//! The first layer that every request passes: it admits the callers that may pass, and counts the answer by route and
//! kind, with the time it took.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;

use super::access::Access;
use super::guard;

/// Upper bounds of the buckets, in seconds: from a quick read over a commit to the mirror's 2 s.
const SECONDS: [f64; 10] = [
    0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.25, 1.0, 2.5, 30.0,
];

/// The routes as they are named in metrics. What is none of them is counted under the last, so that
/// callers can't make series without end.
const ROUTES: [&str; 34] = [
    "/panel/{file}",
    "/v1/boboyka/ingest",
    "/v1/boboyka/ingest/batch",
    "/v1/boboyka/status",
    "/v1/boboyka/events",
    "/v1/boboyka/records/{hash}",
    "/v1/boboyka/stream",
    "/v1/boboyka/record-types",
    "/v1/boboyka/last-hour",
    "/v1/boboyka/counts",
    "/v1/boboyka/state/{record_type}",
    "/v1/boboyka/state/{record_type}/{key}",
    "/v1/boboyka/history/{record_type}/{key}",
    "/v1/boboyka/verify",
    "/v1/boboyka/log/checkpoint",
    "/v1/boboyka/log/cosigned",
    "/v1/boboyka/log/vkey",
    "/v1/boboyka/log/consistency",
    "/v1/boboyka/log/tile/{*tile}",
    "/v1/boboyka/proof/{hash}",
    "/v1/boboyka/mirror",
    "/v1/boboyka/mirror/retry",
    "/v1/boboyka/mirror/check",
    "/v1/boboyka/mirror/repair",
    "/v1/agents/{name}/records/json",
    "/v1/agents/{name}/records/deleted",
    "/v1/agents/{name}/records/{hash}",
    "/v1/agents/{name}/records/{hash}/restore",
    "/v1/agents/{name}/query",
    "/v1/agents/{name}/strand/records",
    "/v1/agents/{name}/stream",
    "/v1/stream",
    "/v1/health",
    "other",
];

/// The kinds of answers.
pub(crate) const KINDS: [&str; 3] = ["2xx", "4xx", "5xx"];

/// What is counted; clones share the counts.
#[derive(Clone, Debug)]
pub(crate) struct Requests(Arc<[Route; ROUTES.len()]>);

/// What is counted of one route.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) name: &'static str,
    /// Answers, in the order of [`KINDS`].
    pub(crate) answers: [Counter; KINDS.len()],
    /// How long they took.
    pub(crate) seconds: Histogram,
}

impl Default for Requests {
    fn default() -> Self {
        Self(Arc::new(ROUTES.map(|name| Route {
            name,
            answers: KINDS.map(|_| Counter::default()),
            seconds: Histogram::new(SECONDS),
        })))
    }
}

impl Requests {
    /// All routes.
    pub(crate) fn routes(&self) -> &[Route] {
        &*self.0
    }

    fn count(&self, path: Option<&MatchedPath>, status: u16, begun: Instant) {
        let path = path.map_or("", MatchedPath::as_str);
        let route = self.0.iter().find(|route| route.name == path);
        let Some(route) = route.or(self.0.last()) else {
            return;
        };
        let [success, refusal, failure] = &route.answers;
        match status {
            200..300 => success.inc(),
            400..500 => refusal.inc(),
            _ => failure.inc(),
        };
        route.seconds.observe(begun.elapsed().as_secs_f64());
    }
}

/// Refuses the callers that may not pass, and counts every answer once its head is there; it does not wait for
/// what is streamed after the head.
pub(super) async fn admit(
    State((requests, access)): State<(Requests, Access)>,
    request: Request,
    next: Next,
) -> Response {
    let begun = Instant::now();
    let path = request.extensions().get::<MatchedPath>().cloned();
    let (parts, body) = request.into_parts();
    let response = match guard::check(&parts).and_then(|()| access.check(&parts)) {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        Err(error) => error.into_response(),
    };
    requests.count(path.as_ref(), response.status().as_u16(), begun);
    response
}
