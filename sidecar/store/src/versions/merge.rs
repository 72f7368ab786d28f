//! Merging neighbouring version files into one, in steps.

use std::io;
use std::path::Path;
use std::sync::Arc;

use boboyka_strand::Seq;
use uuid::Uuid;

use super::entry::{Entry, KeyHash};
use super::file::VersionFile;
use super::format::Range;
use super::scan::Source;
use super::write::{Synced, VersionWriter};

/// Entries of a step: a megabyte.
const STEP_ENTRIES: usize = 80_000;

/// A merge on its way.
pub(crate) struct Merge {
    inputs: Vec<Arc<VersionFile>>,
    sources: Vec<Source>,
    writer: VersionWriter,
    floor: Seq,
}

/// What a step of a merge came to.
pub(crate) enum Step {
    /// There is more to do.
    More(Box<Merge>),
    /// The file in the place of the inputs.
    Done {
        inputs: Vec<Arc<VersionFile>>,
        output: Arc<VersionFile>,
    },
}

/// Why a merge ended; `damaged` is an input that can't be read.
pub(crate) struct Failed {
    pub(crate) error: io::Error,
    pub(crate) damaged: Option<Arc<VersionFile>>,
}

impl Merge {
    /// Begins the merge of neighbours, oldest first; entries at the floor and below are left out.
    pub(crate) fn begin(
        folder: &Path,
        strand: Uuid,
        inputs: Vec<Arc<VersionFile>>,
        floor: Seq,
    ) -> Result<Self, Failed> {
        let (Some(first), Some(last)) = (inputs.first(), inputs.last()) else {
            return Err(Failed::of(io::ErrorKind::NotFound.into()));
        };
        let range = Range {
            first: first.range().first,
            ..last.range()
        };
        // One file alone is only rid of what was pruned.
        let more = u64::from(inputs.len() > 1);
        let level = inputs.iter().map(|input| input.level()).max().unwrap_or(0) + more;
        let entries = inputs.iter().map(|input| input.entries()).sum();
        let mut sources = Vec::new();
        for input in &inputs {
            let mut source = Source::of_file(input);
            let begun = source.seek(Entry::first_of(KeyHash::new(0)));
            begun.map_err(|error| Failed::reading(error, input))?;
            sources.push(source);
        }
        let writer = VersionWriter::create(folder, strand, range, level, entries);
        Ok(Self {
            writer: writer.map_err(Failed::of)?,
            inputs,
            sources,
            floor,
        })
    }

    /// Merges the next entries.
    pub(crate) fn step(mut self) -> Result<Step, Failed> {
        for _ in 0..STEP_ENTRIES {
            match self.move_one() {
                Ok(true) => {}
                Ok(false) => return self.finish(),
                Err(failed) => {
                    self.writer.abandon();
                    return Err(failed);
                }
            }
        }
        Ok(Step::More(Box::new(self)))
    }

    /// Moves the next entry; whether there was one.
    fn move_one(&mut self) -> Result<bool, Failed> {
        let entries = self.sources.iter().map(Source::peek).enumerate();
        let placed = entries.filter_map(|(number, entry)| Some((entry?, number)));
        let Some((entry, number)) = placed.min() else {
            return Ok(false);
        };
        if entry.seq() > self.floor {
            self.writer.push(entry).map_err(Failed::of)?;
        }
        if let (Some(source), Some(input)) = (self.sources.get_mut(number), self.inputs.get(number))
        {
            let moved = source.advance();
            moved.map_err(|error| Failed::reading(error, input))?;
        }
        Ok(true)
    }

    fn finish(self) -> Result<Step, Failed> {
        let output = self.writer.finish(Synced::Yes).map_err(Failed::of)?;
        Ok(Step::Done {
            inputs: self.inputs,
            output: Arc::new(output),
        })
    }
}

impl Failed {
    fn of(error: io::Error) -> Self {
        let damaged = None;
        Self { error, damaged }
    }

    fn reading(error: io::Error, input: &Arc<VersionFile>) -> Self {
        let damaged = Some(Arc::clone(input));
        Self { error, damaged }
    }
}

/// Bytes that a step reads and writes at most.
pub(crate) const STEP_BYTES: u64 = 2 * (STEP_ENTRIES * Entry::LEN) as u64;
