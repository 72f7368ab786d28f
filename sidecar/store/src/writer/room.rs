//! Room for a commit: in the journal, on the disk, in the tail.

use std::io;
use std::time::Instant;

use super::thread::Writer;
use crate::error::WriteError;
use crate::job::Job;
use crate::legacy::Legacy;

/// More than a record's header, id and key take in a run.
const RECORD_BYTES: usize = 256;
/// The tail may grow to this many times its bounds while sealing fails.
const TAIL_BOUNDS: usize = 4;

impl Writer {
    /// Has the journal ready for what the jobs can come to at most; why their appends are refused, if they are.
    pub(super) fn make_room(&mut self, jobs: &[Job]) -> io::Result<Option<WriteError>> {
        let others: usize = jobs.iter().map(Job::small_bytes).sum();
        let others = others + self.room_for_lists(jobs);
        let records = || jobs.iter().flat_map(Job::records);
        if records().next().is_some() {
            let refused = self.disk_full().or_else(|| self.overgrown());
            if refused.is_none() {
                let bytes: usize = records().map(|new| room_for(new.record.payload())).sum();
                match self.journal.make_room(bytes + others) {
                    Err(error) if error.kind() == io::ErrorKind::StorageFull => {}
                    made => return made.map(|()| None),
                }
            }
            self.journal.make_room_for_changes(others)?;
            return Ok(refused.or(Some(self.full(0))));
        }
        self.journal.make_room_for_changes(others).map(|()| None)
    }

    /// The disk is so full that not even a small change has room in the journal.
    pub(super) fn refuse_all(&mut self, jobs: Vec<Job>) {
        let (refused, kept) = jobs.into_iter().partition(Job::has_caller);
        Job::refuse(refused, self.full(0));
        let mut commit = self.begin();
        for job in kept {
            self.take(&mut commit, job, None);
        }
        // A segment that can't be catalogued is sealed again later.
        if !commit.sealed.is_empty() {
            self.sealing = false;
            self.seal_pause.failed(Instant::now());
        }
    }

    fn disk_full(&self) -> Option<WriteError> {
        let disk = rustix::fs::statvfs(&self.data_dir).ok()?;
        let free_bytes = disk.f_bavail.saturating_mul(disk.f_frsize);
        (free_bytes < self.shared.options.min_free_bytes).then(|| self.full(free_bytes))
    }

    fn full(&self, free_bytes: u64) -> WriteError {
        let min_free_bytes = self.shared.options.min_free_bytes;
        if self.shared.view().retention.hold {
            return WriteError::DiskFullOnHold {
                free_bytes,
                min_free_bytes,
            };
        }
        WriteError::DiskFull {
            free_bytes,
            min_free_bytes,
        }
    }

    /// Whether sealing has failed until the tail must not grow any more.
    fn overgrown(&self) -> Option<WriteError> {
        let (state, options) = (self.shared.state(), &self.shared.options);
        let memory = state.memory();
        let overgrown = memory.tail_blocks() >= options.seal_blocks.saturating_mul(TAIL_BOUNDS)
            || memory.tail_bytes() >= options.seal_bytes.saturating_mul(TAIL_BOUNDS);
        (overgrown && self.seal_pause.has_failed()).then_some(WriteError::TailFull)
    }

    /// What changes of the list of legacy projects take. Without one, which is nearly always, nothing is looked at.
    fn room_for_lists(&self, jobs: &[Job]) -> usize {
        match jobs.iter().filter(|job| job.changes_list()).count() {
            0 => 0,
            changes => changes * room_for_list(self.shared.state().legacy()),
        }
    }
}

/// What a change of the list of legacy projects takes beside its new names: what is stored of the others, also when the new list
/// names nobody, and the names that the strand's record tells of.
fn room_for_list(legacy: &Legacy) -> usize {
    2 * legacy.bytes()
}

/// What a record takes in a frame at most: incompressible bytes grow by one in 255.
fn room_for(payload: &[u8]) -> usize {
    RECORD_BYTES + payload.len() + payload.len() / 250
}

#[cfg(test)]
mod tests {
    use boboyka_crds::{LegacyList, Phase};
    use tokio::sync::oneshot;

    use super::*;
    use crate::change::Change;
    use crate::phase::{ListChange, PhaseChange};

    #[test]
    fn a_list_that_names_nobody_has_room_for_all_who_left_it() {
        let names = (0..3000).map(|n| format!("project-{n:05}"));
        let before = Legacy::next(None, &LegacyList::of(names, true), 10, 2);
        let list = ListChange::default();
        let after = Legacy::next(Some(&before), &list.list, 20, 3);
        let mut stored = Vec::new();
        let record = list.record(&before.list(), 20).unwrap();
        Change::Legacy(after.into()).put(&mut stored).unwrap();
        let (reply, _) = oneshot::channel();
        let change = PhaseChange {
            list: Some(list),
            ..PhaseChange::to(Phase::CutOver, 3)
        };
        let jobs = [Job::Phase { change, reply }];
        let room: usize = jobs.iter().map(Job::small_bytes).sum();
        let room = room + room_for_list(&before);
        let taken = stored.len() + room_for(record.payload());
        assert!(room >= taken, "{room} of {taken}");
    }
}
