//! When the ledger is written.

use std::io;
use std::sync::mpsc::{TrySendError, sync_channel};

use boboyka_strand::RecordType;

use super::thread::Writer;
use crate::change::Change;
use crate::format::Format;
use crate::job::Job;
use crate::journal::{Checkpoint, Chore};

impl Writer {
    /// Has the ledger written when that frees a file of the journal, or a spare one is missing.
    pub(super) fn start_checkpoint(&mut self) {
        let sealed = self.shared.state().memory().sealed();
        if self.checkpointing || !self.journal.wants_checkpoint(sealed) {
            return;
        }
        let chore = Chore::Checkpoint(self.next_page());
        self.checkpointing = true;
        // When the thread has too much to do, the next commit tries again.
        if let Err(TrySendError::Full(chore) | TrySendError::Disconnected(chore)) =
            self.chores.try_send(chore)
            && let Chore::Checkpoint(kept) = chore
        {
            self.checkpointing = false;
            self.entries = kept.entries;
        }
    }

    /// Has the ledger say what the strand holds that earlier programs do not know, before it holds the first of it.
    pub(super) fn announce(&mut self, jobs: &[Job]) -> io::Result<()> {
        let needed = jobs.iter().map(needed).max().unwrap_or_default();
        if self.format >= needed {
            return Ok(());
        }
        let format = Change::Format(needed);
        format.put(&mut self.entries).map_err(io::Error::other)?;
        let (done, written) = sync_channel(1);
        let page = Checkpoint {
            done: Some(done),
            ..self.next_page()
        };
        let gone = || io::Error::other("the thread that writes the ledger has ended");
        let sent = self.chores.send(Chore::Checkpoint(page));
        sent.map_err(|_| gone())?;
        written.recv().map_err(|_| gone())??;
        self.format = needed;
        Ok(())
    }

    /// The page of the ledger as of the last frame.
    fn next_page(&mut self) -> Checkpoint {
        let sealed = self.shared.state().memory().sealed();
        let (generation, first_frame) = self.journal.needed(sealed);
        Checkpoint {
            frame: self.journal.last_number(),
            generation,
            first_frame,
            entries: std::mem::take(&mut self.entries),
            done: None,
        }
    }
}

/// What a program must know to read what a job brings.
fn needed(job: &Job) -> Format {
    let mut records = job.records().iter();
    if matches!(job, Job::Stripped { .. }) {
        Format::Stripped
    } else if job.has_list() {
        Format::Legacy
    } else if records.any(|new| new.record.record_type() == RecordType::Document) {
        Format::Documents
    } else {
        Format::First
    }
}
