//! The phase that a strand obeys: with the seq up to which its records are mirrored, and the strand's own
//! record of the change.
//!
//! Phase and record become durable together or not at all. The phase is put before the record and
//! names it: a phase whose record the strand does not hold gives way to the phase before.

use boboyka_crds::Phase;
use boboyka_strand::{Hash, PerType, Record, RecordError, Seq};
use serde_json::json;

/// The phase that a strand obeys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PhaseState {
    /// The phase.
    pub phase: Phase,
    /// The integration's generation that put it into force.
    pub generation: i64,
    /// The last seq that is mirrored; `None` while everything is.
    pub mirror_until: Option<Seq>,
    /// Records of each type up to there.
    pub(crate) counts: PerType<u64>,
}

/// A phase with what proves that the strand has recorded it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordedPhase {
    pub(crate) state: PhaseState,
    /// The record of the change; a strand's first phase needs none when it is the one it begins with.
    pub(crate) record: Option<(Seq, Hash)>,
    /// What counts while the strand does not hold that record.
    pub(crate) before: Option<PhaseState>,
}

impl RecordedPhase {
    /// The phase that counts; `holds` says whether the strand holds a block.
    pub(crate) fn in_force(&self, holds: impl FnOnce(Seq, Hash) -> bool) -> Option<PhaseState> {
        match self.record {
            Some((seq, hash)) if !holds(seq, hash) => self.before,
            _ => Some(self.state),
        }
    }
}

/// The state after a change of phase at `head_seq`, where the strand has `counts` records of each type.
pub(crate) fn next(
    before: Option<PhaseState>,
    phase: Phase,
    generation: i64,
    head_seq: Seq,
    counts: PerType<u64>,
) -> PhaseState {
    let (mirror_until, counts) = match before.map(|state| (state.mirror_until, state.counts)) {
        _ if phase.mirrors() => (None, PerType::default()),
        Some((Some(until), counts)) => (Some(until), counts),
        _ => (Some(head_seq), counts),
    };
    PhaseState {
        phase,
        generation,
        mirror_until,
        counts,
    }
}

/// The strand's own record of a change of phase.
pub(crate) fn record(
    from: Phase,
    to: Phase,
    generation: i64,
    boundary_seq: Seq,
) -> Result<Record, RecordError> {
    let metadata = json!({
        "from": from.as_str(),
        "to": to.as_str(),
        "generation": generation,
        "boundary_seq": boundary_seq,
    });
    Record::own("phase_changed", &metadata)
}
