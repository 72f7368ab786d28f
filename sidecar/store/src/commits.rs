//! The latest commits, for whoever asks which one a record came with. None are kept until somebody wants them.

use std::collections::VecDeque;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use boboyka_strand::Seq;

/// More commits than are acknowledged between the answer to an append and the question for its commit.
const KEPT: usize = 64;

/// A commit of records that is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The seq of its first record.
    pub first: Seq,
    /// The seq of its last record.
    pub last: Seq,
    /// When the writer took what waited.
    pub began: SystemTime,
    /// How long it took until all of it was durable.
    pub took: Duration,
}

/// When a commit began, by both clocks.
pub(crate) struct Began(SystemTime, Instant);

/// The latest commits.
#[derive(Default)]
pub(crate) struct Commits(OnceLock<Mutex<VecDeque<Committed>>>);

impl Commits {
    /// Keeps them from now on.
    pub(crate) fn keep(&self) {
        self.0
            .get_or_init(|| Mutex::new(VecDeque::with_capacity(KEPT)));
    }

    /// A commit begins; nothing if none are kept.
    pub(crate) fn begin(&self) -> Option<Began> {
        self.0.get()?;
        Some(Began(SystemTime::now(), Instant::now()))
    }

    /// It is durable, with the records after `before`.
    pub(crate) fn end(&self, Began(began, since): Began, before: Seq, last: Seq) {
        let Some(kept) = self.0.get().filter(|_| last > before) else {
            return;
        };
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(Committed {
            first: before + 1,
            last,
            began,
            took: since.elapsed(),
        });
    }

    /// The commit that this record came with, if it was one of the latest.
    pub(crate) fn of(&self, seq: Seq) -> Option<Committed> {
        let kept = self.0.get()?.lock().unwrap_or_else(PoisonError::into_inner);
        let mut newest_first = kept.iter().rev();
        newest_first
            .find(|one| (one.first..=one.last).contains(&seq))
            .copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(commits: &Commits, before: Seq, last: Seq) {
        if let Some(began) = commits.begin() {
            commits.end(began, before, last);
        }
    }

    #[test]
    fn nothing_is_kept_until_it_is_wanted() {
        let commits = Commits::default();
        commit(&commits, 0, 3);
        assert!(commits.begin().is_none() && commits.of(2).is_none());
        commits.keep();
        commit(&commits, 3, 5);
        assert!(commits.of(3).is_none());
        let found = commits.of(4).unwrap();
        assert_eq!((found.first, found.last), (4, 5));
    }

    #[test]
    fn a_commit_without_records_is_none_and_the_latest_are_kept() {
        let commits = Commits::default();
        commits.keep();
        commit(&commits, 7, 7);
        assert!(commits.of(7).is_none());
        for seq in 0..2 * KEPT as u64 {
            commit(&commits, seq, seq + 1);
        }
        assert!(commits.of(KEPT as u64).is_none());
        assert_eq!(commits.of(KEPT as u64 + 1).map(|one| one.last), Some(65));
    }
}
