//! Changing the list of legacy projects, and what a return to a phase that mirrors everything does with it.

use std::sync::Arc;

use boboyka_strand::{Record, RecordError, RecordType};

use super::commit::Commit;
use super::legacy::{Rewound, next};
use super::thread::Writer;
use crate::error::{TailError, WriteError, causes};
use crate::lane::Mark;
use crate::phase::{PhaseChange, PhaseState};
use crate::view::View;

impl Writer {
    /// Sets the lanes back to the boundary, if a list of legacy projects had them go beyond it: what they passed over is
    /// mirrored now, and what they sent is sent again, which changes nothing.
    pub(super) fn rewind(&self, commit: &mut Commit, view: &View) -> Result<(), TailError> {
        let before = view
            .phase
            .and_then(|phase| Some((phase, phase.mirror_until?)));
        let Some((phase, until)) = before.filter(|_| !commit.legacy.list().is_empty()) else {
            return Ok(());
        };
        // What a lane has published and the disk does not hold yet counts no more: it might be a dead letter that nobody keeps.
        let mut marks = commit.marks(self.marks);
        let mut letters = Vec::new();
        let floor = &view.floor;
        let end = until.max(floor.head.seq);
        for lane in RecordType::MIRRORED {
            let mark = &mut marks[lane];
            mark.raise_to(floor, lane);
            let known = self.letters(commit, lane)?;
            mark.dead_lettered = known.len() as u64;
            // A lane that has not come to the boundary passed over nothing.
            let settled = mark.mirrored + mark.dead_lettered + floor.unmirrored[lane];
            if settled < phase.counts[lane] {
                continue;
            }
            let (kept, again): (Vec<_>, Vec<_>) = known.into_iter().partition(|seq| *seq <= end);
            letters.extend(again.into_iter().map(|seq| (lane, seq)));
            let dead_lettered = kept.len() as u64;
            let counted = if floor.head.seq > until {
                floor.counts[lane]
            } else {
                phase.counts[lane]
            };
            *mark = Mark {
                seq: end,
                mirrored: counted.saturating_sub(dead_lettered + floor.unmirrored[lane]),
                dead_lettered,
            };
        }
        commit.legacy.rewind(Rewound { marks, letters });
        Ok(())
    }
}

/// Takes a change of the list alone into the commit, in a phase that has one.
pub(super) fn change_list(
    commit: &mut Commit,
    state: PhaseState,
    change: &PhaseChange,
) -> Result<PhaseState, WriteError> {
    let same = Arc::clone(commit.legacy.list());
    let wanted = change.list.as_ref();
    let wanted = wanted.filter(|wanted| !same.is(&wanted.list));
    let Some(wanted) = wanted.filter(|_| !state.finalized && state.mirror_until.is_some()) else {
        return Ok(state);
    };
    let boundary = commit.head.seq;
    let Some(next) = next(Some(&same), &wanted.list, boundary, wanted.generation) else {
        return Ok(state);
    };
    let record = made(wanted.record(&same.list(), boundary))?;
    commit.legacy.set(next);
    let appended = commit.link(record, None);
    commit.legacy.recorded((appended.seq, appended.hash));
    let (projects, generation) = (wanted.list.names().len(), wanted.generation);
    tracing::info!(
        projects,
        generation,
        boundary,
        "the list of legacy projects changes: it names {projects} from here on"
    );
    Ok(commit.legacy.with_state(state))
}

/// A record of a change, which the strand itself made.
pub(super) fn made(record: Result<Record, RecordError>) -> Result<Record, WriteError> {
    record.map_err(|error| {
        let error = causes(&error);
        tracing::error!(error, "could not make the record of a change of phase");
        WriteError::Poisoned
    })
}
