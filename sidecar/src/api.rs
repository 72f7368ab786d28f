//! The HTTP API on localhost, and the panel beside it.

mod access;
mod body;
mod cursor;
mod error;
pub mod fuzzing;
mod gone;
mod guard;
mod headers;
mod held;
mod ingest;
mod last_hour;
mod mirror;
mod moment;
mod openapi;
mod operation;
mod paged;
mod parameters;
mod past;
mod read;
mod record_types;
pub(crate) mod requests;
mod route;
mod routes;
mod sapixdb;
mod schema;
mod shared_parameters;
mod splitter;
mod state;
mod stream;
#[cfg(test)]
mod tests;
mod tlog;
mod tombstones;
mod traced;
mod unreadable;
mod verify;
mod walks;
mod wire;

use std::sync::Arc;

use axum::Router;
use axum::http::{Method, Uri};
use axum::middleware;

pub use self::access::KeyError;
pub(crate) use self::access::{Access, ApiKey};
pub(crate) use self::error::ApiError;
use self::error::Code;
pub(crate) use self::last_hour::watch_lag;
use self::route::Routes;
pub(crate) use self::state::Api;

/// Takes every route that the contract describes.
fn listed<R: Routes>(routes: R) -> R {
    sapixdb::routes(routes::own(routes))
}

/// The contract, made anew of the routes and the types on the wire: an `OpenAPI` document.
pub fn contract() -> String {
    openapi::document(&listed(Vec::new()))
}

/// All routes of the API.
pub(crate) fn router(api: Arc<Api>) -> Router {
    let mut router = listed(Router::new())
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method);
    // A layer costs every request something, so there is none without a collector.
    if api.traces.is_on() {
        router = router.layer(middleware::from_fn_with_state(
            Arc::clone(&api),
            traced::within_span,
        ));
    }
    router
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
