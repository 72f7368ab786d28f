//! Bringing the index in line with what ledger and journal say.

use boboyka_strand::{RecordType, Seq};

use super::engine::guarded;
use super::index::Tail;
use crate::change::Change;
use crate::error::TailError;
use crate::summary::Summary;

/// The log is made anew when it is longer than this, and several times longer than what lies in it.
const LOG_MAX_BYTES: u64 = 32 * 1024 * 1024;
/// About what a value takes.
const VALUE_BYTES: u64 = 512;

impl Tail {
    /// All that it holds, except for blocks.
    pub(crate) fn summary(&self) -> Result<Summary, TailError> {
        let mut summary = Summary {
            floor: self.floor()?.unwrap_or_default(),
            binding: self.binding()?,
            phase: self.phase()?,
            ..Summary::default()
        };
        for lane in RecordType::MIRRORED {
            summary.marks[lane] = self.mark(lane)?;
            for letter in self.letters(lane, 0, usize::MAX)? {
                summary.apply(Change::Letter(letter));
            }
        }
        for segment in self.segments()? {
            summary.apply(Change::Segment(segment));
        }
        Ok(summary)
    }

    /// Makes it hold `wanted` where it holds `found`.
    pub(crate) fn bring_in_line(&self, found: &Summary, wanted: &Summary) -> Result<(), TailError> {
        guarded(|| {
            self.remove_others(found, wanted)?;
            self.put_missing(found, wanted)
        })
    }

    fn remove_others(&self, found: &Summary, wanted: &Summary) -> Result<(), TailError> {
        let gone = |place: &&(u8, Seq)| !wanted.letters.contains_key(*place);
        for (lane, seq) in found.letters.keys().filter(gone) {
            if let Some(lane) = RecordType::from_code(*lane) {
                self.remove_letter(lane, *seq)?;
            }
        }
        let gone = |first: &&Seq| !wanted.segments.contains_key(*first);
        for first_seq in found.segments.keys().filter(gone) {
            self.remove_segment(*first_seq)?;
        }
        if found.phase.is_some() && wanted.phase.is_none() {
            self.remove_phase()?;
        }
        Ok(())
    }

    fn put_missing(&self, found: &Summary, wanted: &Summary) -> Result<(), TailError> {
        if let Some(phase) = wanted.phase.filter(|_| found.phase != wanted.phase) {
            self.apply(&Change::Phase(phase))?;
        }
        if found.floor != wanted.floor {
            self.apply(&Change::Floor(wanted.floor))?;
        }
        if let Some(binding) = wanted.binding.filter(|_| found.binding != wanted.binding) {
            self.apply(&Change::Binding(binding))?;
        }
        for (lane, mark) in wanted.marks {
            if found.marks[lane] != mark {
                self.apply(&Change::Mark(lane, mark))?;
            }
        }
        for (place, letter) in &wanted.letters {
            if found.letters.get(place) != Some(letter) {
                self.apply(&Change::Letter(letter.clone()))?;
            }
        }
        for (first_seq, segment) in &wanted.segments {
            if found.segments.get(first_seq) != Some(segment) {
                self.apply(&Change::Segment(segment.clone()))?;
            }
        }
        Ok(())
    }

    /// Whether sled's log has grown far beyond what lies in it.
    pub(crate) fn is_overgrown(&self, summary: &Summary) -> bool {
        let live = (summary.letters.len() + summary.segments.len()) as u64 * VALUE_BYTES;
        let len = self.file.metadata().map_or(0, |file| file.len());
        len > LOG_MAX_BYTES.max(live * 4)
    }
}
