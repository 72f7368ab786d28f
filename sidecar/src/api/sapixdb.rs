//! The API of SapixDB, as far as its published client asks for it: `docs/sapixdb.md`. An agent of the client is a record
//! type or a collection of documents, see `scope`.

mod absent;
mod answer;
mod delete;
mod earlier;
mod events;
mod matches;
mod moment;
mod query;
mod read;
mod scope;
mod search;
mod select;
mod stream;
mod walk;
mod wire;
mod write;

use std::sync::Arc;

use axum::Router;
use axum::routing::{any, get, post};

use super::state::Api;
#[cfg(test)]
pub(super) use search::READ_MAX;

/// Its routes.
pub(super) fn routes() -> Router<Arc<Api>> {
    current().merge(flat()).merge(before()).merge(missing())
}

/// What the client of 0.2 and later calls.
fn current() -> Router<Arc<Api>> {
    Router::new()
        .route("/v1/health", get(read::health))
        .route("/v1/agents/{name}/records/json", post(write::write))
        .route("/v1/agents/{name}/records/deleted", get(delete::list))
        .route(
            "/v1/agents/{name}/records/{hash}",
            get(read::record).delete(delete::delete),
        )
        .route(
            "/v1/agents/{name}/records/{hash}/restore",
            post(delete::restore),
        )
        .route("/v1/agents/{name}/query", post(query::of_agent))
        .route("/v1/agents/{name}/strand/records", get(walk::of_agent))
        .route("/v1/agents/{name}/stream", get(stream::of_agent))
        .route("/v1/stream", get(stream::of_agents))
}

/// The same of the whole strand.
fn flat() -> Router<Arc<Api>> {
    Router::new()
        .route("/v1/records/{hash}", get(read::any_record))
        .route("/v1/strand/records", get(walk::of_strand))
        .route("/v1/query", post(query::of_strand))
}

/// What the client of 0.1 and that for Go call.
fn before() -> Router<Arc<Api>> {
    Router::new()
        .route("/v1/{agent}/strand/write", post(earlier::write))
        .route("/v1/{agent}/ingest", post(earlier::write))
        .route("/v1/{agent}/strand/query", post(earlier::query))
        .route("/v1/{agent}/strand/{hash}", get(earlier::record))
}

/// What a sidecar does not have.
fn missing() -> Router<Arc<Api>> {
    Router::new()
        .route("/v1/blobs", any(absent::blobs))
        .route("/v1/blobs/{hash}", any(absent::blobs))
        .route("/v1/{agent}/graph/{*rest}", any(absent::graph))
        .route("/v1/admin/{*rest}", any(absent::admin))
        .route("/v1/control/{*rest}", any(absent::control))
}
