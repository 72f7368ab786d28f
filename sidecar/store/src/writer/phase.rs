//! Changing the phase: the phase and the strand's own record of the change, in one commit.

use boboyka_crds::Phase;

use super::commit::Commit;
use super::listing::{change_list, made};
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
        if commit.phase.is_some() || commit.legacy.change.is_some() {
            // One change a commit: one record has to say whether a crash left it in force.
            return Err(WriteError::QueueFull);
        }
        // The end is that of a phase in force, by which it is known again after a start.
        let is_in_force = before.is_some_and(|state| state.phase == to);
        let change = &PhaseChange {
            finalizes: change.finalizes && is_in_force && commit.legacy.names_nobody(),
            ..change.clone()
        };
        if let Some(state) = before.filter(|state| is_as_wanted(state, change)) {
            return change_list(commit, state, change);
        }
        for (record_type, drafted) in commit.draft.counts {
            counts[record_type] += drafted;
        }
        let boundary_seq = commit.head.seq;
        let state = phase::next(before, change, boundary_seq, counts);
        if to.mirrors() {
            self.rewind(commit, &view).map_err(|error| {
                let error = causes(&error);
                tracing::error!(error, "could not set the lanes back to the boundary");
                WriteError::Poisoned
            })?;
        }
        commit
            .legacy
            .change_phase(before, &state, change.list.as_ref(), boundary_seq);
        let from = before.map_or(Phase::default(), |state| state.phase);
        let record = if from == to && !change.finalizes {
            None
        } else {
            // It is of our own making and always fits; were it not, the phase must not change unrecorded.
            let record = made(phase::record(from, change, boundary_seq))?;
            let appended = commit.link(record, None);
            Some((appended.seq, appended.hash))
        };
        if let Some(record) = record {
            commit.legacy.recorded(record);
        }
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
        Ok(commit.legacy.with_state(state))
    }
}

/// Whether the phase needs no change: it is in force and the migration ends only once, or it has ended.
fn is_as_wanted(state: &PhaseState, change: &PhaseChange) -> bool {
    state.finalized || state.phase == change.phase && !change.finalizes
}
