//! Repairing a table on demand: the request to a lane, and its answer.

use tokio::sync::oneshot;

use crate::parity::Difference;

/// A request for what differs to be sent again.
#[derive(Debug)]
pub(crate) struct Repair {
    pub(crate) differences: Vec<Difference>,
    pub(crate) reply: oneshot::Sender<RepairReport>,
}

/// What a repair did. What differs afterwards is in the lanes' parity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepairReport {
    /// Records and rows that differed.
    pub found: u64,
    /// Rows that were sent again and that the table took.
    pub sent: u64,
    /// What can't be mended by sending it again: a changed row of a table of records, an extra or a doubled row. The mirror
    /// may neither change such a row nor delete it.
    pub beyond_repair: u64,
    /// Why not everything was sent, if it was not.
    pub reason: Option<String>,
}

impl RepairReport {
    /// Adds another lane's.
    pub(crate) fn add(&mut self, other: Self) {
        self.found += other.found;
        self.sent += other.sent;
        self.beyond_repair += other.beyond_repair;
        self.reason = self.reason.take().or(other.reason);
    }
}
