//! Making and merging version files, beside everything else: a step now and then, at a bounded rate.

use std::sync::Arc;
use std::time::{Duration, Instant};

use boboyka_strand::{Block, Seq, key_of};

use crate::error::{ReadError, causes};
use crate::segment::Segment;
use crate::shared::Shared;
use crate::tail_run::TailRun;
use crate::versions::{
    Entry, KeyHash, Merge, Piece, Range, STEP_BYTES, Step, VersionFile, Wanted, write_file,
};

/// What gathering and merging read and write in a second at most.
const BYTES_PER_SECOND: u64 = 64 * 1024 * 1024;
/// The pause after a failure: a disk that refuses one file refuses the next one too.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(10);

/// The thread's place in this work.
pub(crate) struct Gather {
    /// When there may be something to do again; `None` while nothing is.
    next: Option<Instant>,
    merge: Option<Box<Merge>>,
}

impl Gather {
    pub(crate) fn new() -> Self {
        Self {
            next: Some(Instant::now()),
            merge: None,
        }
    }

    /// How long until the next step; `None` while there is nothing to do.
    pub(crate) fn pause(&self) -> Option<Duration> {
        let next = self.next?;
        Some(next.saturating_duration_since(Instant::now()))
    }

    /// Looks whether there is something to do again.
    pub(crate) fn wake(&mut self) {
        self.next = self.next.or(Some(Instant::now()));
    }

    /// Does the next piece of work, if it is time.
    pub(crate) fn step(&mut self, shared: &Shared) {
        if self.pause().is_none_or(|pause| !pause.is_zero()) {
            return;
        }
        let begun = Instant::now();
        let (floor, sealed) = {
            let state = shared.state();
            (state.floor().head.seq, state.memory().sealed())
        };
        shared.versions.prune(floor);
        let cover = shared.versions.cover();
        let done = if let Some(merge) = self.merge.take() {
            self.merge_on(shared, *merge)
        } else if let Some(wanted) = cover.wanted(sealed) {
            gather(shared, wanted)
        } else if let Some(inputs) = cover.to_merge(floor) {
            self.begin_merge(shared, inputs, floor)
        } else {
            self.next = None;
            return;
        };
        self.next = Some(match done {
            // Half of the time at most, and no more bytes than are allowed.
            Ok(bytes) => {
                let least = Duration::from_millis(bytes.saturating_mul(1000) / BYTES_PER_SECOND);
                Instant::now() + begun.elapsed().max(least)
            }
            Err(()) => Instant::now() + PAUSE_AFTER_FAILURE,
        });
    }

    fn begin_merge(
        &mut self,
        shared: &Shared,
        inputs: Vec<Arc<VersionFile>>,
        floor: Seq,
    ) -> Result<u64, ()> {
        let versions = &shared.versions;
        match Merge::begin(versions.folder(), versions.strand(), inputs, floor) {
            Ok(merge) => self.merge_on(shared, merge),
            Err(failed) => fail(shared, &failed.error, failed.damaged.as_ref()),
        }
    }

    fn merge_on(&mut self, shared: &Shared, merge: Merge) -> Result<u64, ()> {
        match merge.step() {
            Ok(Step::More(merge)) => self.merge = Some(merge),
            Ok(Step::Done { inputs, output }) => shared.versions.replace(&inputs, output),
            Err(failed) => return fail(shared, &failed.error, failed.damaged.as_ref()),
        }
        Ok(STEP_BYTES)
    }
}

/// Ends a merge; a damaged input is dropped, so that the next step makes it again.
fn fail(
    shared: &Shared,
    error: &std::io::Error,
    damaged: Option<&Arc<VersionFile>>,
) -> Result<u64, ()> {
    if let Some(file) = damaged {
        shared.versions.condemn(file, &error.to_string());
        return Ok(0);
    }
    tracing::error!(
        error = causes(error),
        "could not merge version files; queries work without it, and it is tried again"
    );
    Err(())
}

/// Makes the version file of one segment in a range.
fn gather(shared: &Shared, wanted: Wanted) -> Result<u64, ()> {
    let segment = shared.state().memory().segment_of_or_before(wanted.last);
    let segment = segment.filter(|segment| segment.meta.head.seq >= wanted.first);
    let Some(segment) = segment else {
        shared.versions.forget(wanted);
        return Ok(0);
    };
    match entries_in(&segment) {
        Ok(entries) => put_file(shared, range_of(&segment), entries).map(|()| segment.file_len),
        Err(error) => {
            let (first, last) = (segment.meta.first_seq(), segment.meta.head.seq);
            let error = causes(&error);
            tracing::error!(
                first,
                last,
                error,
                "the versions between seq {first} and {last} can't be gathered: restore the segment from a backup and \
                 start again"
            );
            let why = error.into();
            shared.versions.put(Piece::Unreadable { first, last, why });
            Ok(segment.file_len)
        }
    }
}

/// Makes the version file of a segment that was just sealed of these runs. Without one, it is gathered later.
pub(crate) fn of_sealed(shared: &Shared, segment: &Segment, runs: &[Arc<TailRun>]) {
    let blocks = runs
        .iter()
        .flat_map(|run| (run.first_seq()..).zip(&run.entries));
    let entries = blocks.filter_map(|(seq, entry)| Some(Entry::new(entry.version_of?, seq)));
    if put_file(shared, range_of(segment), entries.collect()).is_err() {
        let (first, last) = (segment.meta.first_seq(), segment.meta.head.seq);
        shared.versions.put(Piece::Wanted(Wanted { first, last }));
    }
}

fn put_file(shared: &Shared, range: Range, entries: Vec<Entry>) -> Result<(), ()> {
    let versions = &shared.versions;
    match write_file(versions.folder(), versions.strand(), range, entries) {
        Ok(file) => {
            versions.put(Piece::File(Arc::new(file)));
            Ok(())
        }
        Err(error) => {
            let Range { first, last, .. } = range;
            tracing::error!(
                first,
                last,
                error = causes(&error),
                "could not write the version file of the blocks {first} to {last}; it is tried again, and queries of \
                 states are refused until then"
            );
            Err(())
        }
    }
}

fn range_of(segment: &Segment) -> Range {
    Range {
        first: segment.meta.first_seq(),
        last: segment.meta.head.seq,
        last_hash: segment.meta.head.hash,
    }
}

fn entries_in(segment: &Segment) -> Result<Vec<Entry>, ReadError> {
    let open = segment.open()?;
    let mut entries = Vec::new();
    for frame in open.frames() {
        entries.extend(open.read(frame)?.iter().filter_map(entry_of));
    }
    let gone = segment.gone_keys()?.into_iter();
    entries.extend(gone.map(|(seq, key)| Entry::new(KeyHash::new(key), seq)));
    Ok(entries)
}

fn entry_of(block: &Block) -> Option<Entry> {
    let record_type = block.header.record_type;
    let key = key_of(record_type, &block.payload)?;
    Some(Entry::new(KeyHash::of(record_type, key), block.header.seq))
}
