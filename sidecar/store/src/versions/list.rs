//! The versions in the tail: sorted parts, each of some consecutive blocks, and what came since the last part.

use std::collections::VecDeque;
use std::sync::Arc;

use boboyka_strand::Seq;

use super::entry::{Entry, KeyHash};

/// Entries after which a part is sorted: few enough that a lookup may walk as many.
const PART_ENTRIES: usize = 1024;

/// The versions in the tail. What was sealed stays until its part goes: it is in a file too, and both say the same.
#[derive(Debug, Default)]
pub(crate) struct TailVersions {
    parts: VecDeque<Part>,
    /// In order of seq.
    open: Vec<Entry>,
}

#[derive(Debug)]
struct Part {
    last: Seq,
    entries: Arc<[Entry]>,
}

impl TailVersions {
    /// Adds the newest block.
    pub(crate) fn push(&mut self, key: KeyHash, seq: Seq) {
        self.open.push(Entry::new(key, seq));
        if self.open.len() >= PART_ENTRIES {
            let entries = sorted(&self.open);
            self.open.clear();
            self.parts.push_back(Part { last: seq, entries });
        }
    }

    /// Forgets what lies in a segment now.
    pub(crate) fn seal(&mut self, sealed: Seq) {
        while self.parts.front().is_some_and(|part| part.last <= sealed) {
            self.parts.pop_front();
        }
        if self
            .open
            .last()
            .is_some_and(|newest| newest.seq() <= sealed)
        {
            self.open.clear();
        }
    }

    /// The newest versions of a key, at most this number, none above a seq.
    pub(crate) fn newest_of(&self, key: KeyHash, at_most: Seq, limit: usize) -> Vec<Seq> {
        let open = self.open.iter().rev().copied();
        let parts = self.parts.iter().rev().flat_map(|part| {
            let target = Entry::new(key, at_most);
            let from = part.entries.partition_point(|entry| *entry < target);
            let rest = part.entries.get(from..).unwrap_or_default();
            rest.iter().copied().take_while(|entry| entry.key == key)
        });
        let open = open.filter(|entry| entry.key == key);
        let seqs = open.chain(parts).map(Entry::seq);
        seqs.filter(|seq| *seq <= at_most).take(limit).collect()
    }

    /// All of it, as sorted lists.
    pub(crate) fn lists(&self) -> Vec<Arc<[Entry]>> {
        let parts = self.parts.iter().map(|part| Arc::clone(&part.entries));
        parts.chain([sorted(&self.open)]).collect()
    }
}

fn sorted(entries: &[Entry]) -> Arc<[Entry]> {
    let mut entries = entries.to_vec();
    entries.sort_unstable();
    entries.into()
}
