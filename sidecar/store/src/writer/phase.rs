//! Changing the phase: the phase and the strand's own record of the change, in one commit.

use boboyka_crds::Phase;

use super::Writer;
use super::commit::Commit;
use crate::error::WriteError;
use crate::phase::{self, PhaseState, StoredPhase};

impl Writer {
    /// Takes a change of phase into the commit; the state that will be in force. A phase that is in
    /// force already stays as it is.
    pub(super) fn change_phase(
        &self,
        commit: &mut Commit,
        to: Phase,
        generation: i64,
    ) -> Result<PhaseState, WriteError> {
        let (before, mut counts) = {
            let memory = self.shared.memory();
            (memory.phase(), memory.counts())
        };
        if commit.phase.is_some() {
            // One change a commit: what a crash leaves of it must be told by one record.
            return Err(WriteError::QueueFull);
        }
        if let Some(state) = before.filter(|state| state.phase == to) {
            return Ok(state);
        }
        for (count, drafted) in counts.iter_mut().zip(commit.draft.counts) {
            *count += drafted;
        }
        let boundary_seq = commit.head.seq;
        let state = phase::next(before, to, generation, boundary_seq, counts);
        let from = before.map_or(Phase::default(), |state| state.phase);
        let record = if from == to {
            None
        } else {
            let record = phase::record(from, to, generation, boundary_seq);
            // It is of our own making and always fits; were it not, the phase must not change unrecorded.
            let record = record.map_err(|error| {
                tracing::error!(%error, "the record of a change of phase is not one");
                WriteError::Poisoned
            })?;
            let appended = commit.link(record, None);
            Some((appended.seq, appended.hash))
        };
        tracing::info!(%from, %to, generation, boundary_seq, "the phase changes");
        commit.phase = Some(StoredPhase {
            state,
            record,
            before,
        });
        Ok(state)
    }
}
