//! The tail on disk: the only file that names sled. It keeps what is not sealed yet, the catalogue of
//! segments, the floor, the phase, the lanes' marks and dead letters; history is never read through it.
//!
//! What sled 0.34 does not do is done here: its `flush` does not sync the file, so [`Tail::commit`]
//! does; values that would make a leaf spill into files it never syncs are cut below that size; a
//! damaged or half-written snapshot, which keeps it from opening, is quarantined; so is a log that it
//! can't read, and a panic of its is an error.

mod key;

use std::fs::{self, File};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use boboyka_strand::{RecordType, Seq};
use uuid::Uuid;

use self::key::{letter_key, read_run_key, run_key};
use crate::error::{OpenError, TailError, causes};
use crate::files::failed;
use crate::floor::Floor;
use crate::lane::{DeadLetter, Mark};
use crate::phase::RecordedPhase;
use crate::quarantine::Quarantine;
use crate::segment::Segment;
use crate::stored::Stored;

/// sled's segment size, fixed when a tail is created.
const ENGINE_SEGMENT_BYTES: usize = 4 * 1024 * 1024;
/// The longest value. sled writes a leaf of up to 16 values as one piece and spills pieces longer than
/// a quarter of its segment into files that no sync of ours covers.
const VALUE_MAX_BYTES: usize = 56 * 1024;
const _: () = assert!(17 * VALUE_MAX_BYTES <= ENGINE_SEGMENT_BYTES / 4);
/// sled's page cache. What it holds is written once and read at the next start, so little will do.
const ENGINE_CACHE_BYTES: u64 = 1024 * 1024;

/// The key of the strand's id.
const STRAND: &str = "strand";
/// The key of the phase.
const PHASE: &str = "phase";
/// The key of the floor.
const FLOOR: &str = "floor";

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
    pub(crate) pieces: u8,
    pub(crate) complete: bool,
}

impl Tail {
    /// Opens or creates the tail in a folder, after setting aside what keeps it from opening. A tail that was
    /// `used_before` must know its strand; one that a crash left while it was made need not.
    pub(crate) fn open(
        folder: &Path,
        used_before: bool,
        quarantine: &Quarantine,
    ) -> Result<Self, OpenError> {
        let half_written = files(folder, |name| name.ends_with(".generating"));
        if !half_written.is_empty() {
            quarantine.take(&half_written, "half-written snapshots of the tail's engine")?;
        }
        let used_before =
            used_before && fs::metadata(folder.join("db")).is_ok_and(|log| log.len() > 0);
        let first = match open_engine(folder) {
            Ok(engine) if used_before && !engine.contains_key(STRAND).unwrap_or(false) => {
                // sled takes a log that it can't read for an empty one.
                TailError::Value {
                    what: "strand id",
                    why: "it is gone".to_owned(),
                }
            }
            Ok(engine) => return Self::with(engine, folder),
            Err(error) => error,
        };
        if !is_damage(&first) {
            return Err(OpenError::Tail {
                path: folder.to_owned(),
                source: first,
            });
        }
        let snapshots = files(folder, |name| name.starts_with("snap."));
        let why = causes(&first);
        if !snapshots.is_empty() {
            let reason = format!("snapshots with which the tail's engine did not open: {why}");
            quarantine.take(&snapshots, &reason)?;
            match open_engine(folder) {
                Ok(engine) if engine.contains_key(STRAND).unwrap_or(false) => {
                    return Self::with(engine, folder);
                }
                Err(error) if !is_damage(&error) => {
                    return Err(OpenError::Tail {
                        path: folder.to_owned(),
                        source: error,
                    });
                }
                Ok(_) | Err(_) => {}
            }
        }
        let reason = format!(
            "the tail could not be opened ({why}); the strand goes on from its sealed segments, \
             what was appended after them is in here"
        );
        quarantine.take(&[folder.to_owned()], &reason)?;
        fs::create_dir_all(folder).map_err(failed("create", folder))?;
        let engine = open_engine(folder).map_err(|source| OpenError::Tail {
            path: folder.to_owned(),
            source,
        })?;
        Self::with(engine, folder)
    }

    fn with(engine: sled::Db, folder: &Path) -> Result<Self, OpenError> {
        let tree = |name: &str| {
            engine.open_tree(name).map_err(|source| OpenError::Tail {
                path: folder.to_owned(),
                source: source.into(),
            })
        };
        let (runs, segments) = (tree("runs")?, tree("segments")?);
        let (marks, letters) = (tree("marks")?, tree("dead_letters")?);
        let log = folder.join("db");
        let file = File::options()
            .write(true)
            .open(&log)
            .map_err(failed("open", &log))?;
        let tail = Self {
            engine,
            runs,
            segments,
            marks,
            letters,
            file,
        };
        tail.commit().map_err(|source| OpenError::Tail {
            path: folder.to_owned(),
            source,
        })?;
        Ok(tail)
    }

    /// Makes everything put or removed so far durable. After an error nothing is known of what is.
    pub(crate) fn commit(&self) -> Result<(), TailError> {
        self.engine.flush()?;
        self.file.sync_data().map_err(TailError::Sync)
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

    /// Puts a run in as many pieces as it needs and says how many.
    pub(crate) fn put_run(&self, first_seq: Seq, bytes: &[u8]) -> Result<u8, TailError> {
        let pieces = u8::try_from(bytes.chunks(VALUE_MAX_BYTES - 1).len()).map_err(|_| {
            TailError::Value {
                what: "run",
                why: format!("{} bytes are too many", bytes.len()),
            }
        })?;
        for (piece, bytes) in (0..).zip(bytes.chunks(VALUE_MAX_BYTES - 1)) {
            let mut value = Vec::with_capacity(bytes.len() + 1);
            value.push(pieces);
            value.extend_from_slice(bytes);
            self.runs.insert(run_key(first_seq, piece), value)?;
        }
        Ok(pieces)
    }

    pub(crate) fn remove_run(&self, first_seq: Seq, pieces: u8) -> Result<(), TailError> {
        for piece in 0..pieces {
            self.runs.remove(run_key(first_seq, piece))?;
        }
        Ok(())
    }

    /// All runs, oldest first.
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
                    pieces,
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

    /// How many dead letters a lane has.
    pub(crate) fn letters_len(&self, lane: RecordType) -> u64 {
        self.letters
            .scan_prefix([lane.code()])
            .keys()
            .flatten()
            .count() as u64
    }
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

/// Whether an error speaks of what lies on the disk, and not of the way to it.
fn is_damage(error: &TailError) -> bool {
    match error {
        TailError::Sync(_) | TailError::Witness(_) => false,
        TailError::Engine(sled::Error::Io(error)) => {
            matches!(
                error.kind(),
                io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData
            )
        }
        TailError::Engine(_) | TailError::Panicked(_) | TailError::Value { .. } => true,
    }
}

fn files(folder: &Path, wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut found: Vec<PathBuf> = entries
        .flatten()
        .filter(|entry| entry.file_name().to_str().is_some_and(&wanted))
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
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
