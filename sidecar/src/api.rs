//! The HTTP API on localhost: routes and the one state that handlers share.

mod body;
mod cursor;
pub(crate) mod error;
mod guard;
mod headers;
mod ingest;
mod mirror;
mod parameters;
mod read;
pub(crate) mod requests;
mod splitter;
#[cfg(test)]
mod tests;
mod wire;

use std::sync::Arc;

use axum::Router;
use axum::http::{Method, Uri};
use axum::middleware;
use axum::routing::{get, post};
use boboyka_mirror::Mirror;
use boboyka_store::Store;
use body::Bodies;
use error::{ApiError, Code};
use requests::Requests;

/// What handlers work with.
pub(crate) struct Api {
    pub(crate) store: Store,
    pub(crate) mirror: Mirror,
    pub(crate) bodies: Bodies,
    pub(crate) requests: Requests,
}

impl Api {
    pub(crate) fn new(store: Store, mirror: Mirror) -> Self {
        Self {
            store,
            mirror,
            bodies: Bodies::new(),
            requests: Requests::default(),
        }
    }
}

/// All routes of the API.
pub(crate) fn router(api: Arc<Api>) -> Router {
    Router::new()
        .route("/v1/boboyka/ingest", post(ingest::ingest))
        .route("/v1/boboyka/ingest/batch", post(ingest::batch))
        .route("/v1/boboyka/status", get(read::status))
        .route("/v1/boboyka/events", get(read::events))
        .route("/v1/boboyka/records/{hash}", get(read::record))
        .route("/v1/boboyka/verify", get(read::verify))
        .route("/v1/boboyka/mirror", get(mirror::status))
        .route("/v1/boboyka/mirror/retry", post(mirror::retry))
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(
            api.requests.clone(),
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
