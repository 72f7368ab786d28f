//! The phase as it lies on the disk.

use boboyka_crds::Phase;
use boboyka_strand::{Hash, Seq};

use super::form::Stored;
use crate::counts::Counts;
use crate::phase::{PhaseState, RecordedPhase};

/// Phase, generation, last mirrored seq, counts.
type StateForm = (String, i64, Option<Seq>, Counts<u64>);

fn state_form(state: &PhaseState) -> StateForm {
    let (phase, counts) = (state.phase.as_str().to_owned(), Counts(state.counts));
    (phase, state.generation, state.mirror_until, counts)
}

fn state_of((phase, generation, mirror_until, counts): StateForm) -> Result<PhaseState, String> {
    Ok(PhaseState {
        phase: phase_named(&phase)?,
        generation,
        mirror_until,
        finalized: false,
        counts: counts.0,
        legacy: None,
    })
}

fn phase_named(name: &str) -> Result<Phase, String> {
    let phases = [Phase::DualWrite, Phase::MigrateInternals, Phase::CutOver];
    let named = phases.into_iter().find(|phase| phase.as_str() == name);
    named.ok_or_else(|| format!("there is no phase {name}"))
}

impl Stored for RecordedPhase {
    const NAME: &'static str = "phase";
    type Form = (StateForm, Option<(Seq, Hash)>, Option<StateForm>);

    fn to_form(&self) -> Self::Form {
        let before = self.before.as_ref().map(state_form);
        (state_form(&self.state), self.record, before)
    }

    fn from_form((state, record, before): Self::Form) -> Result<Self, String> {
        let (mut state, before) = (state_of(state)?, before.map(state_of).transpose()?);
        let is_same = before.is_some_and(|before| before.phase == state.phase);
        state.finalized = record.is_some() && is_same;
        Ok(Self {
            state,
            record,
            before,
        })
    }
}
