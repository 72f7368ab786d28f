//! Which records an answer has: the newest that are wanted, or the newest of each value of a field.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::ops::ControlFlow;

use boboyka_store::Missing;
use boboyka_strand::record::field;
use boboyka_strand::{Block, Hlc};

use super::answer::{Gathered, LIMIT_MAX};
use super::matches::Filter;
use super::moment::Moment;
use super::scope::{Scope, is_record};
use super::search::Search;
use crate::api::error::ApiError;
use crate::api::state::Api;

const LIMIT_DEFAULT: usize = 10;

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

    pub(super) fn filtered(mut self, filter: Option<Filter>) -> Self {
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

/// How many records are wanted.
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
    pub(super) missing: Vec<Missing>,
}

impl Found {
    pub(super) fn json(self) -> Result<Vec<u8>, ApiError> {
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
) -> Result<Vec<Missing>, ApiError> {
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
