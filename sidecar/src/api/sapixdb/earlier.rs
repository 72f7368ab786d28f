//! What the client of 0.1 and the one for Go call. Their agent is in the path and means nothing here; the collection is
//! in the body. A record's `id` is its hash.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use boboyka_store::Appended;
use boboyka_strand::{Block, Hash, RecordType};
use k8s_openapi::jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::answer::{Gathered, text};
use super::matches::Filter;
use super::moment::Moment;
use super::query::parsed;
use super::read::find;
use super::scope::Scope;
use super::select::{Wanted, current, newest};
use super::whole;
use super::wire::DataJson;
use super::write::append;
use crate::api::body::{self, Media};
use crate::api::error::ApiError;
use crate::api::gone::with_payload;
use crate::api::ingest::INGEST_MAX_BYTES;
use crate::api::paged;
use crate::api::schema::{Collection, Data, Document, HashText};
use crate::api::state::Api;
use crate::api::unreadable;

/// Records that an answer has if the caller does not say how many.
const LIMIT_DEFAULT: usize = 100;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "EarlierWrite")]
pub(super) struct WriteBody<'a> {
    #[schemars(with = "Collection")]
    collection: String,
    #[schemars(with = "Document")]
    #[serde(borrow)]
    data: &'a RawValue,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "EarlierWritten")]
pub(super) struct WrittenJson<'a> {
    #[schemars(with = "HashText")]
    id: Hash,
    #[schemars(with = "HashText")]
    hash: Hash,
    #[schemars(with = "HashText")]
    prev_hash: Hash,
    timestamp: String,
    collection: &'a str,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "EarlierRecord")]
pub(super) struct RecordJson<'a> {
    #[schemars(with = "HashText")]
    id: Hash,
    #[schemars(with = "Data")]
    data: DataJson<'a>,
    timestamp: String,
    #[schemars(with = "HashText")]
    hash: Hash,
    #[schemars(with = "HashText")]
    prev_hash: Hash,
    collection: &'a str,
}

impl<'a> From<&'a Block> for RecordJson<'a> {
    fn from(block: &'a Block) -> Self {
        Self {
            id: block.hash,
            data: DataJson(block),
            timestamp: date(block.header.timestamp_hlc.ms()),
            hash: block.hash,
            prev_hash: block.header.parent_hash,
            collection: Scope::of(block),
        }
    }
}

fn date(ms: u64) -> String {
    let ms = i64::try_from(ms).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(ms).map_or_else(|_| String::new(), |time| time.to_string())
}

/// Appends a record.
pub(super) async fn write(
    State(api): State<Arc<Api>>,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, content) = request.into_parts();
    if body::media(&parts.headers)? != Some(Media::Json) {
        return Err(body::unsupported("application/json"));
    }
    let mut body = api.bodies.incoming(content, INGEST_MAX_BYTES);
    let text = body.read().await?;
    let posted: WriteBody<'_> = serde_json::from_slice(&text).map_err(|error| {
        let must = "the body must be {\"collection\": …, \"data\": {…}}";
        ApiError::malformed(format!("{must}: {error}"))
    })?;
    let scope = Scope::checked(&posted.collection)?;
    let record = scope.record(posted.data.get())?;
    let Appended {
        hash,
        parent_hash,
        ms,
        ..
    } = append(&api, record, None).await?;
    let written = WrittenJson {
        id: hash,
        hash,
        prev_hash: parent_hash,
        timestamp: date(ms),
        collection: scope.name().unwrap_or_default(),
    };
    Ok(axum::Json(written).into_response())
}

/// A record.
pub(super) async fn record(
    State(api): State<Arc<Api>>,
    Path((_, hash)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    paged::answer(api, move |api| {
        let block = with_payload(api, find(&api.store, &Scope::All, &hash)?)?;
        text(&RecordJson::from(&block))
    })
    .await
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "EarlierQuery")]
pub(super) struct QueryBody {
    #[schemars(with = "Collection")]
    collection: String,
    #[serde(default)]
    latest: bool,
    as_of: Option<Moment>,
    #[serde(default)]
    filter: Map<String, Value>,
    #[schemars(range(min = 1, max = 1000))]
    #[serde(default, deserialize_with = "whole::count")]
    limit: Option<usize>,
    /// Refused, except 0.
    #[schemars(range(max = 0))]
    #[serde(default, deserialize_with = "whole::count")]
    offset: Option<usize>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "EarlierResults")]
pub(super) struct ResultsJson<'a> {
    results: Vec<RecordJson<'a>>,
}

/// The records of a collection: the newest of each build, queue item or agent with `latest`, where the type has such a
/// key, else all; newest first.
pub(super) async fn query(
    State(api): State<Arc<Api>>,
    request: Request,
) -> Result<Response, ApiError> {
    let asked: QueryBody = parsed(&api, request, "a query").await?;
    let scope = Scope::checked(&asked.collection)?;
    if asked.offset.is_some_and(|offset| offset > 0) {
        return Err(ApiError::parameter(
            "offset",
            "is not supported here: use limit",
        ));
    }
    let mut wanted = Wanted::new(asked.limit.or(Some(LIMIT_DEFAULT)))?.until(asked.as_of);
    let filters = asked.filter.into_iter();
    wanted.filters = filters
        .map(|(name, value)| Filter::new(name, value))
        .collect();
    paged::searched(api, move |api| {
        let key = scope.record_type().and_then(RecordType::key);
        let (records, missing) = if let Some(key) = key.filter(|_| asked.latest) {
            let mut records = Gathered::at_most(wanted.limit);
            let missing = current(api, &scope, key, &wanted, |block| records.take(block))?;
            (records, missing)
        } else {
            let found = newest(api, &scope, &wanted)?;
            (found.records, found.missing)
        };
        unreadable::log_missing(&missing);
        let results = records.blocks.iter().map(RecordJson::from).collect();
        text(&ResultsJson { results })
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_date_that_the_query_takes_back() {
        let text = date(1_747_000_000_005);
        assert_eq!(text, "2025-05-11T21:46:40.005Z");
        assert_eq!(Moment::parse(&text).unwrap().0.ms(), 1_747_000_000_005);
        assert_eq!(date(0), "1970-01-01T00:00:00Z");
    }
}
