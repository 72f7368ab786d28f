//! Where the pages of walks ended. A client asks for the next page by a number of records; counting them out again for
//! each page would read the strand from its beginning each time.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use boboyka_strand::Seq;

/// Walks that are remembered at a time.
const WALKS_MAX: usize = 256;

/// The ends of the last pages.
#[derive(Default)]
pub(crate) struct Walks(Mutex<VecDeque<End>>);

struct End {
    name: String,
    offset: u64,
    after: Seq,
}

impl Walks {
    /// Where the page begins that has this number of records before it, if a page ended there.
    pub(super) fn place_of(&self, name: &str, offset: u64) -> Option<Seq> {
        let ends = self.ends();
        let mut found = ends.iter().rev();
        let end = found.find(|end| end.name == name && end.offset == offset)?;
        Some(end.after)
    }

    /// A page with this number of records before its end ended with a seq.
    pub(super) fn note(&self, name: &str, offset: u64, after: Seq) {
        let mut ends = self.ends();
        ends.retain(|end| end.name != name || end.offset != offset);
        if ends.len() == WALKS_MAX {
            ends.pop_front();
        }
        let name = name.to_owned();
        ends.push_back(End {
            name,
            offset,
            after,
        });
    }

    fn ends(&self) -> MutexGuard<'_, VecDeque<End>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
