//! Single records, and whether the sidecar is there.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use boboyka_store::Store;
use boboyka_strand::{Block, Hash};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::answer::text;
use super::scope::{Named, Scope};
use super::wire::RecordJson;
use crate::api::error::ApiError;
use crate::api::gone::with_payload;
use crate::api::paged;
use crate::api::schema::Id;
use crate::api::state::Api;

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Health")]
pub(super) struct HealthJson {
    status: &'static str,
    /// The strand's id.
    #[schemars(with = "Id")]
    agent: Uuid,
}

/// The sidecar takes records.
pub(super) async fn health(State(api): State<Arc<Api>>) -> Result<Response, ApiError> {
    if api.store.is_poisoned() {
        return Err(boboyka_store::WriteError::Poisoned.into());
    }
    let health = HealthJson {
        status: "ok",
        agent: api.store.strand_id(),
    };
    Ok(axum::Json(health).into_response())
}

/// A record of an agent.
pub(super) async fn record(
    State(api): State<Arc<Api>>,
    Named(scope): Named,
    Path((_, hash)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    answer(api, scope, hash).await
}

/// A record of the strand.
pub(super) async fn any_record(
    State(api): State<Arc<Api>>,
    Path(hash): Path<String>,
) -> Result<Response, ApiError> {
    answer(api, Scope::All, hash).await
}

async fn answer(api: Arc<Api>, scope: Scope, hash: String) -> Result<Response, ApiError> {
    paged::answer(api, move |api| {
        let block = with_payload(api, find(&api.store, &scope, &hash)?)?;
        text(&RecordJson::from(&block))
    })
    .await
}

/// The block of a scope with a hash. Blocking.
///
/// # Errors
/// There is none: also when the text is no hash, since no record has it.
pub(super) fn find(store: &Store, scope: &Scope, hash: &str) -> Result<Block, ApiError> {
    let none = || {
        let place = scope.name().unwrap_or("the strand");
        let message = format!("{place} has no record with the content_hash {hash}");
        ApiError::not_found(message).about("content_hash")
    };
    let hash: Hash = hash.parse().map_err(|_| none())?;
    let found = store.block_by_hash(&hash)?;
    found.filter(|block| scope.holds(block)).ok_or_else(none)
}
