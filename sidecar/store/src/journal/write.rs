//! Writing to the journal: one frame for each commit, one write and one sync.

use std::collections::VecDeque;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};

use boboyka_strand::Seq;
use uuid::Uuid;

use super::entry;
use super::file::{FRAMES_AT, Identity, JournalFile, KeptFile};
use super::frame::{self, Encoder, FrameHead, Sum};
use super::keeper::Chore;
use crate::error::causes;
use crate::tail_run::TailRun;

/// What a file keeps free for commits without blocks: a full disk takes them too.
const RESERVE: usize = 64 * 1024;
/// A frame longer than this is written in pieces: memory need not hold it a second time.
const PIECE: usize = 512 * 1024;
/// Files of the usual length that are kept although nothing in them is needed.
const FREE_MAX: usize = 2;

/// Where the journal goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The next frame's number.
    pub(crate) number: u64,
    /// Checksum of the frame before it.
    pub(crate) before: Sum,
    /// The generation of the next file.
    pub(crate) generation: u64,
}

/// A file that is full, or was, and the newest run in it.
#[derive(Debug)]
struct Used {
    path: PathBuf,
    len: u64,
    generation: u64,
    first_number: u64,
    last_seq: Seq,
}

/// The journal of a running store.
pub(crate) struct Journal {
    folder: PathBuf,
    strand: Uuid,
    /// The usual length of a file.
    file_len: u64,
    current: JournalFile,
    at: u64,
    first_number: u64,
    last_seq: Seq,
    full: VecDeque<Used>,
    free: Vec<PathBuf>,
    place: Place,
    buffer: Vec<u8>,
    line: Option<Line>,
    ordered: bool,
    /// Frames were written since the last sync.
    dirty: bool,
}

/// The line to the keeper: what is ordered there, and the files that come back.
pub(crate) struct Line {
    pub(crate) chores: SyncSender<Chore>,
    pub(crate) spares: Receiver<io::Result<JournalFile>>,
}

impl Journal {
    /// Goes on in a file of its own: `reuse`, a file and its length in bytes in which nothing is needed, or a new one.
    pub(crate) fn begin(
        folder: &Path,
        strand: Uuid,
        file_len: u64,
        place: Place,
        reuse: Option<(PathBuf, u64)>,
    ) -> io::Result<Self> {
        let life = Identity::new(strand, place.generation);
        let current = match reuse {
            Some((path, len)) => JournalFile::begin(path, len, life)?,
            None => JournalFile::create(folder, file_len, life)?,
        };
        Ok(Self {
            folder: folder.to_owned(),
            strand,
            file_len,
            current,
            at: FRAMES_AT,
            first_number: place.number,
            last_seq: 0,
            full: VecDeque::new(),
            free: Vec::new(),
            place: Place {
                generation: place.generation + 1,
                ..place
            },
            buffer: Vec::new(),
            line: None,
            ordered: false,
            dirty: false,
        })
    }

    /// Goes on behind the last of the frames that are there, for a disk that has no room to carry them over. `kept` are
    /// the files in the order of their frames, `generation` is that of the next file; `None` when there is no file.
    pub(crate) fn resume(
        folder: &Path,
        strand: Uuid,
        file_len: u64,
        generation: u64,
        kept: &[KeptFile],
    ) -> io::Result<Option<Self>> {
        let Some((last, full)) = kept.split_last() else {
            return Ok(None);
        };
        for file in full {
            file.write_again()?;
        }
        let used = |file: &KeptFile| Used {
            path: file.path.clone(),
            len: file.len,
            generation: file.identity.generation,
            first_number: file.first_number,
            last_seq: file.last_seq,
        };
        Ok(Some(Self {
            folder: folder.to_owned(),
            strand,
            file_len,
            current: last.write_again()?,
            at: last.end,
            first_number: last.first_number,
            last_seq: last.last_seq,
            full: full.iter().map(used).collect(),
            free: Vec::new(),
            place: Place {
                number: last.last_number + 1,
                before: last.sum,
                generation,
            },
            buffer: Vec::new(),
            line: None,
            ordered: false,
            dirty: false,
        }))
    }

    /// Removes the files that it has begun: what they hold lies elsewhere too.
    pub(crate) fn discard(self) -> io::Result<()> {
        let full = self.full.iter().map(|file| &file.path);
        full.chain([&self.current.path])
            .try_for_each(std::fs::remove_file)
    }

    /// Takes up the line to the keeper and orders the first spare file.
    pub(crate) fn connect(&mut self, line: Line) {
        self.line = Some(line);
        self.order_spare();
    }

    /// Takes over a file whose frames are all in the ledger and in what was carried over.
    pub(crate) fn give_up(&mut self, path: PathBuf, len: u64) {
        if len == self.file_len && self.free.len() < FREE_MAX {
            self.free.push(path);
        } else if let Err(error) = std::fs::remove_file(&path) {
            let file = path.display().to_string();
            let error = causes(&error);
            tracing::warn!(error, file, "could not remove the journal's file {file}");
        }
    }

    /// Makes room for a frame with blocks, whose body has up to `bytes`, in another file where the current one is too full.
    pub(crate) fn make_room(&mut self, bytes: usize) -> io::Result<()> {
        self.make_room_and_keep(bytes, RESERVE)
    }

    /// The same for a frame without blocks, which may take what is kept free for it.
    pub(crate) fn make_room_for_changes(&mut self, bytes: usize) -> io::Result<()> {
        self.make_room_and_keep(bytes, 0)
    }

    fn make_room_and_keep(&mut self, bytes: usize, free: usize) -> io::Result<()> {
        let needed = (frame::frame_len(bytes) + free) as u64;
        if self.at + needed <= self.current.len {
            return Ok(());
        }
        let next = if FRAMES_AT + needed > self.file_len {
            let len = (FRAMES_AT + needed).next_multiple_of(frame::ALIGN as u64);
            let life = self.new_life();
            JournalFile::create(&self.folder, len, life)?
        } else {
            self.spare()?
        };
        self.sync()?;
        let full = std::mem::replace(&mut self.current, next);
        self.full.push_back(Used {
            path: full.path,
            len: full.len,
            generation: full.identity.generation,
            first_number: self.first_number,
            last_seq: self.last_seq,
        });
        (self.at, self.last_seq) = (FRAMES_AT, 0);
        self.first_number = self.place.number;
        Ok(())
    }

    /// Writes a frame with runs and the entries of changes, and makes it durable. After an error nothing is known of
    /// what is.
    pub(crate) fn append(&mut self, runs: &[Arc<TailRun>], small: &[u8]) -> io::Result<()> {
        self.write(runs, small, false)?;
        self.sync()
    }

    /// Writes a frame with what an earlier process wrote; [`Journal::sync`] makes it durable.
    pub(crate) fn carry(&mut self, runs: &[Arc<TailRun>]) -> io::Result<()> {
        self.write(runs, &[], true)
    }

    pub(crate) fn sync(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.dirty) {
            self.current.file.sync_data()?;
        }
        Ok(())
    }

    fn write(&mut self, runs: &[Arc<TailRun>], small: &[u8], carry: bool) -> io::Result<()> {
        let body = runs.iter().map(|run| entry::run_len(run)).sum::<usize>() + small.len();
        let len = frame::frame_len(body);
        if self.at + len as u64 > self.current.len {
            self.make_room(body)?;
        }
        let head = self.head_of(runs, carry);
        self.dirty = true;
        let mut buffer = std::mem::take(&mut self.buffer);
        let sum = self.put_frame(&mut buffer, &head, (body, len), runs, small)?;
        self.at += len as u64;
        self.place.number += 1;
        self.place.before = sum;
        self.last_seq = self.last_seq.max(head.last);
        buffer.clear();
        buffer.shrink_to(PIECE);
        self.buffer = buffer;
        Ok(())
    }

    fn head_of(&self, runs: &[Arc<TailRun>], carry: bool) -> FrameHead {
        let life = self.current.identity;
        FrameHead {
            generation: life.generation,
            nonce: life.nonce,
            number: self.place.number,
            first: runs.first().map_or(0, |run| run.first_seq()),
            last: runs.last().map_or(0, |run| run.head.seq),
            carry,
            before: self.place.before,
        }
    }

    /// Writes a frame with a body and in all of the given lengths: with one write, unless it is a long one.
    fn put_frame(
        &self,
        buffer: &mut Vec<u8>,
        head: &FrameHead,
        (body, len): (usize, usize),
        runs: &[Arc<TailRun>],
        small: &[u8],
    ) -> io::Result<Sum> {
        let file = &self.current.file;
        let body = u32::try_from(body).map_err(io::Error::other)?;
        let mut encoder = Encoder::begin(&self.current.key, head, body, buffer);
        let mut written = 0;
        for run in runs {
            entry::put_run(run, buffer).map_err(io::Error::other)?;
            if buffer.len() > PIECE {
                encoder.take(buffer);
                file.write_all_at(buffer, self.at + written as u64)?;
                written += buffer.len();
                buffer.clear();
            }
        }
        buffer.extend_from_slice(small);
        encoder.take(buffer);
        let sum = encoder.end();
        buffer.extend_from_slice(&sum);
        buffer.resize(len - written, 0);
        file.write_all_at(buffer, self.at + written as u64)?;
        Ok(sum)
    }

    /// The newest frame's number.
    pub(crate) fn last_number(&self) -> u64 {
        self.place.number - 1
    }

    /// Whether a file could be used again if the ledger were written now, or a spare file is missing.
    pub(crate) fn wants_checkpoint(&self, sealed: Seq) -> bool {
        let gone = |file: &Used| file.last_seq <= sealed;
        self.full.front().is_some_and(gone) || (!self.full.is_empty() && !self.ordered)
    }

    /// What is needed while the segments hold all up to `sealed`: the lowest generation of a file, and the number of
    /// the first frame in any of these files. What is needed begins with a file and has no gap: a file whose runs are
    /// sealed stays while one before it is needed.
    pub(crate) fn needed(&self, sealed: Seq) -> (u64, u64) {
        let gone = |file: &&Used| file.last_seq <= sealed;
        let mut needed = self.full.iter().skip_while(gone).peekable();
        let first = needed
            .peek()
            .map_or(self.first_number, |file| file.first_number);
        // Generations need not be in the order of frames: a spare file may be older than one that was used before it.
        let current = self.current.identity.generation;
        (
            needed.map(|file| file.generation).fold(current, u64::min),
            first,
        )
    }

    /// Takes the files for free whose frames come before a number: a synced ledger says that they are not needed.
    pub(crate) fn release(&mut self, first_frame: u64) {
        while let Some(file) = self
            .full
            .pop_front_if(|file| file.first_number < first_frame)
        {
            self.give_up(file.path, file.len);
        }
    }

    /// Orders the next spare file, unless it is on its way.
    pub(crate) fn order_spare(&mut self) {
        if self.ordered || self.line.is_none() {
            return;
        }
        let (life, reuse) = (self.new_life(), self.free.pop());
        let chore = Chore::Spare {
            folder: self.folder.clone(),
            len: self.file_len,
            life,
            reuse,
        };
        let keeper = self.line.as_ref().map(|line| &line.chores);
        self.ordered = keeper.is_some_and(|keeper| keeper.send(chore).is_ok());
    }

    fn spare(&mut self) -> io::Result<JournalFile> {
        self.order_spare();
        self.ordered = false;
        let spare = self.line.as_ref().map(|line| line.spares.recv());
        match spare {
            Some(Ok(spare)) => spare,
            Some(Err(_)) => Err(io::Error::other("the journal's keeper has ended")),
            None => {
                let life = self.new_life();
                JournalFile::create(&self.folder, self.file_len, life)
            }
        }
    }

    fn new_life(&mut self) -> Identity {
        let life = Identity::new(self.strand, self.place.generation);
        self.place.generation += 1;
        life
    }
}

#[cfg(test)]
mod tests;
