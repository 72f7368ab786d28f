//! A gap: records that were acknowledged and that the disk has lost. The strand goes on above them, so that no
//! seq is ever given twice, and says what is missing.

use boboyka_strand::{Hash, Head, Seq};

/// A range of records that is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The first lost record.
    pub first: Seq,
    /// The hash of the block before it.
    pub hash_before: Hash,
    /// The last lost record, as the block behind it or the last acknowledged head names it. Its time is a lower bound
    /// where nothing tells the real one.
    pub last: Head,
    /// When the loss was found, in milliseconds since 1970.
    pub found_ms: u64,
}

impl Gap {
    /// How many records are lost.
    #[expect(clippy::len_without_is_empty, reason = "a gap is never empty")]
    pub fn len(&self) -> u64 {
        self.last.seq + 1 - self.first
    }

    /// Whether a seq is among the lost ones.
    pub fn holds(&self, seq: Seq) -> bool {
        (self.first..=self.last.seq).contains(&seq)
    }
}
