//! The tail's index on disk, and the only file that names sled: the catalogue of segments, the floor, the phase, the
//! lanes' marks and dead letters. It is never the only copy of anything: journal and ledger hold the same, and opening
//! brings it in line with them or makes it anew.
//!
//! What sled 0.34 does not do is done here: its `flush` does not sync the file, so [`Tail::flush`] does, and a panic of
//! its is an error.

mod key;

use std::fs::{self, File};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use boboyka_strand::{RecordType, Seq};
use uuid::Uuid;

use self::key::{letter_key, read_run_key};
use crate::binding::Binding;
use crate::change::Change;
use crate::error::TailError;
use crate::files;
use crate::floor::Floor;
use crate::lane::{DeadLetter, Mark};
use crate::phase::RecordedPhase;
use crate::segment::Segment;
use crate::stored::Stored;
use crate::summary::Summary;

/// sled's segment size, fixed when a tail is created.
const ENGINE_SEGMENT_BYTES: usize = 4 * 1024 * 1024;
/// The log is made anew when it is longer than this, and several times longer than what lies in it.
const LOG_MAX_BYTES: u64 = 32 * 1024 * 1024;
/// About what a value takes.
const VALUE_BYTES: u64 = 512;
/// sled's page cache. What it holds is written once and read at the next start, so little will do.
const ENGINE_CACHE_BYTES: u64 = 1024 * 1024;

/// sled's settings, the same for every tail, with their checksum: sled writes them once and never syncs them.
const SETTINGS: &str = "conf";
const SETTINGS_BYTES: &[u8] =
    b"segment_size: 4194304\nuse_compression: false\nversion: 0.34\n0\x1bd\xdd";

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
    engine: sled::Db,
    runs: sled::Tree,
    segments: sled::Tree,
    marks: sled::Tree,
    letters: sled::Tree,
    /// sled's log, for the sync that sled leaves out.
    file: File,
}

/// A run as it was found: its pieces put together, or what there is of them.
pub(crate) struct FoundRun {
    pub(crate) first_seq: Seq,
    pub(crate) bytes: Vec<u8>,
    pub(crate) complete: bool,
}

impl Tail {
    /// Opens or creates the tail in a folder. What sled can make anew, its snapshots and its settings, is made anew when
    /// it does not open with them.
    pub(crate) fn open(folder: &Path) -> Result<Self, TailError> {
        remove_snapshots(folder, |name| name.ends_with(".generating"))?;
        let opened = open_engine(folder);
        let knows = |engine: &sled::Db| engine.contains_key(STRAND).unwrap_or(false);
        let engine = match opened {
            Ok(engine) if knows(&engine) => engine,
            other => {
                // sled takes a log that it can't read for an empty one.
                let again = remove_snapshots(folder, |name| name.starts_with("snap."))?;
                if !again && settings_hold(folder) {
                    other?
                } else {
                    drop(other);
                    write_settings(folder)?;
                    open_engine(folder)?
                }
            }
        };
        let (runs, segments) = (engine.open_tree("runs")?, engine.open_tree("segments")?);
        let (marks, letters) = (
            engine.open_tree("marks")?,
            engine.open_tree("dead_letters")?,
        );
        let file = File::options().write(true).open(folder.join("db"));
        Ok(Self {
            engine,
            runs,
            segments,
            marks,
            letters,
            file: file.map_err(TailError::Sync)?,
        })
    }

    /// Makes everything put or removed so far durable.
    pub(crate) fn flush(&self) -> Result<(), TailError> {
        self.engine.flush()?;
        self.file.sync_data().map_err(TailError::Sync)
    }

    /// Takes in a change that is durable in the journal.
    pub(crate) fn apply(&self, change: &Change) -> Result<(), TailError> {
        match change {
            Change::Mark(lane, mark) => self.put_mark(*lane, *mark),
            Change::Letter(letter) => self.put_letter(letter),
            Change::Resolved(lane, seq) => self.remove_letter(*lane, *seq),
            Change::Phase(phase) => self.put_phase(phase),
            Change::Floor(floor) => self.put_floor(floor),
            Change::Binding(binding) => self.put_binding(binding),
            Change::Segment(segment) => self.put_segment(segment),
            // Ledger and journal alone keep these.
            Change::Gap(_) | Change::Noted(_) => Ok(()),
        }
    }

    /// All that it holds, except for blocks.
    pub(crate) fn summary(&self) -> Result<Summary, TailError> {
        let mut summary = Summary {
            floor: self.floor()?.unwrap_or_default(),
            binding: self.binding()?,
            phase: self.phase()?,
            ..Summary::default()
        };
        for lane in RecordType::ALL {
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
        if found.phase != wanted.phase {
            wanted
                .phase
                .iter()
                .try_for_each(|phase| self.put_phase(phase))?;
        }
        if found.floor != wanted.floor {
            self.put_floor(&wanted.floor)?;
        }
        if let Some(binding) = wanted.binding.filter(|_| found.binding != wanted.binding) {
            self.put_binding(&binding)?;
        }
        for (lane, mark) in wanted.marks {
            if found.marks[lane] != mark {
                self.put_mark(lane, mark)?;
            }
        }
        for (place, letter) in &wanted.letters {
            if found.letters.get(place) != Some(letter) {
                self.put_letter(letter)?;
            }
        }
        for (first_seq, segment) in &wanted.segments {
            if found.segments.get(first_seq) != Some(segment) {
                self.put_segment(segment)?;
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

    /// Whether no earlier version has left runs here.
    pub(crate) fn has_no_runs(&self) -> bool {
        self.runs.is_empty()
    }

    /// Removes the runs that an earlier version kept here.
    pub(crate) fn remove_runs(&self) -> Result<(), TailError> {
        if self.runs.is_empty() {
            return Ok(());
        }
        self.runs.clear()?;
        self.flush()
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

    pub(crate) fn put_phase(&self, phase: &RecordedPhase) -> Result<(), TailError> {
        put(&self.engine, PHASE.as_bytes(), phase)
    }

    pub(crate) fn remove_phase(&self) -> Result<(), TailError> {
        self.engine.remove(PHASE)?;
        Ok(())
    }

    pub(crate) fn phase(&self) -> Result<Option<RecordedPhase>, TailError> {
        let found = self.engine.get(PHASE)?;
        found.map(|bytes| read(&bytes)).transpose()
    }

    pub(crate) fn put_floor(&self, floor: &Floor) -> Result<(), TailError> {
        put(&self.engine, FLOOR.as_bytes(), floor)
    }

    pub(crate) fn floor(&self) -> Result<Option<Floor>, TailError> {
        let found = self.engine.get(FLOOR)?;
        found.map(|bytes| read(&bytes)).transpose()
    }

    fn put_binding(&self, binding: &Binding) -> Result<(), TailError> {
        put(&self.engine, BINDING.as_bytes(), binding)
    }

    fn binding(&self) -> Result<Option<Binding>, TailError> {
        let found = self.engine.get(BINDING)?;
        found.map(|bytes| read(&bytes)).transpose()
    }

    /// The runs that an earlier version kept here, oldest first.
    pub(crate) fn runs(&self) -> Result<Vec<FoundRun>, TailError> {
        let mut found: Vec<FoundRun> = Vec::new();
        for entry in &self.runs {
            let (key, value) = entry?;
            let (first_seq, piece) = read_run_key(&key)?;
            let (pieces, bytes) = value.split_first().map_or((0, &[][..]), |(n, b)| (*n, b));
            match found.last_mut() {
                Some(run) if run.first_seq == first_seq && piece > 0 => {
                    run.bytes.extend_from_slice(bytes);
                    run.complete = piece + 1 == pieces;
                }
                _ => found.push(FoundRun {
                    first_seq,
                    bytes: bytes.to_vec(),
                    complete: piece == 0 && pieces == 1,
                }),
            }
        }
        Ok(found)
    }

    pub(crate) fn put_segment(&self, segment: &Segment) -> Result<(), TailError> {
        put(
            &self.segments,
            &segment.meta.first_seq().to_be_bytes(),
            segment,
        )
    }

    pub(crate) fn remove_segment(&self, first_seq: Seq) -> Result<(), TailError> {
        self.segments.remove(first_seq.to_be_bytes())?;
        Ok(())
    }

    /// The catalogue, oldest segment first.
    pub(crate) fn segments(&self) -> Result<Vec<Segment>, TailError> {
        values(self.segments.iter(), usize::MAX)
    }

    pub(crate) fn put_mark(&self, lane: RecordType, mark: Mark) -> Result<(), TailError> {
        put(&self.marks, &[lane.code()], &mark)
    }

    pub(crate) fn mark(&self, lane: RecordType) -> Result<Mark, TailError> {
        let found = self.marks.get([lane.code()])?;
        found.map_or(Ok(Mark::default()), |bytes| read(&bytes))
    }

    pub(crate) fn put_letter(&self, letter: &DeadLetter) -> Result<(), TailError> {
        put(
            &self.letters,
            &letter_key(letter.record_type, letter.seq),
            letter,
        )
    }

    pub(crate) fn remove_letter(&self, lane: RecordType, seq: Seq) -> Result<(), TailError> {
        self.letters.remove(letter_key(lane, seq))?;
        Ok(())
    }

    pub(crate) fn letter(
        &self,
        lane: RecordType,
        seq: Seq,
    ) -> Result<Option<DeadLetter>, TailError> {
        let found = self.letters.get(letter_key(lane, seq))?;
        found.map(|bytes| read(&bytes)).transpose()
    }

    /// A lane's dead letters after `after`, oldest first.
    pub(crate) fn letters(
        &self,
        lane: RecordType,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, TailError> {
        let from = letter_key(lane, after.saturating_add(1));
        let to = letter_key(lane, Seq::MAX);
        values(self.letters.range(from..=to), limit)
    }
}

/// Whether sled's settings are there as it wrote them, or no tail is.
fn settings_hold(folder: &Path) -> bool {
    !folder.join("db").exists()
        || fs::read(folder.join(SETTINGS)).is_ok_and(|found| found == SETTINGS_BYTES)
}

fn write_settings(folder: &Path) -> Result<(), TailError> {
    files::replace(&folder.join(SETTINGS), SETTINGS_BYTES).map_err(TailError::Sync)
}

/// Removes snapshots; whether there were any.
fn remove_snapshots(folder: &Path, which: impl Fn(&str) -> bool) -> Result<bool, TailError> {
    let mut any = false;
    for entry in fs::read_dir(folder).map_err(TailError::Sync)?.flatten() {
        if entry.file_name().to_str().is_some_and(&which) {
            fs::remove_file(entry.path()).map_err(TailError::Sync)?;
            any = true;
        }
    }
    Ok(any)
}

fn open_engine(folder: &Path) -> Result<sled::Db, TailError> {
    let config = sled::Config::new()
        .path(folder)
        .segment_size(ENGINE_SEGMENT_BYTES)
        .cache_capacity(ENGINE_CACHE_BYTES)
        .mode(sled::Mode::HighThroughput)
        .flush_every_ms(None);
    match catch_unwind(AssertUnwindSafe(|| config.open())) {
        Ok(opened) => Ok(opened?),
        Err(panic) => Err(TailError::Panicked(
            panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
                .unwrap_or_default(),
        )),
    }
}

fn put<T: Stored>(tree: &sled::Tree, key: &[u8], value: &T) -> Result<(), TailError> {
    tree.insert(key, value.to_bytes()?)?;
    Ok(())
}

fn read<T: Stored>(bytes: &[u8]) -> Result<T, TailError> {
    Ok(T::from_bytes(bytes)?)
}

fn values<T: Stored>(entries: sled::Iter, limit: usize) -> Result<Vec<T>, TailError> {
    entries
        .values()
        .take(limit)
        .map(|value| read(&value?))
        .collect()
}
