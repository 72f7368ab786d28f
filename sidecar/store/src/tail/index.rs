//! The index: its trees, and the values in them.

use std::fs::File;
use std::path::Path;
use std::sync::OnceLock;

use boboyka_strand::{RecordType, Seq};
use uuid::Uuid;

use super::engine::{self, Engine, Entries, Tree, guarded};
use super::key::{letter_key, read_letter_key};
use crate::binding::Binding;
use crate::change::Change;
use crate::error::{TailError, causes};
use crate::floor::Floor;
use crate::lane::{DeadLetter, Mark};
use crate::phase::RecordedPhase;
use crate::segment::Segment;
use crate::stored::Stored;

/// The key of the strand's id.
const STRAND: &str = "strand";
/// The key of the phase.
const PHASE: &str = "phase";
/// The key of the floor.
const FLOOR: &str = "floor";
/// The key of what binds it.
const BINDING: &str = "binding";

/// The tail of one strand.
pub(crate) struct Tail {
    engine: Engine,
    pub(super) runs: Tree,
    segments: Tree,
    marks: Tree,
    letters: Tree,
    /// sled's log, for the sync that sled leaves out.
    pub(super) file: File,
    /// Why it has missed a change, if it has.
    failed: OnceLock<String>,
}

impl Tail {
    /// Opens or creates the tail in a folder.
    pub(crate) fn open(folder: &Path) -> Result<Self, TailError> {
        let knows = |engine: &Engine| engine.contains_key(STRAND).unwrap_or(false);
        let engine = engine::open(folder, knows)?;
        guarded(|| {
            let file = File::options().write(true).open(folder.join("db"));
            Ok(Self {
                runs: engine.open_tree("runs")?,
                segments: engine.open_tree("segments")?,
                marks: engine.open_tree("marks")?,
                letters: engine.open_tree("dead_letters")?,
                engine,
                file: file.map_err(TailError::Sync)?,
                failed: OnceLock::new(),
            })
        })
    }

    /// Makes everything put or removed so far durable.
    pub(crate) fn flush(&self) -> Result<(), TailError> {
        self.check()?;
        guarded(|| Ok(self.engine.flush()?))?;
        self.file.sync_data().map_err(TailError::Sync)
    }

    /// Takes in changes that are durable in the journal. After a failure it takes in nothing and is not read any more;
    /// the next start brings it in line.
    pub(crate) fn take(&self, changes: &[Change]) {
        if self.failed.get().is_some() {
            return;
        }
        let apply = || changes.iter().try_for_each(|change| self.apply(change));
        if let Err(error) = guarded(apply) {
            self.fail(causes(&error));
        }
    }

    /// Ends its use.
    pub(crate) fn fail(&self, error: String) {
        tracing::error!(
            error,
            "the tail's index failed and is not used until the next start brings it in line: until then dead letters \
             can't be listed or sent again; no record is affected"
        );
        let _ = self.failed.set(error);
    }

    fn check(&self) -> Result<(), TailError> {
        let failed = self.failed.get().cloned().map(TailError::Behind);
        failed.map_or(Ok(()), Err)
    }

    pub(super) fn apply(&self, change: &Change) -> Result<(), TailError> {
        match change {
            Change::Mark(lane, mark) => put(&self.marks, &[lane.code()], mark),
            Change::Letter(letter) => {
                let key = letter_key(letter.record_type, letter.seq);
                put(&self.letters, &key, letter)
            }
            Change::Resolved(lane, seq) => self.remove_letter(*lane, *seq),
            Change::Phase(phase) => put(&self.engine, PHASE.as_bytes(), phase),
            Change::Floor(floor) => self.raise_floor(floor),
            Change::Binding(binding) => put(&self.engine, BINDING.as_bytes(), binding),
            Change::Segment(segment) => {
                let first = segment.meta.first_seq().to_be_bytes();
                put(&self.segments, &first, segment)
            }
            // Ledger and journal alone keep these.
            Change::Gap(_)
            | Change::Noted(_)
            | Change::Format(_)
            | Change::Incarnation(_)
            | Change::Legacy(_) => Ok(()),
        }
    }

    /// What lies below the floor goes.
    fn raise_floor(&self, floor: &Floor) -> Result<(), TailError> {
        let seq = floor.head.seq;
        put(&self.engine, FLOOR.as_bytes(), floor)?;
        for first in self.segments.range(..=seq.to_be_bytes()).keys() {
            self.segments.remove(first?)?;
        }
        for lane in RecordType::MIRRORED {
            let (from, to) = (letter_key(lane, 0), letter_key(lane, seq));
            for key in self.letters.range(from..=to).keys() {
                self.letters.remove(key?)?;
            }
        }
        Ok(())
    }

    /// The strand's id, if the tail has ever belonged to one.
    pub(crate) fn strand(&self) -> Result<Option<Uuid>, TailError> {
        let bytes = self.engine.get(STRAND)?;
        Ok(bytes.and_then(|bytes| Uuid::from_slice(&bytes).ok()))
    }

    pub(crate) fn put_strand(&self, strand: Uuid) -> Result<(), TailError> {
        self.engine.insert(STRAND, strand.as_bytes())?;
        Ok(())
    }

    pub(super) fn remove_phase(&self) -> Result<(), TailError> {
        self.engine.remove(PHASE)?;
        Ok(())
    }

    pub(super) fn phase(&self) -> Result<Option<RecordedPhase>, TailError> {
        let found = self.engine.get(PHASE)?;
        found.map(|bytes| read(&bytes)).transpose()
    }

    pub(super) fn floor(&self) -> Result<Option<Floor>, TailError> {
        let found = self.engine.get(FLOOR)?;
        found.map(|bytes| read(&bytes)).transpose()
    }

    pub(super) fn binding(&self) -> Result<Option<Binding>, TailError> {
        let found = self.engine.get(BINDING)?;
        found.map(|bytes| read(&bytes)).transpose()
    }

    pub(super) fn remove_segment(&self, first_seq: Seq) -> Result<(), TailError> {
        self.segments.remove(first_seq.to_be_bytes())?;
        Ok(())
    }

    /// The catalogue, oldest segment first.
    pub(super) fn segments(&self) -> Result<Vec<Segment>, TailError> {
        values(self.segments.iter(), usize::MAX)
    }

    pub(super) fn mark(&self, lane: RecordType) -> Result<Mark, TailError> {
        let found = self.marks.get([lane.code()])?;
        found.map_or(Ok(Mark::default()), |bytes| read(&bytes))
    }

    pub(super) fn remove_letter(&self, lane: RecordType, seq: Seq) -> Result<(), TailError> {
        self.letters.remove(letter_key(lane, seq))?;
        Ok(())
    }

    pub(crate) fn letter(
        &self,
        lane: RecordType,
        seq: Seq,
    ) -> Result<Option<DeadLetter>, TailError> {
        self.check()?;
        guarded(|| {
            let found = self.letters.get(letter_key(lane, seq))?;
            found.map(|bytes| read(&bytes)).transpose()
        })
    }

    /// A lane's dead letters after `after`, oldest first.
    pub(crate) fn letters(
        &self,
        lane: RecordType,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, TailError> {
        self.check()?;
        let from = letter_key(lane, after.saturating_add(1));
        let to = letter_key(lane, Seq::MAX);
        guarded(|| values(self.letters.range(from..=to), limit))
    }

    /// The seqs of a lane's dead letters, oldest first.
    pub(crate) fn letter_seqs<T: FromIterator<Seq>>(
        &self,
        lane: RecordType,
    ) -> Result<T, TailError> {
        self.check()?;
        let (from, to) = (letter_key(lane, 0), letter_key(lane, Seq::MAX));
        guarded(|| {
            let keys = self.letters.range(from..=to).keys();
            keys.map(|key| read_letter_key(&key?)).collect()
        })
    }
}

fn put<T: Stored>(tree: &Tree, key: &[u8], value: &T) -> Result<(), TailError> {
    tree.insert(key, value.to_bytes()?)?;
    Ok(())
}

fn read<T: Stored>(bytes: &[u8]) -> Result<T, TailError> {
    Ok(T::from_bytes(bytes)?)
}

fn values<T: Stored>(entries: Entries, limit: usize) -> Result<Vec<T>, TailError> {
    entries
        .values()
        .take(limit)
        .map(|value| read(&value?))
        .collect()
}
