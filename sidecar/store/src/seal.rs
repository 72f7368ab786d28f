//! Sealing: the tail's older part becomes a segment, in a thread of its own.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use boboyka_strand::Seq;
use boboyka_strand::retention::{PayloadAges, Policy};
use uuid::Uuid;

use crate::archive::ArchiveNeed;
use crate::error::{OpenError, ReadError, causes};
use crate::files;
use crate::memory::Memory;
use crate::options::Options;
use crate::segment::{SEGMENT_MAX_BLOCKS, Segment, SegmentWriter};
use crate::tail_run::TailRun;

/// A tail older than this is sealed even when it is short …
const SEAL_AGE: Duration = Duration::from_hours(1);
/// … but not shorter than a frame: an idle strand must not become a heap of tiny files.
const SEAL_AGE_MIN_BLOCKS: usize = 256;

/// When records go by their age, none waits in the tail for more than this part of it, …
const SEALS_PER_AGE: u64 = 4;
/// … but at least this long.
const SEAL_AGE_LEAST_MS: u64 = 5_000;
/// When they go by size, a segment is such a part of it, so that pruning takes little at a time, …
const SEALS_PER_SIZE: u64 = 8;
/// … but at least this long.
const SEAL_BYTES_LEAST: usize = 64 * 1024;

/// When the tail is due, and how much of it goes into one segment.
struct Bounds {
    bytes: usize,
    segment_bytes: usize,
    /// At this age it is sealed however short it is.
    age_ms: u64,
}

impl Bounds {
    /// What is to be pruned must be sealed first, and pruning takes whole segments.
    fn of(options: &Options, policy: Policy, archive: Option<ArchiveNeed>) -> Self {
        let part = policy.max_size_bytes.map(|size| {
            let part = usize::try_from(size / SEALS_PER_SIZE).unwrap_or(usize::MAX);
            part.max(SEAL_BYTES_LEAST)
        });
        let pruned = policy.max_age_ms.map(|age| age / SEALS_PER_AGE);
        let archived = archive.map(|archive| archive.after_ms);
        let age = pruned.into_iter().chain(archived).min();
        let age = age.map(|age| age.max(SEAL_AGE_LEAST_MS));
        Self {
            bytes: options.seal_bytes.min(part.unwrap_or(usize::MAX)),
            segment_bytes: part.unwrap_or(usize::MAX),
            age_ms: age.unwrap_or(u64::MAX),
        }
    }
}

/// The policy that also lets go whole what loses its payload: both wait until it is sealed.
pub(crate) fn kept_for(policy: Policy, ages: &PayloadAges) -> Policy {
    let ages = ages.values().copied().flatten();
    Policy {
        max_age_ms: policy.max_age_ms.into_iter().chain(ages).min(),
        ..policy
    }
}

/// Runs to seal, oldest first, and when.
pub(crate) struct SealTask {
    pub(crate) runs: Vec<Arc<TailRun>>,
    sealed_at_ms: u64,
}

/// The part of the tail that is due to be sealed now, if any.
pub(crate) fn due(
    memory: &Memory,
    options: &Options,
    policy: Policy,
    archive: Option<ArchiveNeed>,
    now_ms: u64,
) -> Option<SealTask> {
    let oldest_ms = memory.tail().front()?.entries.first()?.ms;
    let bounds = Bounds::of(options, policy, archive);
    let age_ms = now_ms.saturating_sub(oldest_ms);
    let old = u128::from(age_ms) >= SEAL_AGE.as_millis();
    let due = memory.tail_blocks() >= options.seal_blocks
        || memory.tail_bytes() >= bounds.bytes
        || (old && memory.tail_blocks() >= SEAL_AGE_MIN_BLOCKS)
        || age_ms >= bounds.age_ms;
    if !due {
        return None;
    }
    let most = options.seal_blocks.min(SEGMENT_MAX_BLOCKS);
    let (mut blocks, mut bytes) = (0, 0);
    let mut next_seq = memory.tail().front()?.first_seq();
    let fits = |run: &&Arc<TailRun>| {
        let first = blocks == 0;
        // A segment has no gap.
        let follows = run.first_seq() == next_seq;
        next_seq = run.head.seq + 1;
        blocks += run.entries.len();
        bytes += run.bytes.len();
        // One run always fits: it is shorter than the longest segment, and would otherwise never be sealed.
        follows && (first || (blocks <= most && bytes <= bounds.segment_bytes))
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

/// Seals, and logs how it went; `None` when it failed.
pub(crate) fn seal(task: &SealTask, folder: &Path, strand: Uuid) -> Option<Segment> {
    match write_segment(task, folder, strand) {
        Ok(segment) => {
            let (first, last) = (segment.meta.first_seq(), segment.meta.head.seq);
            tracing::info!(
                first,
                last,
                bytes = segment.file_len,
                "sealed the blocks {first} to {last} into a segment"
            );
            Some(segment)
        }
        Err(error) => {
            // What there is of the file takes room, which may be what is missing.
            let first = task.runs.first().map_or(0, |run| run.first_seq());
            let path = folder.join(Segment::file_name(first));
            let _ = std::fs::remove_file(files::unfinished(&path));
            tracing::error!(
                error = causes(&*error),
                "could not seal a segment; the tail keeps its blocks and the next commit tries again"
            );
            None
        }
    }
}

type SealError = Box<dyn std::error::Error + Send + Sync>;

fn write_segment(task: &SealTask, folder: &Path, strand: Uuid) -> Result<Segment, SealError> {
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
