//! What is known of rows that no strand wrote: somebody still has a write path of their own. Pure.

use std::sync::Arc;
use std::time::{Duration, Instant};

/// Which rows this sidecar counts as written by nobody's strand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForeignScope {
    /// None: another strand's sidecar counts them.
    #[default]
    Elsewhere,
    /// Rows without a hash or a strand. The strands of others write to the same tables.
    Nameless,
    /// The same, and rows of any strand but this one.
    AllButOwn,
}

/// The rows that no strand wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignWrites {
    /// Rows that were written before this time are not counted, in milliseconds since 1970.
    pub since_ms: u64,
    /// Every table was looked at at this time or later, in milliseconds since 1970.
    pub checked_at_ms: u64,
    /// The same by the clock that never jumps.
    pub checked: Instant,
    /// The tables that have such rows.
    pub tables: Vec<ForeignTable>,
}

/// Those of one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignTable {
    /// The table.
    pub table: Arc<str>,
    /// How many.
    pub rows: u64,
    /// The newest was written at this time or before.
    pub newest_at_ms: Option<u64>,
    /// For how long none had been written when they were counted: by the database's clock when it was first seen, and since
    /// then by the clock that never jumps.
    pub quiet: Duration,
    /// Keys of the newest, as `COLUMN=VALUE`.
    pub sample: Vec<String>,
}

/// What this sidecar knows of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// Another strand's sidecar counts them.
    Elsewhere,
    /// They were counted.
    Known(ForeignWrites),
    /// They were not, and why.
    Unknown(Arc<str>),
}

impl Foreign {
    /// What is known, if it is.
    pub fn known(&self) -> Option<&ForeignWrites> {
        match self {
            Self::Known(writes) => Some(writes),
            Self::Elsewhere | Self::Unknown(_) => None,
        }
    }

    /// Why it is not known, if this sidecar ought to know it.
    pub fn unknown(&self) -> Option<&str> {
        match self {
            Self::Unknown(reason) => Some(reason),
            Self::Elsewhere | Self::Known(_) => None,
        }
    }
}
