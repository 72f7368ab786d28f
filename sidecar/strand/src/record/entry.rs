//! An entry of a map that is being encoded: where its key and its value lie in the output.

/// A map entry in the output: key and value, not yet in order.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    pub(super) start: usize,
    pub(super) key: usize,
    pub(super) value: usize,
    pub(super) end: usize,
}

impl Entry {
    /// The key's UTF-8 bytes.
    pub(super) fn key<'a>(&self, out: &'a [u8]) -> &'a [u8] {
        out.get(self.key..self.value).unwrap_or_default()
    }

    /// The value's `MessagePack`.
    pub(super) fn value<'a>(&self, out: &'a [u8]) -> &'a [u8] {
        out.get(self.value..self.end).unwrap_or_default()
    }
}
