//! The span of a request that writes records.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;

use super::state::Api;

/// The routes that write records: the others are read by people and dashboards all the time, and say nothing of an ingest.
const WRITING: [&str; 3] = [
    "/v1/boboyka/ingest",
    "/v1/boboyka/ingest/batch",
    "/v1/agents/{name}/records/json",
];

/// Answers a request, within a span if it writes records.
pub(super) async fn within_span(
    State(api): State<Arc<Api>>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.extensions().get::<MatchedPath>();
    let route = path.and_then(|path| WRITING.iter().find(|route| **route == path.as_str()));
    let route = route.filter(|_| request.method() == Method::POST);
    let span = route.and_then(|route| api.traces.request(route, &request));
    let Some(span) = span else {
        return next.run(request).await;
    };
    let response = span.around(next.run(request)).await;
    let status = response.status();
    span.set("http.response.status_code", i64::from(status.as_u16()));
    if status.is_server_error() {
        span.set("error.type", status.as_str().to_owned());
        span.fail("");
    }
    response
}
