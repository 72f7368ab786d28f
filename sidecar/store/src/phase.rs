//! The phase that a strand obeys, as it is kept: with the seq up to which its records are mirrored, and
//! the strand's own record of the change.
//!
//! Phase and record become durable together or not at all. The phase is put before the record and
//! names it: one whose record the strand does not hold gives way to the phase before.

use boboyka_crds::Phase;
use boboyka_strand::{Hash, RECORD_TYPES, Record, RecordError, RecordType, Seq};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::{oneshot, watch};

use crate::Store;
use crate::error::WriteError;
use crate::queue::Job;

/// The phase that a strand obeys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseState {
    /// The phase.
    pub phase: Phase,
    /// The integration's generation that brought it about.
    pub generation: i64,
    /// The last seq that is mirrored; everything is when it is `None`.
    pub mirror_until: Option<Seq>,
    /// Records of each type up to there, in the order of [`RecordType::ALL`].
    pub(crate) counts: [u64; RECORD_TYPES],
}

impl Store {
    /// Puts a phase into force: records appended from now on are mirrored or not as it says. A change is
    /// recorded in the strand itself, in the same commit. Answers when both are durable; a phase that is
    /// in force already is left as it is.
    ///
    /// # Errors
    /// [`WriteError`] when nothing changed.
    pub async fn set_phase(&self, phase: Phase, generation: i64) -> Result<PhaseState, WriteError> {
        let (reply, done) = oneshot::channel();
        self.shared.queue.push(Job::Phase {
            phase,
            generation,
            reply,
        })?;
        done.await.unwrap_or(Err(WriteError::Poisoned))
    }

    /// The phase in force; `None` while the strand has recorded none.
    pub fn phase(&self) -> Option<PhaseState> {
        self.shared.memory().phase()
    }

    /// Changes whenever the phase does.
    pub fn watch_phase(&self) -> watch::Receiver<Option<PhaseState>> {
        self.shared.phase.subscribe()
    }
}

/// The phase as it lies in the tail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredPhase {
    pub(crate) state: PhaseState,
    /// The record of the change; a strand's first phase needs none when it is the one it begins with.
    pub(crate) record: Option<(Seq, Hash)>,
    /// What counts while the strand does not hold that record.
    pub(crate) before: Option<PhaseState>,
}

impl StoredPhase {
    /// The phase that counts, when `holds` tells whether the strand holds a block.
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
    counts: [u64; RECORD_TYPES],
) -> PhaseState {
    let (mirror_until, counts) = match before.map(|state| (state.mirror_until, state.counts)) {
        _ if phase.mirrors() => (None, [0; RECORD_TYPES]),
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
    let data = json!({
        "agent_id": "boboyka_sidecar",
        "event": "phase_changed",
        "metadata": {
            "from": from.as_str(),
            "to": to.as_str(),
            "generation": generation,
            "boundary_seq": boundary_seq,
        },
    });
    Record::from_json(RecordType::AuditLog, &data.to_string())
}
