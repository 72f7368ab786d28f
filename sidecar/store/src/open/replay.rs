//! What ledger and journal say together: the ledger's page, then every frame behind it, in order.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use boboyka_strand::Seq;
use uuid::Uuid;

use super::earlier::Earlier;
use crate::error::{OpenError, Unreadable};
use crate::files::{failed, sync_names};
use crate::journal::entry::{self, Entry, RawRun};
use crate::journal::frame::{FrameHead, Sum};
use crate::journal::{FoundFile, FoundFrame, Identity, Journal, KeptFile, Place, files_in, scan};
use crate::ledger::Page;
use crate::quarantine::Quarantine;
use crate::summary::Summary;

/// The shortest file that is any use: its header, and room for changes without blocks.
const LEAST_LEN: u64 = 128 * 1024;

/// What was found.
pub(super) struct Replay {
    pub(super) summary: Summary,
    /// Runs that are not known to lie in a segment, as they were found.
    pub(super) runs: Vec<RawRun>,
    pub(super) strand: Option<Uuid>,
    pub(super) place: Place,
    /// Files that hold nothing that is needed.
    spent: Vec<FoundFile>,
    /// Files in which there was no frame, such as a spare one.
    empty: Vec<FoundFile>,
    /// Files with nothing but what a start that was cut short carried over: older files hold the same.
    carried: Vec<FoundFile>,
    /// Files with frames.
    read: Vec<FoundFile>,
    /// The same, with what is in them.
    kept: Vec<KeptFile>,
    flaws: Vec<Flaw>,
    /// Where an earlier version kept what the journal holds.
    earlier_log: Option<PathBuf>,
}

/// Damage in the journal.
struct Flaw {
    paths: Vec<PathBuf>,
    reason: String,
}

/// A frame that holds.
struct Frame {
    head: FrameHead,
    sum: Sum,
    file: PathBuf,
    entries: Result<Vec<Entry>, Unreadable>,
}

impl Replay {
    /// Reads the journal behind the ledger's page, or behind what an earlier version kept.
    pub(super) fn read(
        folder: &Path,
        page: Option<&Page>,
        earlier: Option<Earlier>,
    ) -> Result<Self, OpenError> {
        let earlier = earlier.unwrap_or_default();
        let summary = match page.map(Page::summary) {
            Some(Ok(summary)) => summary,
            Some(Err(source)) => {
                let path = folder.with_file_name("ledger");
                let source = source.into();
                return Err(OpenError::Tail { path, source });
            }
            None => earlier.summary,
        };
        let files = files_in(folder).map_err(failed("read", folder))?;
        let newest = files.iter().rev().find_map(|file| file.identity);
        // A new file must not get the name of one that is there.
        let made = files.iter().map(|file| file.made_in).max();
        let strand = page.map(|page| page.strand).or(earlier.strand);
        let strand = strand.or_else(|| newest.map(|life| life.strand));
        let needed = page.map_or(0, |page| page.generation);
        let foreign = |file: &FoundFile| {
            file.identity
                .is_some_and(|life| Some(life.strand) != strand)
        };
        let (spent, read) = files
            .into_iter()
            .filter(|file| !foreign(file))
            .partition(|file| file.identity.is_some_and(|life| life.generation < needed));
        let mut replay = Self {
            summary,
            runs: earlier.runs,
            strand,
            place: Place {
                number: page.map_or(0, |page| page.frame) + 1,
                before: Sum::default(),
                generation: newest
                    .map_or(0, |life| life.generation)
                    .max(needed)
                    .max(made.unwrap_or_default())
                    + 1,
            },
            spent,
            empty: Vec::new(),
            carried: Vec::new(),
            read,
            kept: Vec::new(),
            flaws: Vec::new(),
            earlier_log: earlier.log,
        };
        let frames = replay.frames(page.map_or(0, |page| page.frame))?;
        replay.follow(frames, page);
        Ok(replay)
    }

    /// The frames of the files that are needed, in order.
    fn frames(&mut self, covered: u64) -> Result<Vec<Frame>, OpenError> {
        let mut frames = Vec::new();
        for file in std::mem::take(&mut self.read) {
            let known = frames.len();
            let mut end = 0;
            let take = |found: FoundFrame<'_>| {
                end = found.end;
                frames.push(Frame {
                    head: found.head,
                    sum: found.sum,
                    file: file.path.clone(),
                    entries: entry::read(found.body),
                });
            };
            let life = scan(&file, self.strand, take).map_err(failed("read", &file.path))?;
            let generation = life.map_or(0, |life| life.generation);
            self.place.generation = self.place.generation.max(generation + 1);
            let mut own = frames.iter().skip(known);
            let kept = if frames.len() == known {
                &mut self.empty
            } else if own.all(|frame: &Frame| frame.head.carry && frame.head.number > covered) {
                &mut self.carried
            } else {
                let own = frames.get(known..).unwrap_or_default();
                self.kept
                    .extend(life.and_then(|life| kept_file(&file, life, own, end)));
                &mut self.read
            };
            kept.push(file);
        }
        frames.sort_by_key(|frame| (frame.head.number, frame.head.generation));
        Ok(frames)
    }

    /// Takes in the frames and notes where some are missing.
    fn follow(&mut self, frames: Vec<Frame>, page: Option<&Page>) {
        let sealed = self.summary.segments.values().last();
        let sealed = sealed.map_or(0, |segment| segment.meta.head.seq);
        let covered = page.map_or(0, |page| page.frame);
        let mut expected = page.map(|page| page.first_frame);
        let mut at: Option<(PathBuf, Sum)> = None;
        for frame in frames {
            let FrameHead { number, carry, .. } = frame.head;
            let skips = expected.is_some_and(|expected| number > expected);
            let follows = at.as_ref().is_none_or(|(_, sum)| *sum == frame.head.before);
            let next = expected.is_some_and(|expected| number == expected);
            if !carry && (skips || (next && !follows)) {
                let lost = expected.unwrap_or(number)..number;
                self.note_flaw(lost.start, lost.end);
            }
            expected = Some(number + 1);
            at = Some((frame.file.clone(), frame.sum));
            self.place.number = self.place.number.max(number + 1);
            self.place.before = frame.sum;
            self.take(frame, number > covered, sealed);
        }
        if let Some(expected) = expected.filter(|expected| *expected <= covered) {
            self.note_flaw(expected, covered + 1);
        }
    }

    fn take(&mut self, frame: Frame, is_news: bool, sealed: Seq) {
        let entries = match frame.entries {
            Ok(entries) => entries,
            Err(error) => {
                let number = frame.head.number;
                let reason = format!(
                    "a copy of the journal's file with frame {number}, which means nothing: {error}"
                );
                let paths = vec![frame.file];
                self.flaws.push(Flaw { paths, reason });
                return;
            }
        };
        for entry in entries {
            match entry {
                Entry::Run(run) if frame.head.last > sealed => self.runs.push(run),
                Entry::Change(change) if is_news => self.summary.apply(*change),
                Entry::Run(_) | Entry::Change(_) => {}
            }
        }
    }

    fn note_flaw(&mut self, first: u64, end: u64) {
        let paths = self.paths();
        let reason = format!(
            "copies of the journal's files, in which the frames {first} to {} are damaged",
            end.saturating_sub(1).max(first)
        );
        self.flaws.push(Flaw { paths, reason });
    }

    /// Keeps copies of what is damaged, before anything is written.
    pub(super) fn quarantine_flaws(&self, quarantine: &Quarantine) -> Result<(), OpenError> {
        let mut flaws = self.flaws.iter();
        flaws.try_for_each(|flaw| quarantine.copy(&flaw.paths, &flaw.reason))
    }

    /// The files that may hold what is not sealed.
    pub(super) fn paths(&self) -> Vec<PathBuf> {
        let read = self.read.iter().chain(&self.carried).chain(&self.empty);
        let read = read.map(|file| file.path.clone());
        read.chain(self.earlier_log.clone()).collect()
    }

    /// Whether there is a file of the usual length without any frame.
    pub(super) fn has_empty(&self, len: u64) -> bool {
        self.empty.iter().any(|file| file.len == len)
    }

    /// Takes out a file of the usual length that can be used again at once.
    pub(super) fn take_spent(&mut self, len: u64) -> Option<PathBuf> {
        let unused = [&mut self.empty, &mut self.spent];
        unused.into_iter().find_map(|files| {
            let at = files.iter().position(|file| file.len == len)?;
            Some(files.swap_remove(at).path)
        })
    }

    /// Takes out the longest file in which nothing is needed, whatever its length, for a disk that has no room for another
    /// one; one with copies only where there is no other. The file and its length.
    pub(super) fn take_any(&mut self) -> Option<(PathBuf, u64)> {
        let unneeded = [&mut self.empty, &mut self.spent, &mut self.carried];
        unneeded.into_iter().find_map(|files| {
            let usable = files
                .iter()
                .enumerate()
                .filter(|(_, file)| file.len >= LEAST_LEN);
            let (at, _) = usable.max_by_key(|(_, file)| file.len)?;
            let file = files.swap_remove(at);
            Some((file.path, file.len))
        })
    }

    /// Goes on in the files that are there, for a disk that has no room for anything else.
    pub(super) fn resume(&mut self, folder: &Path, strand: Uuid, len: u64) -> io::Result<Journal> {
        // Their frames have the numbers that the next ones get.
        for file in std::mem::take(&mut self.carried) {
            fs::remove_file(file.path)?;
        }
        sync_names(folder)?;
        self.kept.sort_by_key(|file| file.last_number);
        let generation = self.place.generation;
        let resumed = Journal::resume(folder, strand, len, generation, &self.kept)?;
        self.read.clear();
        resumed.ok_or_else(|| io::ErrorKind::StorageFull.into())
    }

    /// Gives the files to the journal that went on in another one.
    pub(super) fn give_up(self, mut journal: Journal) -> Journal {
        let mut files = self.read;
        files.extend(self.carried);
        files.extend(self.empty);
        files.extend(self.spent);
        for file in files {
            journal.give_up(file.path, file.len);
        }
        journal
    }
}

fn kept_file(file: &FoundFile, identity: Identity, own: &[Frame], end: u64) -> Option<KeptFile> {
    let (first, last) = (own.first()?, own.last()?);
    Some(KeptFile {
        path: file.path.clone(),
        len: file.len,
        identity,
        first_number: first.head.number,
        last_number: last.head.number,
        last_seq: own.iter().map(|frame| frame.head.last).max()?,
        end,
        sum: last.sum,
    })
}

#[cfg(test)]
mod tests;
