//! Idempotency keys: what a caller sends to be able to send again.

use std::time::Duration;

use boboyka_strand::Record;

/// How long a key is remembered after its record was appended.
pub(crate) const KEY_WINDOW: Duration = Duration::from_hours(24);

/// The longest key that a caller may send, in bytes; a UUID has 36.
pub const KEY_MAX_BYTES: usize = 255;

const TEXT: &str = "boboyka.sapixdb.com 2026-11 idempotency key v1";
const SEVERAL: &str = "boboyka.sapixdb.com 2026-11 idempotency key of several records v1";
const PART: &str = "boboyka.sapixdb.com 2026-11 idempotency key of one of several records v1";
const CONTENT: &str = "boboyka.sapixdb.com 2026-11 content of several records v1";

/// An idempotency key as the store remembers it: 80 bits of BLAKE3, enough that two of a day's keys
/// never meet, little enough to keep with every record.
///
/// If several records share a key as one unit, each record has a key derived from it. That of record 1
/// depends on the shared key alone, so the store finds it whatever the content was. Those of all other
/// records also depend on the content of the whole unit and on the record's index, so the store finds
/// them only for the same content. If a crash leaves only the first records of a unit, the key of record 0
/// identifies them, and the store completes the unit when the caller sends it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IdempotencyKey([u8; Self::LEN]);

impl IdempotencyKey {
    /// Length in bytes.
    pub(crate) const LEN: usize = 10;

    /// The key that a caller's text stands for.
    pub fn new(text: &str) -> Self {
        Self::derive(TEXT, &[text.as_bytes()])
    }

    fn derive(context: &str, parts: &[&[u8]]) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key(context);
        for part in parts {
            hasher.update(part);
        }
        let mut key = [0; Self::LEN];
        hasher.finalize_xof().fill(&mut key);
        Self(key)
    }

    /// The key of record 1 of a unit: whether it is used says whether several records shared this key.
    pub(crate) fn several(self) -> Self {
        Self::derive(SEVERAL, &[&self.0])
    }

    /// The keys of the records of a unit; there are at least two.
    pub(crate) fn parts(self, records: &[Record]) -> Vec<Self> {
        let mut content = blake3::Hasher::new_derive_key(CONTENT);
        for record in records {
            content.update(&[record.record_type().code()]);
            content.update(record.payload_hash().as_bytes());
        }
        let content = content.finalize();
        let part = |index: u32| match index {
            1 => self.several(),
            _ => Self::derive(PART, &[&self.0, content.as_bytes(), &index.to_be_bytes()]),
        };
        (0..).map(part).take(records.len()).collect()
    }

    pub(crate) const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// The first four bytes: what indexes sort by first.
    pub(crate) fn prefix(&self) -> u32 {
        let [a, b, c, d, ..] = self.0;
        u32::from_be_bytes([a, b, c, d])
    }
}
