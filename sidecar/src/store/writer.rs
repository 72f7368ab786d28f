//! The one writer: takes all that waits, links it, writes it, syncs once, then answers everybody.
//!
//! Order: put runs and lane changes into the tail, commit (flush and sync), publish to readers,
//! acknowledge. A commit that fails poisons the store; nothing is acknowledged after that. Sealing
//! runs beside it: the writer only hands over what is to be sealed and catalogues what was.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use boboyka_strand::record_id::RecordIds;
use boboyka_strand::{Block, Head};
use tokio::sync::oneshot;

use super::error::{ReadError, TailError, WriteError};
use super::key::IdempotencyKey;
use super::keys::{Keys, is_forgotten};
use super::memory::{TailEntry, TailRun};
use super::queue::{AppendReply, Job, LaneChange, NewRecord};
use super::seal::{self, SealTask};
use super::segment::Segment;
use super::tail_run::{self, RUN_MAX_BLOCKS, RUN_MAX_PAYLOAD_BYTES};
use super::witness::Witness;
use super::{Appended, KeyConflict, Shared};
use crate::causes;

/// So many jobs in one commit mean that many callers are at it: the next commit is begun a little later.
const MANY_JOBS: usize = 24;
/// How much later. Who waits already waits no longer than a sync takes, and those who join share its cost.
const GATHER: Duration = Duration::from_micros(100);

/// Sealed runs that are removed after one commit, so that no commit waits long for it.
const REMOVED_AT_ONCE: usize = 256;

pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) keys: Keys,
    pub(super) witness: Witness,
    pub(super) seal_tasks: mpsc::Sender<SealTask>,
    pub(super) sealing: bool,
    /// Runs that lie in a catalogued segment and not only in the tail any more.
    pub(super) to_remove: Vec<(u64, u8)>,
    pub(super) data_dir: PathBuf,
}

/// Records in the order in which they became blocks, cut into runs.
struct Draft {
    before: Head,
    runs: Vec<Arc<TailRun>>,
    blocks: Vec<Block>,
    keys: Vec<Option<IdempotencyKey>>,
    payload_bytes: usize,
}

type Answer = (oneshot::Sender<AppendReply>, AppendReply);

impl Writer {
    /// Works until the queue is closed and empty, or a write fails.
    pub(super) fn work(mut self) {
        let mut taken = 0;
        loop {
            if taken >= MANY_JOBS {
                std::thread::sleep(GATHER);
            }
            let Some(jobs) = self.shared.queue.take() else {
                return;
            };
            taken = jobs.len();
            if self.shared.poison.is_set() {
                refuse(jobs, WriteError::Poisoned);
                continue;
            }
            if let Err((error, answers)) = self.commit(jobs) {
                self.shared
                    .poison
                    .set(format!("a commit failed: {}", causes(&error)));
                for (reply, _) in answers {
                    let _ = reply.send(Err(WriteError::Poisoned));
                }
            }
        }
    }

    fn commit(&mut self, jobs: Vec<Job>) -> Result<(), (TailError, Vec<Answer>)> {
        let mut answers = Vec::new();
        let mut lane_replies = Vec::new();
        let mut sealed = Vec::new();
        let mut head = self.shared.head();
        let mut draft = Draft::after(head);
        let disk_full = self.disk_full();
        let now_ms = now_ms();
        let mut ids = RecordIds::starting_at(entropy());
        let mut failure = None;
        for job in jobs {
            match job {
                Job::Append { reply, .. } if disk_full.is_some() => {
                    answers.push((reply, Err(disk_full.unwrap_or(WriteError::Closed))));
                }
                Job::Append { records, reply } => {
                    let answer = records
                        .into_iter()
                        .map(|new| self.draft(&mut draft, &mut head, &mut ids, new, now_ms))
                        .collect();
                    answers.push((reply, Ok(answer)));
                }
                Job::Lane { change, reply } => {
                    failure = failure.or(self.put_lane_change(&change).err());
                    lane_replies.push(reply);
                }
                Job::Sealed(segment) => {
                    failure = failure.or(self.shared.tail.put_segment(&segment).err());
                    sealed.push(*segment);
                }
                Job::SealFailed => self.sealing = false,
            }
        }
        draft.close_run(&head);
        let written = failure
            .map_or(Ok(()), Err)
            .and_then(|()| self.write(&mut draft))
            .and_then(|()| self.witness.note(&head).map_err(TailError::Witness));
        if let Err(error) = written {
            for reply in lane_replies {
                let _ = reply.send(Err(WriteError::Poisoned));
            }
            return Err((error, answers));
        }
        self.publish(draft.runs, sealed, head);
        for (reply, answer) in answers {
            let _ = reply.send(answer);
        }
        for reply in lane_replies {
            let _ = reply.send(Ok(()));
        }
        self.remove_sealed().map_err(|error| (error, Vec::new()))?;
        self.start_sealing(now_ms);
        Ok(())
    }

    /// Links a record, unless its key was used before.
    fn draft(
        &mut self,
        draft: &mut Draft,
        head: &mut Head,
        ids: &mut RecordIds,
        new: NewRecord,
        now_ms: u64,
    ) -> Result<Appended, KeyConflict> {
        if let Some(key) = new.key {
            match self.replay(draft, key, &new, now_ms) {
                Ok(Some(earlier)) => return earlier,
                Ok(None) => {}
                // Whether the key was used can't be known; a second copy would be the worse lie.
                Err(error) => {
                    tracing::error!(
                        error = causes(&error),
                        "could not look up an idempotency key"
                    );
                    return Err(KeyConflict::Unreadable);
                }
            }
        }
        draft.make_room(head, new.record.payload().len());
        let block = head.link(new.record, |ms| ids.next(ms), now_ms);
        *head = Head::of(&block);
        let appended = Appended::of(&block, false);
        if let Some(key) = new.key {
            self.keys.insert(key, head.seq);
        }
        draft.payload_bytes += block.payload.len();
        draft.blocks.push(block);
        draft.keys.push(new.key);
        Ok(appended)
    }

    /// What came of an earlier record with the same key.
    fn replay(
        &mut self,
        draft: &Draft,
        key: IdempotencyKey,
        new: &NewRecord,
        now_ms: u64,
    ) -> Result<Option<Result<Appended, KeyConflict>>, ReadError> {
        let Some(seq) = self.keys.find(key, now_ms)? else {
            return Ok(None);
        };
        let earlier = match draft.find(seq) {
            Some(earlier) => earlier?,
            None => match self.shared.block(seq)? {
                Some(block) => block,
                None => return Ok(None),
            },
        };
        if is_forgotten(earlier.header.timestamp_hlc.ms(), now_ms) {
            return Ok(None);
        }
        let same = earlier.header.record_type == new.record.record_type()
            && earlier.header.payload_hash == new.record.payload_hash();
        Ok(Some(if same {
            Ok(Appended::of(&earlier, true))
        } else {
            Err(KeyConflict::OtherContent)
        }))
    }

    fn put_lane_change(&self, change: &LaneChange) -> Result<(), TailError> {
        let tail = &self.shared.tail;
        match change {
            LaneChange::Advance {
                lane,
                mark,
                letters,
            } => {
                // Letters first: a mark that passed a record must not lose it.
                letters
                    .iter()
                    .try_for_each(|letter| tail.put_letter(letter))?;
                tail.put_mark(*lane, *mark)
            }
            LaneChange::Resolve { lane, seq, mark } => {
                tail.put_mark(*lane, *mark)?;
                tail.remove_letter(*lane, *seq)
            }
            LaneChange::Replace(letter) => tail.put_letter(letter),
        }
    }

    fn write(&self, draft: &mut Draft) -> Result<(), TailError> {
        for run in &mut draft.runs {
            let pieces = self.shared.tail.put_run(run.first_seq(), &run.bytes)?;
            if let Some(run) = Arc::get_mut(run) {
                run.pieces = pieces;
            }
        }
        self.shared.tail.commit()
    }

    /// Lets readers see what is durable now.
    fn publish(&mut self, runs: Vec<Arc<TailRun>>, sealed: Vec<Segment>, head: Head) {
        let mut memory = self.shared.memory_mut();
        for run in runs {
            memory.push(run);
        }
        for segment in sealed {
            let segment = Arc::new(segment);
            let removed = memory.seal(Arc::clone(&segment));
            self.to_remove
                .extend(removed.iter().map(|run| (run.first_seq(), run.pieces)));
            self.sealing = false;
            if let Err(error) = self.keys.seal(segment) {
                tracing::error!(
                    error = causes(&error),
                    "could not read a new segment's keys"
                );
            }
        }
        drop(memory);
        if head != self.shared.head() {
            self.shared.head.send_replace(head);
        }
    }

    /// Removes some sealed runs from the tail, in a commit of their own.
    fn remove_sealed(&mut self) -> Result<(), TailError> {
        if self.to_remove.is_empty() {
            return Ok(());
        }
        let from = self.to_remove.len().saturating_sub(REMOVED_AT_ONCE);
        for (first_seq, pieces) in self.to_remove.drain(from..) {
            self.shared.tail.remove_run(first_seq, pieces)?;
        }
        self.shared.tail.commit()
    }

    fn start_sealing(&mut self, now_ms: u64) {
        if self.sealing {
            return;
        }
        let task = seal::due(&self.shared.memory(), &self.shared.options, now_ms);
        if let Some(task) = task {
            self.sealing = self.seal_tasks.send(task).is_ok();
        }
    }

    fn disk_full(&self) -> Option<WriteError> {
        let min_free_bytes = self.shared.options.min_free_bytes;
        let disk = rustix::fs::statvfs(&self.data_dir).ok()?;
        let free_bytes = disk.f_bavail.saturating_mul(disk.f_frsize);
        (free_bytes < min_free_bytes).then_some(WriteError::DiskFull {
            free_bytes,
            min_free_bytes,
        })
    }
}

impl Draft {
    fn after(before: Head) -> Self {
        Self {
            before,
            runs: Vec::new(),
            blocks: Vec::new(),
            keys: Vec::new(),
            payload_bytes: 0,
        }
    }

    /// Closes the run if the next record would make it too long.
    fn make_room(&mut self, head: &Head, payload_len: usize) {
        let full = self.blocks.len() >= RUN_MAX_BLOCKS
            || self.payload_bytes + payload_len > RUN_MAX_PAYLOAD_BYTES;
        if full {
            self.close_run(head);
        }
    }

    /// Makes a run of the blocks drafted since the last one; `head` is their last.
    fn close_run(&mut self, head: &Head) {
        if self.blocks.is_empty() {
            return;
        }
        let before = self.runs.last().map_or(self.before, |run| run.head);
        let bytes = tail_run::pack(&before, &self.blocks, &self.keys).into_boxed_slice();
        let entries = self
            .blocks
            .iter()
            .zip(&self.keys)
            .map(|(block, key)| entry(block, *key));
        let run = TailRun {
            before,
            head: *head,
            entries: entries.collect(),
            bytes,
            pieces: 0,
        };
        self.runs.push(Arc::new(run));
        self.blocks.clear();
        self.keys.clear();
        self.payload_bytes = 0;
    }

    /// A block drafted in this commit.
    fn find(&self, seq: u64) -> Option<Result<Block, ReadError>> {
        if let Some(block) = self.blocks.iter().find(|block| block.header.seq == seq) {
            return Some(Ok(block.clone()));
        }
        let run = self
            .runs
            .iter()
            .find(|run| (run.first_seq()..=run.head.seq).contains(&seq))?;
        let blocks = run.blocks().map_err(ReadError::from);
        blocks
            .map(|blocks| blocks.into_iter().find(|block| block.header.seq == seq))
            .transpose()
    }
}

/// What the tail keeps in memory of a block.
pub(super) fn entry(block: &Block, key: Option<IdempotencyKey>) -> TailEntry {
    TailEntry {
        hash: block.hash,
        ms: block.header.timestamp_hlc.ms(),
        record_type: block.header.record_type,
        key,
    }
}

fn refuse(jobs: Vec<Job>, error: WriteError) {
    for job in jobs {
        match job {
            Job::Append { reply, .. } => drop(reply.send(Err(error))),
            Job::Lane { reply, .. } => drop(reply.send(Err(error))),
            Job::Sealed(_) | Job::SealFailed => {}
        }
    }
}

fn now_ms() -> u64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

fn entropy() -> u128 {
    uuid::Uuid::new_v4().as_u128()
}
