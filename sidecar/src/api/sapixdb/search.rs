//! Records of a scope from the newest back, read page by page: no more than a page is in memory, and a request reads no
//! more than some records.

use std::ops::ControlFlow;

use boboyka_store::{Missing, PageQuery, Store};
use boboyka_strand::{Block, Hlc, Seq};

use super::scope::Scope;
use crate::api::error::{ApiError, Code};

/// Records that one request reads at most: about a second's work.
pub(crate) const READ_MAX: usize = if cfg!(test) { 2_000 } else { 500_000 };
const PAGE_RECORDS: usize = 512;
const PAGE_BYTES: usize = 1024 * 1024;

/// What is said of a record whose payload is gone.
const PAYLOAD_GONE: &str = "retention removed the payload";

/// A search on its way.
pub(super) struct Search<'a> {
    store: &'a Store,
    scope: &'a Scope,
    /// Only records up to this time.
    until: Option<Hlc>,
    page: usize,
    left: usize,
    /// The record before was one without its payload.
    after_gone: bool,
    /// What it passed and could not read.
    pub(super) missing: Vec<Missing>,
}

impl<'a> Search<'a> {
    pub(super) fn new(store: &'a Store, scope: &'a Scope) -> Self {
        Self {
            store,
            scope,
            until: None,
            page: PAGE_RECORDS,
            left: READ_MAX,
            after_gone: false,
            missing: Vec::new(),
        }
    }

    /// Only records up to this time.
    pub(super) fn until(mut self, until: Option<Hlc>) -> Self {
        self.until = until;
        self
    }

    /// The caller takes no more records than this, if all are of its type.
    pub(super) fn at_most(mut self, limit: usize) -> Self {
        if !matches!(self.scope, Scope::Collection(_)) {
            self.page = limit.clamp(1, PAGE_RECORDS);
        }
        self
    }

    /// Passes on each block of the scope, the newest first, until the caller has enough.
    ///
    /// # Errors
    /// Too much had to be read.
    pub(super) fn each(
        &mut self,
        mut take: impl FnMut(Block) -> Result<ControlFlow<()>, ApiError>,
    ) -> Result<(), ApiError> {
        let mut before = Seq::MAX;
        loop {
            let page = self.store.page(&PageQuery {
                record_type: self.scope.record_type(),
                before,
                until_ms: self.until.map_or(u64::MAX, Hlc::ms),
                limit: self.page,
                max_payload_bytes: PAGE_BYTES,
                ..PageQuery::default()
            });
            let read = page.blocks.len() + page.missing.len();
            self.left = self.left.checked_sub(read).ok_or_else(too_long)?;
            self.missing.extend(page.missing);
            for block in page.blocks {
                let in_time = self
                    .until
                    .is_none_or(|until| block.header.timestamp_hlc <= until);
                if !in_time || !self.scope.holds(&block) {
                    continue;
                }
                if block.is_gone() {
                    self.pass_gone(block.header.seq);
                    continue;
                }
                self.after_gone = false;
                if take(block)?.is_break() {
                    return Ok(());
                }
            }
            match page.next_before {
                Some(next) => before = next,
                None => return Ok(()),
            }
        }
    }
}

impl Search<'_> {
    /// Notes a record whose payload is gone: nobody can tell whether it belongs to the answer. What follows one another in the search is one part.
    fn pass_gone(&mut self, seq: Seq) {
        let is_neighbour = std::mem::replace(&mut self.after_gone, true);
        let last = self.missing.last_mut();
        match last.filter(|part| is_neighbour && part.why == PAYLOAD_GONE) {
            Some(part) => part.first_seq = seq,
            None => self.missing.push(Missing {
                first_seq: seq,
                last_seq: seq,
                why: PAYLOAD_GONE.to_owned(),
            }),
        }
    }
}

/// The refusal of a request that would read too much.
pub(super) fn too_long() -> ApiError {
    let message = format!(
        "the answer lies more than {READ_MAX} records back; ask with a limit that newer records fill, or read the strand with GET /v1/strand/records"
    );
    ApiError::new(Code::ScanTooLong, message)
}
