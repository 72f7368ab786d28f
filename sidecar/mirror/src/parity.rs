//! What is known of how a table differs from the strand. Pure.

use std::sync::Arc;
use std::time::Instant;

use boboyka_strand::Seq;

/// How one record or row differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DifferenceKind {
    /// The table should have the record and has not.
    Missing,
    /// The row has other values than the strand wrote.
    Changed,
    /// The row carries the strand's id and is none of its records.
    Extra,
    /// The row is there once more.
    Doubled,
}

impl DifferenceKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Missing, Self::Changed, Self::Extra, Self::Doubled];

    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Changed => "changed",
            Self::Extra => "extra",
            Self::Doubled => "doubled",
        }
    }
}

/// One record or row that differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Its place.
    pub seq: Seq,
    /// How.
    pub kind: DifferenceKind,
}

/// How many there are of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) missing: u64,
    pub(crate) changed: u64,
    pub(crate) extra: u64,
    pub(crate) doubled: u64,
}

impl Tally {
    pub(crate) fn count(&mut self, kind: DifferenceKind) {
        match kind {
            DifferenceKind::Missing => self.missing += 1,
            DifferenceKind::Changed => self.changed += 1,
            DifferenceKind::Extra => self.extra += 1,
            DifferenceKind::Doubled => self.doubled += 1,
        }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.missing += other.missing;
        self.changed += other.changed;
        self.extra += other.extra;
        self.doubled += other.doubled;
    }
}

/// How a table differs from the strand, as far as it was compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneParity {
    /// Every record of the lane up to here that the phase mirrors was compared.
    pub up_to: Seq,
    /// Every one of them at this time or later, in milliseconds since 1970.
    pub checked_at_ms: u64,
    /// The same by the clock that never jumps.
    pub checked: Instant,
    /// The list of legacy projects that was in force, see [`boboyka_store::View::list_since`].
    pub list_since: Seq,
    /// Records that the table should have and has not.
    pub missing: u64,
    /// Rows with other values than the strand wrote.
    pub changed: u64,
    /// Rows with the strand's id that are none of its records.
    pub extra: u64,
    /// Rows beyond the first of one record.
    pub doubled: u64,
    /// Some of the records and rows that differ, oldest first.
    pub differences: Vec<Difference>,
    /// Columns that the mirror fills and that can't be compared.
    pub unchecked_columns: Vec<Arc<str>>,
}

impl LaneParity {
    /// Whether the table holds exactly what the strand wrote.
    pub fn is_equal(&self) -> bool {
        self.missing + self.changed + self.extra + self.doubled == 0
    }
}

/// What is known of a lane's parity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parity {
    /// Everything that is settled was compared.
    Known(LaneParity),
    /// It was not, and why.
    Unknown(Arc<str>),
}

impl Parity {
    /// What is known, if it is.
    pub fn known(&self) -> Option<&LaneParity> {
        match self {
            Self::Known(parity) => Some(parity),
            Self::Unknown(_) => None,
        }
    }

    /// Why it is not known.
    pub fn unknown(&self) -> Option<&str> {
        match self {
            Self::Known(_) => None,
            Self::Unknown(reason) => Some(reason),
        }
    }
}
