//! The files of a running journal: the next one is ready before it is needed, and those that are not needed any more are
//! used again.

use std::io;
use std::path::PathBuf;

use boboyka_strand::Seq;

use super::file::{FRAMES_AT, Identity, JournalFile};
use super::frame;
use super::keeper::{Chore, Line};
use super::write::{Journal, Used};
use crate::error::causes;

/// What a file keeps free for commits without blocks: a full disk takes them too.
const RESERVE: usize = 64 * 1024;
/// Files of the usual length that are kept although nothing in them is needed.
pub(super) const FREE_MAX: usize = 2;

impl Journal {
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
