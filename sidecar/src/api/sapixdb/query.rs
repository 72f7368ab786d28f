//! The client's queries.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::ops::ControlFlow;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use boboyka_strand::record::field;
use boboyka_strand::{Block, Hlc};
use serde::Deserialize;

use super::answer::{self, Gathered};
use super::matches::Filter;
use super::moment::Moment;
use super::read;
use super::scope::{Named, Scope, is_record};
use super::search::Search;
use super::walk;
use super::wire::CountJson;
use crate::api::body::{self, Media};
use crate::api::error::ApiError;
use crate::api::paged;
use crate::api::state::Api;
use crate::api::unreadable;
use crate::api::wire::MissingJson;

/// The longest body of a query.
const QUERY_MAX_BYTES: usize = 64 * 1024;
const LIMIT_DEFAULT: usize = 10;
/// The most records of an answer.
pub(super) const LIMIT_MAX: usize = 1_000;

/// What is asked.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Query {
    /// The newest records, newest first.
    Latest { limit: Option<usize> },
    /// The newest that a filter admits, newest first.
    Scan {
        limit: Option<usize>,
        filter: Option<Filter>,
        timestamp_hlc: Option<Moment>,
    },
    /// The newest up to a moment, oldest first.
    AsOf {
        timestamp_hlc: Moment,
        limit: Option<usize>,
    },
    /// The newest record of each value of a field, newest first, without those that were deleted.
    Current {
        key: String,
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
        limit: Option<usize>,
    },
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

/// What of the newest records is wanted.
pub(super) struct Wanted {
    pub(super) limit: usize,
    pub(super) filters: Vec<Filter>,
    pub(super) until: Option<Hlc>,
}

impl Wanted {
    pub(super) fn new(limit: Option<usize>) -> Result<Self, ApiError> {
        Ok(Self {
            limit: limit_of(limit)?,
            filters: Vec::new(),
            until: None,
        })
    }

    fn filtered(mut self, filter: Option<Filter>) -> Self {
        self.filters.extend(filter);
        self
    }

    pub(super) fn until(mut self, moment: Option<Moment>) -> Self {
        self.until = moment.map(|Moment(hlc)| hlc);
        self
    }

    fn admits(&self, block: &Block) -> bool {
        self.filters.iter().all(|filter| filter.admits(block))
    }
}

pub(super) fn limit_of(limit: Option<usize>) -> Result<usize, ApiError> {
    let limit = limit.unwrap_or(LIMIT_DEFAULT);
    if (1..=LIMIT_MAX).contains(&limit) {
        Ok(limit)
    } else {
        Err(ApiError::parameter("limit", "must be 1 to 1000"))
    }
}

/// What a search came to.
pub(super) struct Found {
    pub(super) records: Gathered,
    pub(super) missing: Vec<boboyka_store::Missing>,
}

impl Found {
    fn json(self) -> Result<Vec<u8>, ApiError> {
        self.records.json(self.missing)
    }
}

/// The newest records, newest first.
pub(super) fn newest(api: &Api, scope: &Scope, wanted: &Wanted) -> Result<Found, ApiError> {
    let mut records = Gathered::at_most(wanted.limit);
    let mut search = Search::new(&api.store, scope).until(wanted.until);
    if wanted.filters.is_empty() {
        search = search.at_most(wanted.limit);
    }
    search.each(|block| {
        Ok(if is_record(&block) && wanted.admits(&block) {
            records.take(block)
        } else {
            ControlFlow::Continue(())
        })
    })?;
    let missing = search.missing;
    Ok(Found { records, missing })
}

/// The newest record of each value of a field: first the newest is chosen, then it must be admitted and not deleted. So a
/// deleted newest record does not bring back the one before it. Of a value only a hash is kept.
pub(super) fn current(
    api: &Api,
    scope: &Scope,
    key: &str,
    wanted: &Wanted,
    mut take: impl FnMut(Block) -> ControlFlow<()>,
) -> Result<Vec<boboyka_store::Missing>, ApiError> {
    let (mut seen, hasher) = (HashSet::new(), RandomState::new());
    let mut search = Search::new(&api.store, scope).until(wanted.until);
    search.each(|block| {
        let value = is_record(&block)
            .then(|| field(&block.payload, key))
            .flatten();
        let is_newest = value.is_some_and(|value| seen.insert(hasher.hash_one(value.to_string())));
        if !is_newest || !wanted.admits(&block) {
            return Ok(ControlFlow::Continue(()));
        }
        let deletion = api.tombstones.of(&api.store, &block.hash)?;
        if deletion.is_some_and(|deletion| wanted.until.is_none_or(|until| deletion.at <= until)) {
            return Ok(ControlFlow::Continue(()));
        }
        Ok(take(block))
    })?;
    Ok(search.missing)
}
