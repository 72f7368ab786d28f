//! Sealing: the tail's older part becomes a segment, in a thread of its own.

use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use boboyka_strand::Seq;
use uuid::Uuid;

use super::error::{OpenError, ReadError};
use super::memory::{Memory, TailRun};
use super::queue::Job;
use super::segment::{SEGMENT_MAX_BLOCKS, Segment, SegmentWriter};
use super::{Options, Shared};
use crate::causes;

/// A tail older than this is sealed even when it is short …
const SEAL_AGE: Duration = Duration::from_hours(1);
/// … but not shorter than a frame: an idle strand must not become a heap of tiny files.
const SEAL_AGE_MIN_BLOCKS: usize = 256;

/// Runs to seal, oldest first, and when.
pub(super) struct SealTask {
    runs: Vec<Arc<TailRun>>,
    sealed_at_ms: u64,
}

/// What is to be sealed now, if anything.
pub(super) fn due(memory: &Memory, options: &Options, now_ms: u64) -> Option<SealTask> {
    let oldest_ms = memory.tail().front()?.entries.first()?.ms;
    let old = u128::from(now_ms.saturating_sub(oldest_ms)) >= SEAL_AGE.as_millis();
    let due = memory.tail_blocks() >= options.seal_blocks
        || memory.tail_bytes() >= options.seal_bytes
        || (old && memory.tail_blocks() >= SEAL_AGE_MIN_BLOCKS);
    if !due {
        return None;
    }
    let most = options.seal_blocks.min(SEGMENT_MAX_BLOCKS);
    let mut blocks = 0;
    let fits = |run: &&Arc<TailRun>| {
        blocks += run.entries.len();
        blocks <= most
    };
    let runs: Vec<_> = memory
        .tail()
        .iter()
        .take_while(fits)
        .map(Arc::clone)
        .collect();
    (!runs.is_empty()).then_some(SealTask {
        runs,
        sealed_at_ms: now_ms,
    })
}

/// Seals until the writer is gone.
pub(super) fn work(shared: &Shared, tasks: &mpsc::Receiver<SealTask>, folder: &Path, strand: Uuid) {
    for task in tasks {
        let job = match seal(&task, folder, strand) {
            Ok(segment) => {
                let (first, last) = (segment.meta.first_seq(), segment.meta.head.seq);
                tracing::info!(first, last, bytes = segment.file_len, "sealed a segment");
                Job::Sealed(Box::new(segment))
            }
            Err(error) => {
                tracing::error!(
                    error = causes(&*error),
                    "sealing failed; the tail keeps its blocks"
                );
                Job::SealFailed
            }
        };
        if shared.queue.push(job).is_err() {
            return;
        }
    }
}

type SealError = Box<dyn std::error::Error + Send + Sync>;

fn seal(task: &SealTask, folder: &Path, strand: Uuid) -> Result<Segment, SealError> {
    let first = task.runs.first().ok_or("nothing to seal")?;
    let mut writer = SegmentWriter::create(folder, strand, first.before)?;
    for run in &task.runs {
        let blocks = run.blocks().map_err(ReadError::from)?;
        for (block, entry) in blocks.into_iter().zip(&run.entries) {
            if block.hash != entry.hash {
                return Err(mismatch(block.header.seq).into());
            }
            writer.push(block, entry.key)?;
        }
    }
    writer
        .finish(task.sealed_at_ms)
        .map_err(|error: OpenError| error.into())
}

fn mismatch(seq: Seq) -> String {
    format!("the tail's block {seq} is not the one that was appended")
}
