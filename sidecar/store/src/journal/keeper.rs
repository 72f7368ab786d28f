//! The journal's keeper: a thread that has the next file ready and writes the ledger, so that no commit waits for
//! either, and neither waits for a seal.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender};

use super::file::{Identity, JournalFile};
use crate::error::causes;
use crate::job::Job;
use crate::ledger::{Ledger, Page};
use crate::shared::Shared;
use crate::summary::Summary;

/// One task of the thread.
pub(crate) enum Chore {
    /// Have a file ready.
    Spare {
        folder: PathBuf,
        len: u64,
        life: Identity,
        /// A file of this length that is free.
        reuse: Option<PathBuf>,
    },
    /// Write the ledger; the writer hears of it through its queue.
    Checkpoint(Checkpoint),
}

/// A page of the ledger to be written.
pub(crate) struct Checkpoint {
    /// The last frame that it covers.
    pub(crate) frame: u64,
    /// The lowest generation of a file of the journal that is needed.
    pub(crate) generation: u64,
    /// The first frame in the files that are needed.
    pub(crate) first_frame: u64,
    /// The entries of all changes since the page before.
    pub(crate) entries: Vec<u8>,
    /// Hears whether the page is durable, when somebody waits for it.
    pub(crate) done: Option<SyncSender<io::Result<()>>>,
}

/// The line to the thread: what is ordered there, and the files that come back.
pub(crate) struct Line {
    pub(crate) chores: SyncSender<Chore>,
    pub(crate) spares: Receiver<io::Result<JournalFile>>,
}

/// The thread's state.
pub(crate) struct Keeper {
    pub(crate) shared: Arc<Shared>,
    pub(crate) ledger: Ledger,
    /// What the ledger says once the page on its way is written.
    pub(crate) summary: Summary,
    pub(crate) spares: Sender<io::Result<JournalFile>>,
}

impl Keeper {
    /// Works until the writer, which sends the tasks, has ended.
    pub(crate) fn work(mut self, chores: &Receiver<Chore>) {
        for chore in chores {
            match chore {
                Chore::Spare {
                    folder,
                    len,
                    life,
                    reuse,
                } => {
                    let spare = match reuse {
                        Some(path) => JournalFile::begin(path, len, life),
                        None => JournalFile::create(&folder, len, life),
                    };
                    let _ = self.spares.send(spare);
                }
                Chore::Checkpoint(checkpoint) => self.checkpoint(checkpoint),
            }
        }
    }

    fn checkpoint(&mut self, mut checkpoint: Checkpoint) {
        let done = checkpoint.done.take();
        let written = self.write(&checkpoint);
        match &written {
            Ok(()) => self.flush_tail(),
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                let error = causes(error);
                tracing::warn!(
                    error,
                    "could not write the ledger; the journal keeps its files and the next commit tries again"
                );
            }
            Err(error) => {
                let (error, poison) = (causes(error), &self.shared.poison);
                poison.set(format!("the ledger could not be written: {error}"));
            }
        }
        let is_written = written.is_ok();
        if let Some(done) = done {
            let _ = done.try_send(written);
        }
        let released = is_written.then_some(checkpoint.first_frame);
        let _ = self.shared.queue.push(Job::Checkpointed(released));
    }

    /// Writes the page as of a frame. It is made of the page before and the changes since then, as a start would make
    /// it of ledger and journal: no other copy of them has a part in it.
    fn write(&mut self, checkpoint: &Checkpoint) -> io::Result<()> {
        let taken = self.summary.take(&checkpoint.entries);
        taken.map_err(io::Error::other)?;
        let page = Page {
            strand: self.shared.strand,
            frame: checkpoint.frame,
            generation: checkpoint.generation,
            first_frame: checkpoint.first_frame,
            entries: self.summary.entries().map_err(io::Error::other)?,
        };
        self.ledger.write(&page)
    }

    /// The index is a copy of what ledger and journal hold: a start can do without it.
    fn flush_tail(&self) {
        if let Err(error) = self.shared.tail.flush() {
            let error = causes(&error);
            tracing::warn!(error, "could not sync the tail");
        }
    }
}
