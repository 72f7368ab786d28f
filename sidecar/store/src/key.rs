//! Idempotency keys: what a caller sends to be able to send again.

use std::time::Duration;

/// How long a key is remembered after its record was appended.
pub(crate) const KEY_WINDOW: Duration = Duration::from_hours(24);

/// The longest key that a caller may send, in bytes; a UUID has 36.
pub const KEY_MAX_BYTES: usize = 255;

/// An idempotency key as the store remembers it: 80 bits of BLAKE3, enough that two of a day's keys
/// never meet, little enough to keep with every record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IdempotencyKey([u8; Self::LEN]);

impl IdempotencyKey {
    /// Length in bytes.
    pub(crate) const LEN: usize = 10;

    /// The key that a caller's text stands for.
    pub fn new(text: &str) -> Self {
        let mut key = [0; Self::LEN];
        blake3::Hasher::new_derive_key("boboyka.sapixdb.com 2026-11 idempotency key v1")
            .update(text.as_bytes())
            .finalize_xof()
            .fill(&mut key);
        Self(key)
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
