//! What a commit does with the list of legacy projects: which of its records the list has mirrored, the list that comes into
//! force, the marks that are set back when a phase mirrors everything again.

use std::sync::Arc;

use boboyka_crds::LegacyList;
use boboyka_strand::{Block, Hash, PerType, RecordType, Seq};

use crate::change::Change;
use crate::lane::Mark;
use crate::legacy::{ENDED_MAX, Legacy};
use crate::phase::{ListChange, PhaseState};
use crate::state::State;

/// The list of legacy projects in a commit.
pub(super) struct LegacyDraft {
    /// The last seq up to which everything is mirrored, if that does not go on.
    until: Option<Seq>,
    /// What counts for the next record.
    list: Arc<Legacy>,
    /// What came into force in this commit.
    pub(super) change: Option<Arc<Legacy>>,
    /// Whether the boundary is another since then.
    anew: bool,
    /// Records that the list has mirrored.
    due: PerType<u64>,
    /// Marks that are set back.
    rewound: Option<Rewound>,
}

/// Lanes that begin again behind the boundary, because a list had them pass over records.
pub(super) struct Rewound {
    pub(super) marks: PerType<Mark>,
    /// Dead letters behind it, which are sent again.
    pub(super) letters: Vec<(RecordType, Seq)>,
}

/// The list that comes into force; `None` where it stays as it is, because the strand would have to remember too many spans
/// that are over.
pub(super) fn next(
    before: Option<&Legacy>,
    list: &LegacyList,
    boundary: Seq,
    generation: i64,
) -> Option<Legacy> {
    let next = Legacy::next(before, list, boundary, generation);
    (next.ended() <= ENDED_MAX).then_some(next)
}

impl LegacyDraft {
    pub(super) fn of(state: &State) -> Self {
        Self {
            until: state.mirror_until(),
            list: Arc::clone(state.legacy()),
            change: None,
            anew: false,
            due: PerType::default(),
            rewound: None,
        }
    }

    /// Counts a block that was linked.
    pub(super) fn count(&mut self, block: &Block) {
        let (kind, seq) = (block.header.record_type, block.header.seq);
        let is_due = self.until.is_some_and(|until| seq > until)
            && self.list.wants(kind, seq, &block.payload);
        self.due[kind] += u64::from(is_due);
    }

    /// Follows a change of phase at a boundary: a strand that begins to mirror no more has the list from there on.
    pub(super) fn change_phase(
        &mut self,
        before: Option<PhaseState>,
        now: &PhaseState,
        wanted: Option<&ListChange>,
        boundary: Seq,
    ) {
        let known = before.and_then(|state| state.mirror_until);
        if known != now.mirror_until || before.is_none() {
            (self.until, self.anew) = (now.mirror_until, true);
            self.due = PerType::default();
        }
        if now.mirror_until.is_none() {
            return;
        }
        let same = known.map(|_| Arc::clone(&self.list));
        let empty = LegacyList::default();
        let list = match (wanted, &same) {
            (Some(wanted), Some(same)) if same.is(&wanted.list) => return,
            (Some(wanted), _) => &wanted.list,
            (None, Some(_)) => return,
            (None, None) => &empty,
        };
        let generation = wanted.map_or(now.generation, |it| it.generation);
        let next = next(same.as_deref(), list, boundary, generation);
        if let Some(next) = next.filter(|next| !next.is_empty() || !self.list.is_empty()) {
            self.set(next);
        }
    }

    /// Whether no project is on the list.
    pub(super) fn names_nobody(&self) -> bool {
        self.until.is_none() || self.list.state().projects == 0
    }

    /// A phase with how the list stands.
    pub(super) fn with_state(&self, phase: PhaseState) -> PhaseState {
        let counts = phase.mirror_until.is_some() && !self.list.is_empty();
        PhaseState {
            legacy: counts.then(|| self.list.state()),
            ..phase
        }
    }

    /// What counts for the next record.
    pub(super) fn list(&self) -> &Arc<Legacy> {
        &self.list
    }

    /// Sets marks back.
    pub(super) fn rewind(&mut self, rewound: Rewound) {
        self.rewound = Some(rewound);
    }

    /// Brings a list into force, from the next record on.
    pub(super) fn set(&mut self, list: Legacy) {
        self.list = Arc::new(list);
        self.change = Some(Arc::clone(&self.list));
    }

    /// Notes the record that tells of it.
    pub(super) fn recorded(&mut self, record: (Seq, Hash)) {
        if self.change.is_some() {
            let mut list = Legacy::clone(&self.list);
            list.record = Some(record);
            self.set(list);
        }
    }

    /// Whether marks are set back.
    pub(super) fn rewinds(&self) -> bool {
        self.rewound.is_some()
    }

    /// Adds what changes on the disk. It comes last: what a lane had advanced in the same commit counts no more.
    pub(super) fn put(&self, changes: &mut Vec<Change>) {
        changes.extend(self.change.clone().map(Change::Legacy));
        let Some(rewound) = &self.rewound else { return };
        let letters = rewound.letters.iter();
        changes.extend(letters.map(|(lane, seq)| Change::Resolved(*lane, *seq)));
        let lanes = RecordType::MIRRORED.into_iter();
        changes.extend(lanes.map(|lane| Change::Mark(lane, rewound.marks[lane])));
    }

    /// Lets readers see it.
    pub(super) fn publish(self, state: &mut State) {
        if let Some(rewound) = self.rewound {
            state.rewind(rewound.marks);
        }
        if self.anew {
            state.owe_nothing();
        }
        if let Some(list) = self.change {
            state.set_legacy(list);
        }
        state.owe(self.due);
    }
}
