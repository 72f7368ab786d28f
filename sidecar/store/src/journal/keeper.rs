//! The journal's keeper: a thread that has the next file ready and writes the ledger, so that no commit waits for
//! either, and neither waits for a seal.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};

use super::file::{Identity, JournalFile};
use crate::error::causes;
use crate::job::Job;
use crate::ledger::{Ledger, Page};
use crate::shared::Shared;

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
    Checkpoint(Page),
}

/// The thread's state.
pub(crate) struct Keeper {
    pub(crate) shared: Arc<Shared>,
    pub(crate) ledger: Ledger,
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
                Chore::Checkpoint(page) => self.checkpoint(&page),
            }
        }
    }

    fn checkpoint(&mut self, page: &Page) {
        let written = self.ledger.write(page);
        if let Err(error) = &written {
            let full = error.kind() == io::ErrorKind::StorageFull;
            let error = causes(error);
            if full {
                tracing::warn!(
                    error,
                    "could not write the ledger; the journal keeps its files and the next commit tries again"
                );
            } else {
                let poison = &self.shared.poison;
                poison.set(format!("the ledger could not be written: {error}"));
            }
        } else if let Err(error) = self.shared.tail.flush() {
            // It is the copy of what ledger and journal hold.
            let error = causes(&error);
            tracing::warn!(error, "could not sync the tail");
        }
        let released = written.is_ok().then_some(page.first_frame);
        let _ = self.shared.queue.push(Job::Checkpointed(released));
    }
}
