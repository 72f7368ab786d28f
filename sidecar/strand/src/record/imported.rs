//! Where an imported record comes from.

use super::limits::{BACKFILL, ORIGIN_TAG, ROW_TAG, TABLE_TAG};

/// The row that an imported record was, before any strand wrote to its table.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// The table.
    pub table: &'a str,
    /// The row's primary key, such as `id=17`.
    pub key: &'a str,
}

impl<'a> Row<'a> {
    /// The strand's own keys that say so.
    pub(super) fn tags(self) -> [(&'static str, &'a str); 3] {
        [
            (ORIGIN_TAG, BACKFILL),
            (TABLE_TAG, self.table),
            (ROW_TAG, self.key),
        ]
    }
}
