//! Counting what a list of legacy projects has mirrored behind the boundary: by reading blocks, because only they name their
//! projects.

use std::sync::Arc;

use boboyka_strand::{Block, PerType, RecordType, Seq};

use crate::error::{ReadError, causes};
use crate::memory::Memory;
use crate::mirrored::Mirrored;
use crate::read::{has, last_of};
use crate::retention::Counted;
use crate::segment::Segment;
use crate::tail_run::TailEntry;

/// How many mirrored records of each lane lie behind the boundary and behind the lane's mark. Of a part that can't be read, all
/// records of the lane count until the next start: nobody knows which of them are mirrored, and nothing may pass for settled.
pub(crate) fn owed(mirrored: &Mirrored, memory: &Memory, marks: &PerType<Seq>) -> PerType<u64> {
    let mut owed = PerType::default();
    if let Some(until) = mirrored.listed_after() {
        for (lane, end) in mirrored.list_ends() {
            let after = marks[lane].max(until);
            owed[lane] = owed_by(mirrored, memory, lane, (after, end));
        }
    }
    owed
}

fn owed_by(
    mirrored: &Mirrored,
    memory: &Memory,
    lane: RecordType,
    (after, end): (Seq, Seq),
) -> u64 {
    let is_due = |block: &Block| {
        let header = &block.header;
        header.record_type == lane && header.seq > after && mirrored.has(block)
    };
    let is_within = |first: Seq, head: Seq| head > after && first <= end;
    let behind = memory.segments().iter().filter(|it| {
        is_within(it.meta.first_seq(), it.meta.head.seq) && has(&it.meta.counts, Some(lane))
    });
    let sealed = behind.map(|segment| {
        count(segment, lane, after, &is_due).unwrap_or_else(|error| {
            let error = causes(&error);
            tracing::error!(
                error,
                "could not count what is to be mirrored of a segment; until the next start all its records of this type count"
            );
            u64::from(segment.meta.counts[lane])
        })
    });
    let runs = memory.tail().iter();
    let runs = runs.filter(|run| is_within(run.before.seq + 1, run.head.seq));
    let is_of_lane = |entry: &&TailEntry| entry.record_type == lane;
    let tail = runs.map(|run| match run.blocks() {
        Ok(blocks) => blocks.iter().filter(|block| is_due(block)).count() as u64,
        Err(_) => run.entries.iter().filter(is_of_lane).count() as u64,
    });
    sealed.chain(tail).sum()
}

/// Counts the records in segments that are not mirrored. It reads the segments, so the writer never does it.
pub(crate) fn count_others(mirrored: &Mirrored, segments: &[Arc<Segment>]) -> Counted {
    let others = |segment: &Segment| {
        PerType::from_fn(|lane: RecordType| {
            let others = lane.table().map(|_| others(mirrored, segment, lane));
            others.unwrap_or(Ok(0)).unwrap_or_else(|error| {
                let error = causes(&error);
                tracing::error!(error, "could not count what of a segment was not mirrored");
                0
            })
        })
    };
    let counted = segments.iter().map(|it| (it.meta.first_seq(), others(it)));
    counted.collect()
}

/// Of the records of a lane in a segment, how many are not mirrored.
fn others(mirrored: &Mirrored, segment: &Segment, lane: RecordType) -> Result<u64, ReadError> {
    let is_other = |block: &Block| block.header.record_type == lane && !mirrored.has(block);
    if mirrored.has_all_to(segment.meta.head.seq) || !has(&segment.meta.counts, Some(lane)) {
        return Ok(0);
    }
    count(segment, lane, 0, &is_other)
}

fn count(
    segment: &Segment,
    lane: RecordType,
    after: Seq,
    counts: &impl Fn(&Block) -> bool,
) -> Result<u64, ReadError> {
    let thread = std::thread::current();
    debug_assert_ne!(thread.name(), Some("writer"), "appends would wait for it");
    let open = segment.open()?;
    let mut count = 0;
    for frame in open.frames() {
        if has(&frame.counts, Some(lane)) && last_of(frame) > after {
            let blocks = open.read(frame)?;
            count += blocks.iter().filter(|block| counts(block)).count() as u64;
        }
    }
    Ok(count)
}
