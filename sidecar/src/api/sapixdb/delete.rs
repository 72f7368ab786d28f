//! Deleting, which takes a record back without removing it, and restoring, which writes it anew.

use std::ops::ControlFlow;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use boboyka_store::{IdempotencyKey, KEY_MAX_BYTES};
use boboyka_strand::record::{DELETED_TAG, text_field};
use boboyka_strand::{Block, Flags, Hash, Record, RecordType};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::answer::{LIMIT_MAX, text};
use super::read::find;
use super::scope::{Named, Scope, is_record};
use super::search::Search;
use super::wire::RecordJson;
use super::write::append;
use crate::api::error::{ApiError, Code};
use crate::api::gone::with_payload;
use crate::api::paged;
use crate::api::schema::{HashText, Id};
use crate::api::state::Api;
use crate::api::tombstones::Deletion;
use crate::api::unreadable;
use crate::api::wire::MissingJson;

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SapixdbDeleted")]
pub(super) struct DeletedJson {
    deleted: bool,
    #[schemars(with = "HashText")]
    original_hash: Hash,
}

/// Takes a record back. A record that is taken back already stays so.
pub(super) async fn delete(
    State(api): State<Arc<Api>>,
    Named(scope): Named,
    Path((_, hash)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let (block, deletion) = look_up(&api, &scope, hash).await?;
    if deletion.is_none() {
        let tombstone = Record::tombstone(Scope::of(&block), &block.hash)?;
        // Of requests at one time, one writes it.
        append(&api, tombstone, Some(once("delete", &block.hash))).await?;
    }
    let deleted = DeletedJson {
        deleted: true,
        original_hash: block.hash,
    };
    Ok(axum::Json(deleted).into_response())
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SapixdbRestored")]
pub(super) struct RestoredJson {
    restored: bool,
    #[schemars(with = "HashText")]
    original_hash: Hash,
    #[schemars(with = "HashText")]
    new_content_hash: Hash,
    #[schemars(with = "Id")]
    new_record_id: Uuid,
}

/// Writes a record anew that was taken back, and beside it that this was done.
pub(super) async fn restore(
    State(api): State<Arc<Api>>,
    Named(scope): Named,
    Path((_, hash)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let (block, deletion) = look_up(&api, &scope, hash).await?;
    match deletion {
        None => return Err(conflict("is not deleted")),
        Some(deletion) if deletion.is_restored => return Err(conflict("was restored before")),
        Some(_) => {}
    }
    let block = readable(&api, block).await?;
    let note = Record::restoration(Scope::of(&block), &block.hash)?;
    let both = vec![Record::again(&block)?, note];
    let key = once("restore", &block.hash);
    let mut answers = api.append_unit(both, key).await?.into_iter();
    let again = answers.next().ok_or_else(ApiError::internal)??;
    answers.next().ok_or_else(ApiError::internal)??;
    let restored = RestoredJson {
        restored: true,
        original_hash: block.hash,
        new_content_hash: again.hash,
        new_record_id: again.record_id,
    };
    Ok(axum::Json(restored).into_response())
}

/// The block, if there is a payload to write anew.
async fn readable(api: &Arc<Api>, block: Block) -> Result<Block, ApiError> {
    let api = Arc::clone(api);
    let read = tokio::task::spawn_blocking(move || with_payload(&api, block));
    read.await.map_err(|_| ApiError::internal())?
}

/// A key that no caller can send: it is longer than theirs may be.
fn once(what: &str, hash: &Hash) -> IdempotencyKey {
    IdempotencyKey::new(&format!("{what:KEY_MAX_BYTES$} {hash}"))
}

fn conflict(why: &str) -> ApiError {
    ApiError::new(Code::NotDeleted, format!("the record {why}")).about("content_hash")
}

async fn look_up(
    api: &Arc<Api>,
    scope: &Scope,
    hash: String,
) -> Result<(Block, Option<Deletion>), ApiError> {
    let made = Arc::clone(&api.pages_made).acquire_owned().await;
    let (api, scope) = (Arc::clone(api), scope.clone());
    let found = tokio::task::spawn_blocking(move || {
        let _made = made;
        let block = find(&api.store, &scope, &hash)?;
        if !is_record(&block) {
            let message = format!(
                "the block {hash} says of a record that it was deleted or restored; it is no record"
            );
            return Err(ApiError::not_found(message).about("content_hash"));
        }
        let deletion = api.tombstones.of(&api.store, &block.hash)?;
        Ok((block, deletion))
    });
    found.await.map_err(|_| ApiError::internal())?
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SapixdbDeletedList")]
pub(super) struct ListJson<'a> {
    records: Vec<TombstoneJson<'a>>,
    missing: Vec<MissingJson>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SapixdbTombstone")]
struct TombstoneJson<'a> {
    #[schemars(with = "Id")]
    tombstone_record_id: Uuid,
    tombstone_ts_ms: u64,
    #[schemars(with = "HashText")]
    original_hash: Hash,
    /// Nothing when it can't be read any more.
    original_record: Option<RecordJson<'a>>,
}

/// The newest records of an agent that were taken back and not restored, newest first.
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Named(scope): Named,
) -> Result<Response, ApiError> {
    paged::searched(api, move |api| listed(api, &scope)).await
}

fn listed(api: &Api, scope: &Scope) -> Result<Vec<u8>, ApiError> {
    const BYTES_MAX: usize = 4 * 1024 * 1024;
    // Tombstones are documents, whatever they take back.
    let documents = scope.name().unwrap_or(RecordType::Document.name());
    let documents = Scope::Collection(documents.to_owned());
    let (mut found, mut bytes) = (Vec::new(), 0);
    let mut search = Search::new(&api.store, &documents);
    search.each(|tombstone| {
        let Some(hash) = taken_back(&tombstone) else {
            return Ok(ControlFlow::Continue(()));
        };
        let deletion = api.tombstones.of(&api.store, &hash)?;
        if deletion.is_none_or(|deletion| deletion.is_restored) {
            return Ok(ControlFlow::Continue(()));
        }
        let original = api.store.block_by_hash(&hash).ok().flatten();
        bytes += original.as_ref().map_or(0, |block| block.payload.len());
        found.push((tombstone, hash, original));
        Ok(if found.len() < LIMIT_MAX && bytes < BYTES_MAX {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        })
    })?;
    unreadable::log_missing(&search.missing);
    let records = found
        .iter()
        .map(|(tombstone, hash, original)| TombstoneJson {
            tombstone_record_id: tombstone.header.record_id,
            tombstone_ts_ms: tombstone.header.timestamp_hlc.ms(),
            original_hash: *hash,
            original_record: original.as_ref().map(RecordJson::from),
        });
    text(&ListJson {
        records: records.collect(),
        missing: search.missing.into_iter().map(MissingJson::from).collect(),
    })
}

/// The record that a tombstone takes back.
pub(super) fn taken_back(block: &Block) -> Option<Hash> {
    let is_tombstone = block.header.flags.contains(Flags::TOMBSTONE);
    let hash = is_tombstone.then(|| text_field(&block.payload, DELETED_TAG))??;
    hash.parse().ok()
}
