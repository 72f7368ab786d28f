//! Changing the phase: the phase and the strand's own record of the change, in one commit.

use boboyka_crds::Phase;

use super::commit::Commit;
use super::thread::Writer;
use crate::error::{WriteError, causes};
use crate::phase::{self, PhaseChange, PhaseState, RecordedPhase};

impl Writer {
    /// Takes a change of phase into the commit; the state that will be in force. A phase that is in
    /// force already stays as it is.
    pub(super) fn change_phase(
        &self,
        commit: &mut Commit,
        change: &PhaseChange,
    ) -> Result<PhaseState, WriteError> {
        let (to, generation) = (change.phase, change.generation);
        let view = self.shared.view();
        let (before, mut counts) = (view.phase, view.counts);
        if commit.phase.is_some() {
            // One change a commit: one record has to say whether a crash left it in force.
            return Err(WriteError::QueueFull);
        }
        // The end is that of a phase in force, by which it is known again after a start.
        let is_in_force = before.is_some_and(|state| state.phase == to);
        let change = &PhaseChange {
            finalizes: change.finalizes && is_in_force,
            ..change.clone()
        };
        if let Some(state) = before.filter(|state| is_as_wanted(state, change)) {
            return Ok(state);
        }
        for (record_type, drafted) in commit.draft.counts {
            counts[record_type] += drafted;
        }
        let boundary_seq = commit.head.seq;
        let state = phase::next(before, change, boundary_seq, counts);
        let from = before.map_or(Phase::default(), |state| state.phase);
        let record = if from == to && !change.finalizes {
            None
        } else {
            let record = phase::record(from, change, boundary_seq);
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
            _ if change.finalizes => {
                tracing::info!(
                    generation,
                    boundary_seq,
                    "the migration ends in the phase {to}: there is no way back"
                );
            }
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

/// Whether nothing is to be done: the phase is in force and the migration ends only once, or it has ended.
fn is_as_wanted(state: &PhaseState, change: &PhaseChange) -> bool {
    state.finalized || state.phase == change.phase && !change.finalizes
}
