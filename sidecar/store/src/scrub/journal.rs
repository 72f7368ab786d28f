//! The journal's turn: whether its files still hold every run that no segment holds.

use std::collections::VecDeque;
use std::sync::Arc;

use boboyka_strand::Seq;

use crate::error::causes;
use crate::journal::{FoundFile, Frames, files_in};
use crate::shared::Shared;
use crate::tail_run::TailRun;

/// The journal on its way.
pub(super) struct JournalReading {
    /// First and last seq of the runs that were not sealed when the reading began: their frames stay where they are
    /// until they are.
    runs: Vec<(Seq, Seq)>,
    files: VecDeque<FoundFile>,
    open: Option<Frames>,
    /// First and last seq of the frames that hold.
    found: Vec<(Seq, Seq)>,
}

impl JournalReading {
    pub(super) fn begin(shared: &Shared) -> Self {
        let range = |run: &Arc<TailRun>| (run.first_seq(), run.head.seq);
        let runs: Vec<_> = shared.state().memory().tail().iter().map(range).collect();
        let folder = shared.options.data_dir.join("journal");
        let files = if runs.is_empty() {
            Ok(Vec::new())
        } else {
            files_in(&folder)
        };
        let files = files.unwrap_or_else(|error| {
            let (error, folder) = (causes(&error), folder.display().to_string());
            tracing::warn!(
                error,
                folder,
                "could not list the journal's files in {folder}"
            );
            Vec::new()
        });
        Self {
            runs,
            files: files.into(),
            open: None,
            found: Vec::new(),
        }
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.open.is_none() && self.files.is_empty()
    }

    /// Reads the frames in the next `len` bytes; how many bytes that were.
    pub(super) fn read_piece(&mut self, len: u64) -> u64 {
        if self.open.is_none() {
            // A file that is gone, or has no header, holds nothing that counts.
            let next = self.files.pop_front();
            self.open = next.and_then(|file| Frames::open(&file).ok().flatten());
        }
        let Some(frames) = &mut self.open else {
            return 0;
        };
        let from = frames.at();
        frames.take_up_to(from + len, |frame| {
            if frame.head.first > 0 {
                self.found.push((frame.head.first, frame.head.last));
            }
        });
        let read = frames.at() - from;
        if frames.is_at_end() {
            self.open = None;
        }
        read
    }

    /// The first and the last record that no frame holds, of those that still no segment holds.
    pub(super) fn missing(self, shared: &Shared) -> Option<(Seq, Seq)> {
        let sealed = shared.state().memory().sealed();
        let held = joined(self.found);
        let is_held = |first: Seq, last: Seq| {
            let behind = held.partition_point(|range| range.0 <= first);
            let range = behind.checked_sub(1).and_then(|at| held.get(at));
            range.is_some_and(|range| last <= range.1)
        };
        let mut missing = self
            .runs
            .into_iter()
            .filter(|(first, last)| *last > sealed && !is_held(*first, *last));
        let (first, last) = missing.next()?;
        Some((first, missing.next_back().map_or(last, |run| run.1)))
    }
}

/// Ranges in order, those that touch as one.
fn joined(mut ranges: Vec<(Seq, Seq)>) -> Vec<(Seq, Seq)> {
    ranges.sort_unstable();
    let mut joined: Vec<(Seq, Seq)> = Vec::new();
    for (first, last) in ranges {
        match joined.last_mut() {
            Some(range) if first <= range.1 + 1 => range.1 = range.1.max(last),
            _ => joined.push((first, last)),
        }
    }
    joined
}
