//! When the ledger is written.

use std::sync::mpsc::TrySendError;

use super::thread::Writer;
use crate::journal::{Checkpoint, Chore};

impl Writer {
    /// Has the ledger written when that frees a file of the journal, or a spare one is missing.
    pub(super) fn start_checkpoint(&mut self) {
        let sealed = self.shared.state().memory().sealed();
        if self.checkpointing || !self.journal.wants_checkpoint(sealed) {
            return;
        }
        let (generation, first_frame) = self.journal.needed(sealed);
        let chore = Chore::Checkpoint(Checkpoint {
            frame: self.journal.last_number(),
            generation,
            first_frame,
            entries: std::mem::take(&mut self.entries),
        });
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
}
