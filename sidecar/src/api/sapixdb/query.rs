//! The client's queries.

use std::ops::ControlFlow;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer::{self, Gathered};
use super::matches::Filter;
use super::moment::Moment;
use super::read;
use super::scope::{Named, Scope};
use super::search::Search;
use super::select::{Wanted, current, limit_of, newest};
use super::walk;
use super::whole;
use super::wire::{CountJson, RecordsJson};
use crate::api::body::{self, Media};
use crate::api::error::ApiError;
use crate::api::paged;
use crate::api::state::Api;
use crate::api::unreadable;
use crate::api::wire::MissingJson;

/// The longest body of a query.
const QUERY_MAX_BYTES: usize = 64 * 1024;

/// What is asked.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Query {
    /// The newest records, newest first.
    Latest {
        #[schemars(range(min = 1, max = 1000))]
        #[serde(default, deserialize_with = "whole::count")]
        limit: Option<usize>,
    },
    /// The newest that a filter admits, newest first.
    Scan {
        #[schemars(range(min = 1, max = 1000))]
        #[serde(default, deserialize_with = "whole::count")]
        limit: Option<usize>,
        filter: Option<Filter>,
        timestamp_hlc: Option<Moment>,
    },
    /// The newest up to a moment, oldest first.
    AsOf {
        timestamp_hlc: Moment,
        #[schemars(range(min = 1, max = 1000))]
        #[serde(default, deserialize_with = "whole::count")]
        limit: Option<usize>,
    },
    /// The newest record of each value of a field, newest first, without those that were deleted.
    Current {
        key: String,
        #[schemars(range(min = 1, max = 1000))]
        #[serde(default, deserialize_with = "whole::count")]
        limit: Option<usize>,
        filter: Option<Filter>,
        timestamp_hlc: Option<Moment>,
    },
    /// How many these are.
    CountCurrent {
        key: String,
        filter: Option<Filter>,
        timestamp_hlc: Option<Moment>,
    },
    /// The newest block.
    ChainHead {},
    /// The record with a hash, if there is one.
    Hash { content_hash: String },
    /// What was written between two moments, oldest first.
    TimeRange {
        from_ts: Moment,
        to_ts: Moment,
        #[schemars(range(min = 1, max = 1000))]
        #[serde(default, deserialize_with = "whole::count")]
        limit: Option<usize>,
    },
}

/// What a query is answered with.
#[expect(dead_code, reason = "the contract has its schema")]
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum QueryAnswer<'a> {
    /// Of every query but one.
    Records(RecordsJson<'a>),
    /// Of `count_current`.
    Count(CountJson),
}

/// Answers a query of an agent.
pub(super) async fn of_agent(
    State(api): State<Arc<Api>>,
    Named(scope): Named,
    request: Request,
) -> Result<Response, ApiError> {
    ask(api, scope, request).await
}

/// Answers a query of the whole strand.
pub(super) async fn of_strand(
    State(api): State<Arc<Api>>,
    request: Request,
) -> Result<Response, ApiError> {
    ask(api, Scope::All, request).await
}

async fn ask(api: Arc<Api>, scope: Scope, request: Request) -> Result<Response, ApiError> {
    let query: Query = parsed(&api, request, "a query").await?;
    let answering = move |api: &Api| answer(api, &scope, query);
    paged::searched(api, answering).await
}

/// The JSON body of a request.
pub(super) async fn parsed<T: serde::de::DeserializeOwned>(
    api: &Api,
    request: Request,
    what: &str,
) -> Result<T, ApiError> {
    let (parts, content) = request.into_parts();
    if body::media(&parts.headers)? != Some(Media::Json) {
        return Err(body::unsupported("application/json"));
    }
    let mut body = api.bodies.incoming(content, QUERY_MAX_BYTES);
    let text = body.read().await?;
    serde_json::from_slice(&text)
        .map_err(|error| ApiError::malformed(format!("the body is not {what}: {error}")))
}

fn answer(api: &Api, scope: &Scope, query: Query) -> Result<Vec<u8>, ApiError> {
    match query {
        Query::Latest { limit } => newest(api, scope, &Wanted::new(limit)?)?.json(),
        Query::Scan {
            limit,
            filter,
            timestamp_hlc,
        } => {
            let wanted = Wanted::new(limit)?.filtered(filter).until(timestamp_hlc);
            newest(api, scope, &wanted)?.json()
        }
        Query::AsOf {
            timestamp_hlc,
            limit,
        } => {
            let wanted = Wanted::new(limit)?.until(Some(timestamp_hlc));
            let mut found = newest(api, scope, &wanted)?;
            found.records.blocks.reverse();
            found.json()
        }
        Query::Current {
            key,
            limit,
            filter,
            timestamp_hlc,
        } => {
            let wanted = Wanted::new(limit)?.filtered(filter).until(timestamp_hlc);
            let mut records = Gathered::at_most(wanted.limit);
            let missing = current(api, scope, &key, &wanted, |block| records.take(block))?;
            records.json(missing)
        }
        Query::CountCurrent {
            key,
            filter,
            timestamp_hlc,
        } => {
            let wanted = Wanted::new(None)?.filtered(filter).until(timestamp_hlc);
            let mut count = 0;
            let missing = current(api, scope, &key, &wanted, |_| {
                count += 1;
                ControlFlow::Continue(())
            })?;
            unreadable::log_missing(&missing);
            let missing = missing.into_iter().map(MissingJson::from).collect();
            answer::text(&CountJson { count, missing })
        }
        Query::ChainHead {} => {
            let mut records = Gathered::at_most(1);
            let mut search = Search::new(&api.store, &Scope::All).at_most(1);
            search.each(|block| Ok(records.take(block)))?;
            records.json(search.missing)
        }
        Query::Hash { content_hash } => {
            let mut records = Gathered::at_most(1);
            match read::find(&api.store, scope, &content_hash) {
                Ok(block) => drop(records.take(block)),
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
            records.json(Vec::new())
        }
        Query::TimeRange {
            from_ts,
            to_ts,
            limit,
        } => {
            let limit = limit_of(limit)?;
            walk::between(&api.store, scope, from_ts.0, to_ts.0, limit)
        }
    }
}
