//! Up to where a lane can be compared: what it has not settled yet is not missing. Pure.

use boboyka_store::View;
use boboyka_strand::{RecordType, Seq};

/// How far a lane is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reach {
    /// The table has every record of the lane up to here, but for the refused ones.
    pub(crate) settled: Seq,
    /// Nothing else is to be compared up to here.
    pub(crate) up_to: Seq,
}

impl Reach {
    /// How far a lane is settled in a view of the strand.
    pub(crate) fn of(view: &View, lane: RecordType) -> Self {
        if view.backlog(lane) == 0 {
            // An idle lane's mark lags behind the head; the counts know better.
            return Self {
                settled: view.mirrored_end(lane),
                up_to: view.head.seq,
            };
        }
        let settled = view.marks[lane].seq;
        Self {
            settled,
            up_to: settled,
        }
    }
}
