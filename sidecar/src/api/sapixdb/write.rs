//! Writing a record by the client's call.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use boboyka_store::{IdempotencyKey, NewRecord};
use boboyka_strand::Record;

use super::scope::Named;
use super::wire::{WriteBody, WriteJson};
use crate::api::body::{self, Media};
use crate::api::error::ApiError;
use crate::api::ingest::{INGEST_MAX_BYTES, header_key, say_replayed};
use crate::api::state::Api;

/// Appends a record; answers when it is durable.
pub(super) async fn write(
    State(api): State<Arc<Api>>,
    Named(scope): Named,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, content) = request.into_parts();
    if body::media(&parts.headers)? != Some(Media::Json) {
        return Err(body::unsupported("application/json"));
    }
    let key = header_key(&parts.headers)?.map(IdempotencyKey::new);
    let mut body = api.bodies.incoming(content, INGEST_MAX_BYTES);
    let text = body.read().await?;
    let posted: WriteBody<'_> = serde_json::from_slice(&text).map_err(|error| {
        ApiError::malformed(format!("the body must be {{\"data\": {{…}}}}: {error}"))
    })?;
    let appended = append(&api, scope.record(posted.data.get())?, key).await?;
    let mut response = axum::Json(WriteJson::from(&appended)).into_response();
    if appended.replayed {
        say_replayed(&mut response);
    }
    Ok(response)
}

/// Appends one record.
pub(super) async fn append(
    api: &Api,
    record: Record,
    key: Option<IdempotencyKey>,
) -> Result<boboyka_store::Appended, ApiError> {
    let mut answers = api.append(vec![NewRecord { record, key }]).await?;
    Ok(answers.pop().ok_or_else(ApiError::internal)??)
}
