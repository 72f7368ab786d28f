//! The health port: `/live`, `/ready`, `/metrics`, nothing else.

mod metrics;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::FutureExt as _;

use crate::api::{self, Api};

/// The routes of the health port.
pub(crate) fn router(api: Arc<Api>) -> Router {
    Router::new()
        .route("/live", get(|| async { "alive\n" }))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .fallback(api::unknown_path)
        .method_not_allowed_fallback(api::wrong_method)
        .with_state(api)
}

async fn ready(State(api): State<Arc<Api>>) -> Response {
    if let Some(reason) = api.store.poisoned().now_or_never() {
        let body = format!("not ready: {reason}\n");
        return (StatusCode::SERVICE_UNAVAILABLE, body).into_response();
    }
    "ready\n".into_response()
}

async fn metrics(State(api): State<Arc<Api>>) -> Response {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    // Reads the folder of the quarantine; a slow disk must not delay a probe.
    match tokio::task::spawn_blocking(move || metrics::text(api)).await {
        Ok(Ok(text)) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Ok(Err(_)) | Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
