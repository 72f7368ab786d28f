//! What binds the floor: the strand's own record of the pruning that left it. A floor that was raised by hand is named by
//! no record.
//!
//! Floor, binding and record become durable in one commit. The record lies above the floor, so it goes only with a later
//! pruning, which has a record of its own.

use boboyka_strand::{Block, Hash, Record, RecordError, RecordType, Seq};
use serde_json::json;

use crate::floor::Floor;
use crate::own::data_of;

const EVENT: &str = "pruned";

/// What binds a floor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Binding {
    /// Nothing was pruned, so nothing is bound.
    #[default]
    Nothing,
    /// The record with this seq and hash.
    Record(Seq, Hash),
    /// No record: the strand was pruned up to this seq by a version that made none.
    Earlier(Seq),
}

/// The strand's own record of a pruning.
pub(crate) fn record(before: &Floor, floor: &Floor) -> Result<Record, RecordError> {
    let counts: serde_json::Map<_, _> = RecordType::ALL
        .into_iter()
        .map(|kind| (kind, floor.counts[kind] - before.counts[kind]))
        // Where there are no documents, none are told of.
        .filter(|(kind, count)| kind.table().is_some() || *count > 0)
        .map(|(kind, count)| (kind.name().to_owned(), count.into()))
        .collect();
    let metadata = json!({
        "first_seq": before.head.seq + 1,
        "last_seq": floor.head.seq,
        "last_hash": floor.head.hash,
        "counts": counts,
    });
    Record::own(EVENT, &metadata)
}

/// Whether a block is the strand's own record of a pruning.
pub(crate) fn is_record(block: &Block) -> bool {
    data_of(block, EVENT).is_some()
}

/// Whether a block is the record of the pruning that left a floor.
pub(crate) fn binds(block: &Block, floor: &Floor) -> bool {
    let last_hash = json!(floor.head.hash);
    data_of(block, EVENT).is_some_and(|data| {
        let named = |field| data.pointer(field);
        named("/metadata/last_seq") == Some(&floor.head.seq.into())
            && named("/metadata/last_hash") == Some(&last_hash)
    })
}
