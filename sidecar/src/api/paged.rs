//! Answers that are made of many records: few are made at a time, each on a thread that may block, and few are there
//! that nobody has read yet.

use std::sync::Arc;

use axum::response::Response;

use super::error::ApiError;
use super::held;
use super::state::Api;

const JSON: &str = "application/json";

/// An answer that `make` makes, in JSON.
pub(super) async fn answer<M>(api: Arc<Api>, make: M) -> Result<Response, ApiError>
where
    M: FnOnce(&Api) -> Result<Vec<u8>, ApiError> + Send + 'static,
{
    let unread = Arc::clone(&api.pages).acquire_owned().await;
    let turn = Arc::clone(&api.pages_made).acquire_owned().await;
    let content = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        make(&api)
    });
    let content = content.await.map_err(|_| ApiError::internal())??;
    Ok(held::answer(JSON, content, unread))
}

/// The same for one that may read a large part of the strand: so that others find room, fewer of these are made at a
/// time.
pub(super) async fn searched<M>(api: Arc<Api>, make: M) -> Result<Response, ApiError>
where
    M: FnOnce(&Api) -> Result<Vec<u8>, ApiError> + Send + 'static,
{
    let search = Arc::clone(&api.searches).acquire_owned().await;
    answer(api, move |api| {
        let _search = search;
        make(api)
    })
    .await
}
