//! Everything small that a strand keeps beside its blocks, as the changes add up to it. Opening folds it together; in a
//! running store the keeper goes on with it, page by page of the ledger.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use boboyka_strand::{PerType, RecordType, Seq};

use crate::binding::Binding;
use crate::change::{Change, take_entry};
use crate::error::Unreadable;
use crate::floor::Floor;
use crate::format::Format;
use crate::gap::Gap;
use crate::incarnation::Incarnation;
use crate::lane::{DeadLetter, Mark};
use crate::legacy::Legacy;
use crate::phase::RecordedPhase;
use crate::segment::Segment;

/// The summary of a strand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) floor: Floor,
    /// What binds it; `None` where an earlier version wrote all there is.
    pub(crate) binding: Option<Binding>,
    pub(crate) phase: Option<RecordedPhase>,
    /// What the strand mirrors after its boundary.
    pub(crate) legacy: Arc<Legacy>,
    pub(crate) marks: PerType<Mark>,
    /// By the lane's code and seq.
    pub(crate) letters: BTreeMap<(u8, Seq), DeadLetter>,
    /// By their first seq.
    pub(crate) segments: BTreeMap<Seq, Segment>,
    /// By their first seq.
    pub(crate) gaps: BTreeMap<Seq, Gap>,
    /// Folders in quarantine that the strand has a record of.
    pub(crate) noted: BTreeSet<String>,
    /// What a program must know to read the strand.
    pub(crate) format: Format,
    /// The transparency log's; `None` while nothing was ever signed.
    pub(crate) incarnation: Option<Incarnation>,
}

impl Summary {
    /// Takes in one change.
    pub(crate) fn apply(&mut self, change: Change) {
        match change {
            Change::Mark(lane, mark) => self.marks[lane] = mark,
            Change::Letter(letter) => {
                let place = (letter.record_type.code(), letter.seq);
                self.letters.insert(place, letter);
            }
            Change::Resolved(lane, seq) => drop(self.letters.remove(&(lane.code(), seq))),
            Change::Phase(phase) => self.phase = Some(phase),
            Change::Floor(floor) => self.raise_floor(floor),
            Change::Binding(binding) => self.binding = Some(binding),
            Change::Segment(segment) => {
                self.segments.insert(segment.meta.first_seq(), segment);
            }
            Change::Gap(gap) => drop(self.gaps.insert(gap.first, gap)),
            Change::Noted(folder) => drop(self.noted.insert(folder)),
            Change::Format(format) => self.format = self.format.max(format),
            Change::Incarnation(incarnation) => self.incarnation = Some(incarnation),
            Change::Legacy(legacy) => self.legacy = legacy,
        }
    }

    fn raise_floor(&mut self, floor: Floor) {
        let seq = floor.head.seq;
        self.floor = floor;
        self.segments.retain(|_, kept| kept.meta.head.seq > seq);
        self.letters.retain(|(_, letter), _| *letter > seq);
        self.gaps.retain(|_, gap| gap.last.seq > seq);
        if !self.legacy.is_empty() {
            Arc::make_mut(&mut self.legacy).prune(seq);
        }
    }

    /// Takes in changes in their stored form.
    pub(crate) fn take(&mut self, mut entries: &[u8]) -> Result<(), Unreadable> {
        while !entries.is_empty() {
            let (tag, bytes) = take_entry(&mut entries)?;
            self.apply(Change::read(tag, bytes)?);
        }
        Ok(())
    }

    /// The stored form of the changes that add up to it.
    pub(crate) fn entries(&self) -> Result<Vec<u8>, Unreadable> {
        let mut entries = Vec::new();
        self.changes()
            .try_for_each(|change| change.put(&mut entries))?;
        Ok(entries)
    }

    /// How many dead letters a lane has.
    pub(crate) fn letters_len(&self, lane: RecordType) -> u64 {
        let lane = lane.code();
        self.letters.range((lane, 0)..=(lane, Seq::MAX)).count() as u64
    }

    /// The changes that add up to it.
    pub(crate) fn changes(&self) -> impl Iterator<Item = Change> {
        let floor = std::iter::once(Change::Floor(self.floor));
        let floor = floor.chain(self.binding.map(Change::Binding));
        let phase = self.phase.map(Change::Phase);
        let legacy = (!self.legacy.is_empty()).then(|| Change::Legacy(Arc::clone(&self.legacy)));
        // Programs that know the first format alone know no such entry.
        let format = (self.format > Format::First).then_some(self.format);
        let marks = RecordType::MIRRORED.map(|lane| Change::Mark(lane, self.marks[lane]));
        floor
            .chain(phase)
            .chain(legacy)
            .chain(marks)
            .chain(self.letters.values().cloned().map(Change::Letter))
            .chain(self.segments.values().cloned().map(Change::Segment))
            .chain(self.gaps.values().copied().map(Change::Gap))
            .chain(self.noted.iter().cloned().map(Change::Noted))
            .chain(format.map(Change::Format))
            .chain(self.incarnation.clone().map(Change::Incarnation))
    }
}
