//! The HTTP API on localhost, and the panel beside it: the routes.

mod access;
mod body;
mod cursor;
mod error;
pub mod fuzzing;
mod guard;
mod headers;
mod held;
mod ingest;
mod last_hour;
mod mirror;
mod moment;
mod paged;
mod parameters;
mod past;
mod read;
mod record_types;
pub(crate) mod requests;
mod sapixdb;
mod splitter;
mod state;
mod stream;
#[cfg(test)]
mod tests;
mod tlog;
mod tombstones;
mod unreadable;
mod verify;
mod walks;
mod wire;

use std::sync::Arc;

use axum::Router;
use axum::http::{Method, Uri};
use axum::middleware;
use axum::routing::{get, post};

pub use self::access::KeyError;
pub(crate) use self::access::{Access, ApiKey};
pub(crate) use self::error::ApiError;
use self::error::Code;
pub(crate) use self::last_hour::watch_lag;
pub(crate) use self::state::Api;
use crate::panel;

/// All routes of the API.
pub(crate) fn router(api: Arc<Api>) -> Router {
    Router::new()
        .route("/v1/boboyka/ingest", post(ingest::ingest))
        .route("/v1/boboyka/ingest/batch", post(ingest::batch))
        .route("/v1/boboyka/status", get(read::status))
        .route("/v1/boboyka/events", get(read::events))
        .route("/v1/boboyka/records/{hash}", get(read::record))
        .route("/v1/boboyka/stream", get(stream::stream))
        .route("/v1/boboyka/record-types", get(record_types::record_types))
        .route("/v1/boboyka/last-hour", get(last_hour::last_hour))
        .route("/v1/boboyka/counts", get(past::counts))
        .route("/v1/boboyka/state/{record_type}", get(past::states))
        .route("/v1/boboyka/state/{record_type}/{key}", get(past::state))
        .route(
            "/v1/boboyka/history/{record_type}/{key}",
            get(past::history),
        )
        .route("/v1/boboyka/verify", get(verify::verify))
        .route("/v1/boboyka/log/checkpoint", get(tlog::checkpoint))
        .route("/v1/boboyka/log/cosigned", get(tlog::cosigned))
        .route("/v1/boboyka/log/vkey", get(tlog::vkey))
        .route("/v1/boboyka/log/consistency", get(tlog::consistency))
        .route("/v1/boboyka/log/tile/{*tile}", get(tlog::tile))
        .route("/v1/boboyka/proof/{hash}", get(tlog::proof))
        .route("/v1/boboyka/mirror", get(mirror::status))
        .route("/v1/boboyka/mirror/retry", post(mirror::retry))
        .route("/v1/boboyka/mirror/check", post(mirror::check))
        .route("/v1/boboyka/mirror/repair", post(mirror::repair))
        .route("/", get(read::front))
        .merge(panel::router())
        .merge(sapixdb::routes())
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(
            (api.requests.clone(), api.access.clone()),
            requests::admit,
        ))
        .with_state(api)
}

pub(crate) async fn unknown_path(uri: Uri) -> ApiError {
    ApiError::not_found(format!("there is nothing at {}", uri.path()))
}

pub(crate) async fn wrong_method(method: Method, uri: Uri) -> ApiError {
    let message = format!("{} does not take {method}", uri.path());
    ApiError::new(Code::MethodNotAllowed, message)
}
