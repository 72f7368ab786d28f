//! The phase that a strand obeys: with the seq up to which its records are mirrored, and the strand's own
//! record of the change.
//!
//! Phase and record become durable together or not at all. The phase is put before the record and
//! names it: a phase whose record the strand does not hold gives way to the phase before.

use boboyka_crds::{Change, LegacyList, Phase};
use boboyka_strand::{Hash, PerType, Record, RecordError, Seq};
use serde_json::{Map, Value, json};

use crate::legacy::LegacyState;

/// Names of projects that the strand's record of a change of the list tells of each kind.
const NAMES_TOLD: usize = 100;

/// The phase that a strand obeys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PhaseState {
    /// The phase.
    pub phase: Phase,
    /// The integration's generation that put it into force.
    pub generation: i64,
    /// The last seq that is mirrored; `None` while everything is.
    pub mirror_until: Option<Seq>,
    /// Whether the migration has ended in it: no other phase can follow.
    pub finalized: bool,
    /// Records of each type up to there.
    pub(crate) counts: PerType<u64>,
    /// The legacy projects that are mirrored behind it. It lies elsewhere on the disk, see [`crate::legacy`].
    pub legacy: Option<LegacyState>,
}

/// A change of phase, and what the strand's record of it says.
#[derive(Clone, Debug)]
pub struct PhaseChange {
    /// The phase.
    pub phase: Phase,
    /// The integration's generation that put it into force.
    pub generation: i64,
    /// Whether the migration ends with it, in `CutOver`.
    pub finalizes: bool,
    /// How the integration came to it, if that is known.
    pub how: Option<Box<Change>>,
    /// The list of legacy projects, if it is known; else it stays as it is.
    pub list: Option<ListChange>,
}

/// A list of legacy projects that comes into force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListChange {
    /// The list.
    pub list: LegacyList,
    /// The integration's generation that changed it.
    pub generation: i64,
    /// Which of the changes it was: one generation may have several.
    pub revision: i64,
    /// Who changed it, if that is known.
    pub by: Option<String>,
}

impl ListChange {
    /// What the record of a change of phase says of it.
    fn facts(&self) -> Value {
        json!({"projects": self.list.names().len(), "shared": self.list.shared(), "digest": self.list.digest()})
    }

    /// The strand's own record of the change of the list alone.
    pub(crate) fn record(
        &self,
        before: &LegacyList,
        boundary_seq: Seq,
    ) -> Result<Record, RecordError> {
        let only_in = |one: &LegacyList, other: &LegacyList| -> Vec<String> {
            let only = one.names().iter().filter(|name| !other.contains(name));
            only.cloned().collect()
        };
        let (added, removed) = (only_in(&self.list, before), only_in(before, &self.list));
        let told = |names: &[String]| names.get(..NAMES_TOLD.min(names.len())).map(<[_]>::to_vec);
        let mut metadata = json!({
            "generation": self.generation,
            "boundary_seq": boundary_seq,
            "legacy": self.facts(),
            "added": told(&added),
            "added_count": added.len(),
            "removed": told(&removed),
            "removed_count": removed.len(),
        });
        if let (Some(by), Some(metadata)) = (&self.by, metadata.as_object_mut()) {
            metadata.insert("by".to_owned(), by.clone().into());
        }
        Record::own("legacy_projects_changed", &metadata)
    }
}

impl PhaseChange {
    /// A change to a phase of which no more is known.
    pub fn to(phase: Phase, generation: i64) -> Self {
        Self {
            phase,
            generation,
            finalizes: false,
            how: None,
            list: None,
        }
    }

    /// The fields that the record has beside the phases, the generation and the boundary.
    fn evidence(&self) -> Map<String, Value> {
        let mut fields = Map::new();
        if let Some(list) = self.list.as_ref().filter(|it| !it.list.is_empty()) {
            fields.insert("legacy".to_owned(), list.facts());
        }
        let Some(how) = &self.how else {
            return fields;
        };
        fields.insert("evidence".to_owned(), how.evidence.clone().into());
        if let Some(by) = &how.by {
            fields.insert("by".to_owned(), by.clone().into());
        }
        if let Some(force) = &how.force {
            fields.insert(
                "force".to_owned(),
                json!({"gates": force.gates, "reason": force.reason, "by": force.by, "generation": force.generation}),
            );
        }
        fields
    }
}

/// A phase with what proves that the strand has recorded it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordedPhase {
    pub(crate) state: PhaseState,
    /// The record of the change; a strand's first phase needs none when it is the one it begins with. A phase that has one and
    /// is the same as before is the end of the migration.
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
    change: &PhaseChange,
    head_seq: Seq,
    counts: PerType<u64>,
) -> PhaseState {
    let phase = change.phase;
    let (mirror_until, counts) = match before.map(|state| (state.mirror_until, state.counts)) {
        _ if phase.mirrors() => (None, PerType::default()),
        Some((Some(until), counts)) => (Some(until), counts),
        _ => (Some(head_seq), counts),
    };
    PhaseState {
        phase,
        generation: change.generation,
        mirror_until,
        finalized: change.finalizes,
        counts,
        legacy: None,
    }
}

/// The strand's own record of a change of phase.
pub(crate) fn record(
    from: Phase,
    change: &PhaseChange,
    boundary_seq: Seq,
) -> Result<Record, RecordError> {
    let mut metadata = json!({
        "from": from.as_str(),
        "to": change.phase.as_str(),
        "generation": change.generation,
        "boundary_seq": boundary_seq,
    });
    if let Some(metadata) = metadata.as_object_mut() {
        metadata.extend(change.evidence());
    }
    let event = if change.finalizes {
        "migration_finalized"
    } else {
        "phase_changed"
    };
    Record::own(event, &metadata)
}
