//! Room for a commit: in the journal, on the disk, in the tail.

use std::io;
use std::time::Instant;

use super::commit::Commit;
use super::thread::Writer;
use crate::error::WriteError;
use crate::job::Job;

/// More than a record's header, id and key take in a run.
const RECORD_BYTES: usize = 256;
/// The tail may grow to this many times its bounds while sealing fails.
const TAIL_BOUNDS: usize = 4;

impl Writer {
    /// Has the journal ready for what the jobs can come to at most; why their appends are refused, if they are.
    pub(super) fn make_room(&mut self, jobs: &[Job]) -> io::Result<Option<WriteError>> {
        let others: usize = jobs.iter().map(Job::small_bytes).sum();
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
        let mut commit = Commit::after(self.shared.state().memory().head());
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
        WriteError::DiskFull {
            free_bytes,
            min_free_bytes: self.shared.options.min_free_bytes,
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
}

/// What a record takes in a frame at most: incompressible bytes grow by one in 255.
fn room_for(payload: &[u8]) -> usize {
    RECORD_BYTES + payload.len() + payload.len() / 250
}
