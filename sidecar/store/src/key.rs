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
/// A key that several records share as one unit is remembered by a key of each record's own. Record 1
/// has one that follows from the shared key alone, so that its use is found whatever the content was.
/// Every other one follows from the shared key, the content of all records, and the record's index, so
/// that it is found for this content only. A unit of which a crash left the first records is known by
/// record 0, and completed when it is sent again.
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

    /// The key by which it is found that this one was shared by several records.
    pub(crate) fn several(self) -> Self {
        Self::derive(SEVERAL, &[&self.0])
    }

    /// The keys of the records of a unit of two or more.
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
