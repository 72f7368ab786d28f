//! When the ledger is written, and what then stands in it.

use boboyka_strand::{RecordType, Seq};

use super::thread::Writer;
use crate::change::{self, Change};
use crate::error::TailError;
use crate::journal::Chore;
use crate::ledger::Page;

impl Writer {
    /// Has the ledger written when that frees a file of the journal, or a spare one is missing.
    pub(super) fn start_checkpoint(&mut self) -> Result<(), TailError> {
        let sealed = self.shared.state().memory().sealed();
        if self.checkpointing || !self.journal.wants_checkpoint(sealed) {
            return Ok(());
        }
        let chore = Chore::Checkpoint(self.page(sealed)?);
        // When the thread has too much to do, the next commit tries again.
        self.checkpointing = self.chores.try_send(chore).is_ok();
        Ok(())
    }

    /// The ledger's page as of the last commit.
    fn page(&self, sealed: Seq) -> Result<Page, TailError> {
        let mut entries = Vec::new();
        let (floor, binding, segments, gaps) = {
            let state = self.shared.state();
            let memory = state.memory();
            (
                *memory.floor(),
                memory.binding(),
                memory.segments().to_vec(),
                memory.gaps().to_vec(),
            )
        };
        let mut changes = vec![Change::Floor(floor), Change::Binding(binding)];
        changes.extend(self.phase.map(Change::Phase));
        changes.extend(RecordType::ALL.map(|lane| Change::Mark(lane, self.marks[lane])));
        changes.extend(gaps.into_iter().map(Change::Gap));
        changes.extend(self.noted.iter().cloned().map(Change::Noted));
        changes
            .iter()
            .try_for_each(|change| change.put(&mut entries))?;
        for segment in segments {
            change::put_segment(&segment, &mut entries)?;
        }
        for lane in RecordType::ALL {
            for letter in self.shared.tail.letters(lane, 0, usize::MAX)? {
                Change::Letter(letter).put(&mut entries)?;
            }
        }
        let (generation, first_frame) = self.journal.needed(sealed);
        Ok(Page {
            strand: self.shared.strand,
            frame: self.journal.last_number(),
            generation,
            first_frame,
            entries,
        })
    }
}
