//! What is gone of a segment that was rewritten without payloads.

use boboyka_strand::{PerType, RecordType};

use crate::counts::Counts;

/// The key of a version whose payload is gone: a position, the key's hash.
pub(super) const GONE_KEY_LEN: usize = 10;

/// Times rewritten, codes of the types, counts, keys.
pub(super) type GoneForm = (u32, Vec<u8>, Counts<u32>, u32);

/// What is gone of a segment that was rewritten without payloads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Gone {
    /// How often it was rewritten; part of the file's name.
    pub(crate) times: u32,
    /// The types whose payloads went; the strand's own records keep theirs.
    pub(crate) types: PerType<bool>,
    /// Blocks per record type whose payload is gone.
    pub(crate) counts: PerType<u32>,
    /// How many of them are versions of a key.
    pub(super) keys: u32,
}

impl Gone {
    /// The same as it lies on the disk.
    pub(super) fn to_form(self) -> GoneForm {
        let types = RecordType::ALL.into_iter().filter(|kind| self.types[*kind]);
        let types = types.map(RecordType::code).collect();
        (self.times, types, Counts(self.counts), self.keys)
    }

    pub(super) fn of_form((times, types, counts, keys): GoneForm) -> Self {
        Self {
            times,
            types: PerType::from_fn(|kind: RecordType| types.contains(&kind.code())),
            counts: counts.0,
            keys,
        }
    }

    /// Blocks whose payload is gone.
    pub(crate) fn len(&self) -> u64 {
        self.counts.values().copied().map(u64::from).sum()
    }
}
