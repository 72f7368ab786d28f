//! Walking records from the oldest on.

use std::ops::ControlFlow;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use boboyka_store::{ForwardQuery, Missing, Store};
use boboyka_strand::{Block, Hlc, Seq};

use super::answer::{Gathered, LIMIT_MAX};
use super::scope::{Named, Scope, is_record};
use super::search::{READ_MAX, too_long};
use crate::api::error::ApiError;
use crate::api::paged;
use crate::api::parameters::Parameters;
use crate::api::state::Api;

const LIMIT_DEFAULT: usize = 100;
const STEP_BYTES: usize = 1024 * 1024;
const STEP_READ: usize = 16 * 1024;

/// A page of an agent's records, oldest first.
pub(super) async fn of_agent(
    State(api): State<Arc<Api>>,
    Named(scope): Named,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    let page = Page::parse(&parameters)?;
    paged::searched(api, move |api| page.read(api, &scope)).await
}

/// A page of the strand's blocks, oldest first.
pub(super) async fn of_strand(
    State(api): State<Arc<Api>>,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    let page = Page::parse(&parameters)?;
    paged::searched(api, move |api| page.read(api, &Scope::All)).await
}

struct Page {
    limit: usize,
    /// How many readable records come before it.
    offset: u64,
}

impl Page {
    fn parse(parameters: &Parameters) -> Result<Self, ApiError> {
        parameters.only(&["limit", "offset"])?;
        let number = |name: &str| parameters.get(name).map(str::parse::<u64>).transpose();
        let limit = number("limit").ok().map(|limit| {
            let limit = limit.map_or(Ok(LIMIT_DEFAULT), usize::try_from).ok();
            limit.filter(|limit| (1..=LIMIT_MAX).contains(limit))
        });
        let limit = limit.flatten();
        let offset = number("offset");
        Ok(Self {
            limit: limit.ok_or_else(|| ApiError::parameter("limit", "must be 1 to 1000"))?,
            offset: offset
                .map_err(|_| ApiError::parameter("offset", "must be a whole number from 0"))?
                .unwrap_or(0),
        })
    }

    /// A walk goes on where its last page ended, whatever was pruned or damaged since; any other page is counted out.
    fn read(&self, api: &Api, scope: &Scope) -> Result<Vec<u8>, ApiError> {
        let name = scope.name().unwrap_or_default();
        let known = api.walks.place_of(name, self.offset);
        let (after, mut left) =
            known.map_or_else(|| self.count_out(&api.store, scope), |at| (at, 0));
        let mut page = Gathered::at_most(self.limit);
        let missing = forward(&api.store, scope, after, |block| {
            if *scope != Scope::All && !is_record(&block) {
                return ControlFlow::Continue(());
            }
            if left > 0 {
                left -= 1;
                return ControlFlow::Continue(());
            }
            page.take(block)
        })?;
        if let Some(last) = page.blocks.last() {
            let end = self.offset + page.blocks.len() as u64;
            api.walks.note(name, end, last.header.seq);
        }
        page.json(missing)
    }

    fn count_out(&self, store: &Store, scope: &Scope) -> (Seq, u64) {
        match scope {
            // Which documents are of the collection is seen by reading them.
            Scope::Collection(_) => (store.place_after(None, 0).0, self.offset),
            Scope::All | Scope::Type(_) => store.place_after(scope.record_type(), self.offset),
        }
    }
}

/// What a scope has between two moments, both included.
pub(super) fn between(
    store: &Store,
    scope: &Scope,
    from: Hlc,
    to: Hlc,
    limit: usize,
) -> Result<Vec<u8>, ApiError> {
    let after = store.place_before(Hlc::new(from.get().saturating_sub(1)));
    let mut records = Gathered::at_most(limit);
    let missing = forward(store, scope, after, |block| {
        let at = block.header.timestamp_hlc;
        if at > to {
            ControlFlow::Break(())
        } else if at < from || !is_record(&block) {
            ControlFlow::Continue(())
        } else {
            records.take(block)
        }
    })?;
    records.json(missing)
}

/// Passes on each block of a scope after a place, oldest first, until the caller has enough; returns what could not be
/// read on the way.
fn forward(
    store: &Store,
    scope: &Scope,
    mut after: Seq,
    mut take: impl FnMut(Block) -> ControlFlow<()>,
) -> Result<Vec<Missing>, ApiError> {
    let (mut missing, mut read) = (Vec::new(), 0);
    loop {
        let step = store.forward(&ForwardQuery {
            after,
            record_type: scope.record_type(),
            limit: LIMIT_MAX,
            max_payload_bytes: STEP_BYTES,
            max_read: STEP_READ,
        });
        let (is_at_head, reached) = (step.is_at_head, step.reached);
        read += step.read + step.missing.len();
        let blocks = step.blocks.into_iter().filter(|block| scope.holds(block));
        let mut last = None;
        for block in blocks {
            let seq = block.header.seq;
            if take(block).is_break() {
                last = Some(seq);
                break;
            }
        }
        let end = last.unwrap_or(reached);
        let passed = step.missing.into_iter();
        missing.extend(passed.filter(|missing| missing.first_seq <= end));
        if last.is_some() || is_at_head {
            return Ok(missing);
        }
        if read >= READ_MAX {
            return Err(too_long());
        }
        after = reached;
    }
}
