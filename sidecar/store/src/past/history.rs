//! The versions of one key.

use std::ops::ControlFlow;

use boboyka_strand::{Block, Head, RecordType, Seq, key_of};

use super::find::{self, Found};
use crate::error::{ReadError, causes};
use crate::page::Missing;
use crate::read;
use crate::shared::Shared;
use crate::versions::KeyHash;

/// How many versions are looked for at first: hardly ever more than one is needed.
const FIRST: usize = 2;
/// How many at most at a time.
const MOST: usize = 256;

/// A version of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The key.
    pub key: String,
    /// The record.
    pub block: Block,
}

/// Which versions of a key a page is of.
#[derive(Clone, Debug)]
pub struct HistoryQuery {
    /// The type of the records.
    pub record_type: RecordType,
    /// The key.
    pub key: String,
    /// Only versions up to this seq.
    pub at_most: Seq,
    /// How many at most.
    pub limit: usize,
    /// The length of all payloads at most; a page has its first version whatever its length.
    pub max_payload_bytes: usize,
}

/// A page of a key's versions.
#[derive(Debug, Default)]
pub struct History {
    /// Newest first.
    pub versions: Vec<Version>,
    /// What the page passed and can't tell, newest first.
    pub missing: Vec<Missing>,
    /// `at_most` of the next page; `None` when there is none.
    pub next: Option<Seq>,
}

/// The newest version of a key at a moment, and what can't be known above it.
///
/// # Errors
/// The newest version can't be read, or the versions are not gathered yet.
pub(crate) fn newest(
    shared: &Shared,
    record_type: RecordType,
    key: &str,
    moment: &Head,
) -> Result<(Option<Version>, Vec<Missing>), ReadError> {
    let mut found = None;
    let missing = walk(shared, record_type, key, moment.seq, |_, block| {
        found = Some(block?);
        Ok(ControlFlow::Break(()))
    })?;
    let version = found.map(|block| Version {
        key: key.to_owned(),
        block,
    });
    Ok((version, missing))
}

/// A page of a key's versions.
///
/// # Errors
/// The versions are not gathered yet.
pub(crate) fn history(shared: &Shared, query: &HistoryQuery) -> Result<History, ReadError> {
    let (mut page, mut bytes, mut unreadable) = (History::default(), 0, Vec::new());
    let walked = walk(
        shared,
        query.record_type,
        &query.key,
        query.at_most,
        |seq, block| {
            let taken = page.versions.len() + unreadable.len();
            let block = match block {
                _ if taken >= query.limit => {
                    page.next = Some(seq);
                    return Ok(ControlFlow::Break(()));
                }
                Ok(block) => block,
                Err(error) => {
                    unreadable.push(Missing {
                        first_seq: seq,
                        last_seq: seq,
                        why: causes(&error),
                    });
                    return Ok(ControlFlow::Continue(()));
                }
            };
            bytes += block.payload.len();
            if bytes > query.max_payload_bytes && !page.versions.is_empty() {
                page.next = Some(seq);
                return Ok(ControlFlow::Break(()));
            }
            let key = query.key.clone();
            page.versions.push(Version { key, block });
            Ok(ControlFlow::Continue(()))
        },
    );
    page.missing = walked?;
    page.missing.extend(unreadable);
    if let Some(next) = page.next {
        page.missing.retain(|missing| missing.last_seq > next);
    }
    page.missing
        .sort_by_key(|missing| std::cmp::Reverse(missing.first_seq));
    Ok(page)
}

/// Visits the versions of a key, newest first, and returns what can't be known above the last one visited. A block that
/// can't be read may be one; what another key left under the same hash is none.
fn walk(
    shared: &Shared,
    record_type: RecordType,
    key: &str,
    at_most: Seq,
    mut visit: impl FnMut(Seq, Result<Block, ReadError>) -> Result<ControlFlow<()>, ReadError>,
) -> Result<Vec<Missing>, ReadError> {
    let hash = KeyHash::of(record_type, key);
    let (mut at_most, mut limit, mut passed) = (at_most, FIRST, Vec::new());
    loop {
        let Found {
            seqs,
            missing,
            ended,
        } = find::versions(shared, hash, at_most, limit)?;
        for seq in &seqs {
            let block = match read::block(shared, *seq) {
                // Pruned meanwhile, as is all that is older.
                Ok(None) | Err(ReadError::Pruned { .. }) => return Ok(passed),
                // Of one that is gone the hash of the key is all there is, which no other key is likely to have.
                Ok(Some(block))
                    if !block.is_gone() && key_of(record_type, &block.payload) != Some(key) =>
                {
                    continue;
                }
                Ok(Some(block)) => Ok(block),
                Err(error) => Err(error),
            };
            if visit(*seq, block)?.is_break() {
                passed.extend(
                    missing
                        .into_iter()
                        .filter(|missing| missing.last_seq > *seq),
                );
                return Ok(passed);
            }
        }
        passed.extend(missing);
        let Some(last) = seqs.last().filter(|_| !ended) else {
            return Ok(passed);
        };
        (at_most, limit) = (last - 1, (limit * 4).min(MOST));
    }
}
