//! Writing to the journal: one frame for each commit, one write and one sync.

use std::collections::VecDeque;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use boboyka_strand::Seq;
use uuid::Uuid;

use super::entry;
use super::file::{FRAMES_AT, Identity, JournalFile, KeptFile};
use super::frame::{self, Encoder, FrameHead, Sum};
use super::keeper::Line;
use crate::tail_run::TailRun;

/// A frame longer than this is written in pieces: memory need not hold it a second time.
const PIECE: usize = 512 * 1024;

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
pub(super) struct Used {
    pub(super) path: PathBuf,
    pub(super) len: u64,
    pub(super) generation: u64,
    pub(super) first_number: u64,
    pub(super) last_seq: Seq,
}

/// The journal of a running store.
pub(crate) struct Journal {
    pub(super) folder: PathBuf,
    pub(super) strand: Uuid,
    /// The usual length of a file.
    pub(super) file_len: u64,
    pub(super) current: JournalFile,
    pub(super) at: u64,
    pub(super) first_number: u64,
    pub(super) last_seq: Seq,
    pub(super) full: VecDeque<Used>,
    pub(super) free: Vec<PathBuf>,
    pub(super) place: Place,
    buffer: Vec<u8>,
    pub(super) line: Option<Line>,
    pub(super) ordered: bool,
    /// Frames were written since the last sync.
    pub(super) dirty: bool,
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
}

#[cfg(test)]
mod tests;
