//! What can be set.

use std::time::Duration;

use boboyka_strand::PerType;

use crate::foreign::ForeignScope;
use crate::table::TableSettings;

/// How the lanes work. A change is obeyed from the next batch and the next ingest on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long an ingest waits for its row.
    pub ack_timeout: Duration,
    /// Most rows of a request.
    pub batch_rows: usize,
    /// Most bytes of a request's body; a row that is longer goes alone. Read once, at the start.
    pub batch_bytes: usize,
    /// How long a lane waits at most after its key or grant was refused; at first it is a second.
    pub auth_recheck: Duration,
    /// How long after its table did not fit.
    pub schema_recheck: Duration,
    /// How long after its table refused too many records in a row.
    pub refused_recheck: Duration,
    /// How each record type's table differs from the product's own.
    pub tables: PerType<TableSettings>,
    /// Which rows count as written by no strand.
    pub foreign: ForeignScope,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ack_timeout: Duration::from_secs(2),
            batch_rows: 500,
            batch_bytes: 1024 * 1024,
            auth_recheck: Duration::from_mins(5),
            schema_recheck: Duration::from_mins(1),
            refused_recheck: Duration::from_mins(1),
            tables: PerType::default(),
            foreign: ForeignScope::default(),
        }
    }
}
