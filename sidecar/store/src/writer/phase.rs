//! Changing the phase: the phase and the strand's own record of the change, in one commit.

use boboyka_crds::Phase;

use super::commit::Commit;
use super::thread::Writer;
use crate::error::{WriteError, causes};
use crate::phase::{self, PhaseState, RecordedPhase};

impl Writer {
    /// Takes a change of phase into the commit; the state that will be in force. A phase that is in
    /// force already stays as it is.
    pub(super) fn change_phase(
        &self,
        commit: &mut Commit,
        to: Phase,
        generation: i64,
    ) -> Result<PhaseState, WriteError> {
        let view = self.shared.view();
        let (before, mut counts) = (view.phase, view.counts);
        if commit.phase.is_some() {
            // One change a commit: one record has to say whether a crash left it in force.
            return Err(WriteError::QueueFull);
        }
        if let Some(state) = before.filter(|state| state.phase == to) {
            return Ok(state);
        }
        for (record_type, drafted) in commit.draft.counts {
            counts[record_type] += drafted;
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
                let error = causes(&error);
                tracing::error!(error, "could not make the record of a change of phase");
                WriteError::Poisoned
            })?;
            let appended = commit.link(record, None);
            Some((appended.seq, appended.hash))
        };
        match before {
            None => tracing::info!(phase = %to, generation, "the strand begins in the phase {to}"),
            Some(_) => {
                tracing::info!(%from, %to, generation, boundary_seq, "the phase changes from {from} to {to}");
            }
        }
        commit.phase = Some(RecordedPhase {
            state,
            record,
            before,
        });
        Ok(state)
    }
}
