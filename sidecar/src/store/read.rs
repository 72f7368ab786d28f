//! Reading the strand: single blocks, pages from the newest back, a lane's next blocks.
//!
//! All of it is blocking: callers on an async runtime cross over with `spawn_blocking`.

use std::collections::VecDeque;
use std::sync::Arc;

use boboyka_strand::{Block, Hash, RECORD_TYPES, RecordType, Seq};

use super::error::ReadError;
use super::memory::{Memory, TailRun};
use super::segment::{Frame, Segment};
use super::{Shared, Store};

/// Which blocks a page is of.
#[derive(Clone, Copy, Debug)]
pub struct PageQuery {
    /// Only this type; all when `None`.
    pub record_type: Option<RecordType>,
    /// Only blocks before this seq.
    pub before: Seq,
    /// Only blocks of this time or later, in milliseconds since 1970.
    pub since_ms: u64,
    /// Only blocks of this time or earlier.
    pub until_ms: u64,
    /// How many at most.
    pub limit: usize,
}

/// A lane's next blocks.
#[derive(Debug)]
pub struct LaneRead {
    /// Oldest first.
    pub blocks: Vec<Block>,
    /// Every block of the lane's type up to here is in `blocks` or was not asked for.
    pub scanned_to: Seq,
}

impl Store {
    /// The block with this seq.
    ///
    /// # Errors
    /// When what holds it can't be read.
    pub fn block(&self, seq: Seq) -> Result<Option<Block>, ReadError> {
        self.shared.block(seq)
    }

    /// The block with this hash.
    ///
    /// # Errors
    /// When what might hold it can't be read.
    pub fn block_by_hash(&self, hash: &Hash) -> Result<Option<Block>, ReadError> {
        let (run, segments) = {
            let memory = self.shared.memory();
            let holds = |run: &&Arc<TailRun>| run.entries.iter().any(|e| e.hash == *hash);
            (
                memory.tail().iter().find(holds).cloned(),
                memory.segments().to_vec(),
            )
        };
        if let Some(run) = run {
            return Ok(run.blocks()?.into_iter().find(|block| block.hash == *hash));
        }
        let mut damage = None;
        for segment in segments.iter().rev() {
            match find_in(segment, hash) {
                Ok(Some(block)) => return Ok(Some(block)),
                Ok(None) => {}
                // The block may well be in a segment that can be read.
                Err(error) => damage = Some(error),
            }
        }
        damage.map_or(Ok(None), Err)
    }

    /// A page of blocks, newest first.
    ///
    /// # Errors
    /// When a part of the strand that the page touches can't be read.
    pub fn page(&self, query: &PageQuery) -> Result<Vec<Block>, ReadError> {
        let (runs, segments) = {
            let memory = self.shared.memory();
            (tail_page(&memory, query), memory.segments().to_vec())
        };
        let mut page = Vec::new();
        for run in runs {
            let full = take_newest(&mut page, run.blocks()?, query);
            if full {
                return Ok(page);
            }
        }
        let reachable =
            segments.partition_point(|segment| segment.meta.before.seq + 1 < query.before);
        for segment in segments.iter().take(reachable).rev() {
            if segment.meta.head.hlc.ms() < query.since_ms {
                break;
            }
            if has(&segment.meta.counts, query.record_type)
                && segment_page(&mut page, segment, query)?
            {
                break;
            }
        }
        Ok(page)
    }

    /// A lane's blocks after a seq, oldest first; at least one when there is one.
    ///
    /// # Errors
    /// When a part of the strand in between can't be read: a lane never skips.
    pub fn read_lane(
        &self,
        lane: RecordType,
        after: Seq,
        max_records: usize,
        max_payload_bytes: usize,
    ) -> Result<LaneRead, ReadError> {
        let mut read = LaneScan {
            lane,
            after,
            max_records,
            max_payload_bytes,
            found: Vec::new(),
        };
        let mut bytes = 0;
        let (segments, tail, head) = {
            let memory = self.shared.memory();
            let first = memory
                .segments()
                .partition_point(|s| s.meta.head.seq <= after);
            let first_run = memory.tail().partition_point(|run| run.head.seq <= after);
            let tail: VecDeque<_> = memory.tail().iter().skip(first_run).cloned().collect();
            let segments: Vec<_> = memory.segments().iter().skip(first).cloned().collect();
            let sealed = memory
                .segments()
                .last()
                .map_or(0, |segment| segment.meta.head.seq);
            (
                segments,
                tail,
                memory.tail().back().map_or(sealed, |run| run.head.seq),
            )
        };
        for segment in segments.iter().filter(|s| has(&s.meta.counts, Some(lane))) {
            let open = segment.open()?;
            for frame in open.frames() {
                if !has(&frame.counts, Some(lane)) || last_of(frame) <= after {
                    continue;
                }
                if let Some(scanned_to) = read.take(open.read(frame)?, &mut bytes) {
                    return Ok(LaneRead {
                        blocks: read.found,
                        scanned_to,
                    });
                }
            }
        }
        for run in tail
            .iter()
            .filter(|run| run.entries.iter().any(|e| e.record_type == lane))
        {
            if let Some(scanned_to) = read.take(run.blocks()?, &mut bytes) {
                return Ok(LaneRead {
                    blocks: read.found,
                    scanned_to,
                });
            }
        }
        Ok(LaneRead {
            blocks: read.found,
            scanned_to: head,
        })
    }
}

impl Shared {
    pub(super) fn block(&self, seq: Seq) -> Result<Option<Block>, ReadError> {
        let (run, segment) = {
            let memory = self.memory();
            (memory.run_of(seq).cloned(), memory.segment_of(seq).cloned())
        };
        if let Some(run) = run {
            return Ok(run
                .blocks()?
                .into_iter()
                .find(|block| block.header.seq == seq));
        }
        segment.map_or(Ok(None), |segment| block_in(&segment, seq))
    }
}

/// A lane's scan on its way.
struct LaneScan {
    lane: RecordType,
    after: Seq,
    max_records: usize,
    max_payload_bytes: usize,
    found: Vec<Block>,
}

impl LaneScan {
    /// Takes what fits; when something did not, the seq up to which all was taken.
    fn take(&mut self, blocks: Vec<Block>, bytes: &mut usize) -> Option<Seq> {
        for block in blocks {
            if block.header.seq <= self.after || block.header.record_type != self.lane {
                continue;
            }
            *bytes += block.payload.len();
            let full = self.found.len() >= self.max_records || *bytes > self.max_payload_bytes;
            if full && !self.found.is_empty() {
                return Some(block.header.seq - 1);
            }
            self.found.push(block);
        }
        None
    }
}

/// The tail's runs that a page may need, newest first.
fn tail_page(memory: &Memory, query: &PageQuery) -> Vec<Arc<TailRun>> {
    let mut runs = Vec::new();
    let mut matches = 0;
    for run in memory.tail().iter().rev() {
        if matches >= query.limit || run.head.hlc.ms() < query.since_ms {
            break;
        }
        let entries = (run.first_seq()..).zip(&run.entries);
        let matching = entries
            .filter(|(seq, entry)| {
                *seq < query.before
                    && query
                        .record_type
                        .is_none_or(|kind| kind == entry.record_type)
                    && (query.since_ms..=query.until_ms).contains(&entry.ms)
            })
            .count();
        if matching > 0 {
            matches += matching;
            runs.push(Arc::clone(run));
        }
    }
    runs
}

/// Adds a run's matching blocks to the page, newest first; whether the page is full.
fn take_newest(page: &mut Vec<Block>, blocks: Vec<Block>, query: &PageQuery) -> bool {
    for block in blocks.into_iter().rev() {
        if page.len() >= query.limit {
            return true;
        }
        let header = &block.header;
        if header.seq < query.before
            && query
                .record_type
                .is_none_or(|kind| kind == header.record_type)
            && (query.since_ms..=query.until_ms).contains(&header.timestamp_hlc.ms())
        {
            page.push(block);
        }
    }
    page.len() >= query.limit
}

fn segment_page(
    page: &mut Vec<Block>,
    segment: &Segment,
    query: &PageQuery,
) -> Result<bool, ReadError> {
    let open = segment.open()?;
    let mut later_hlc = u64::MAX;
    for frame in open.frames().iter().rev() {
        let before_it = later_hlc >> 16;
        later_hlc = frame.first_hlc;
        let in_time = frame.first_hlc >> 16 <= query.until_ms && before_it >= query.since_ms;
        if frame.first_seq < query.before
            && in_time
            && has(&frame.counts, query.record_type)
            && take_newest(page, open.read(frame)?, query)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

fn block_in(segment: &Segment, seq: Seq) -> Result<Option<Block>, ReadError> {
    let open = segment.open()?;
    let Some(frame) = open.frame_of(seq) else {
        return Ok(None);
    };
    Ok(open
        .read(frame)?
        .into_iter()
        .find(|block| block.header.seq == seq))
}

fn find_in(segment: &Segment, hash: &Hash) -> Result<Option<Block>, ReadError> {
    for seq in segment.seqs_like(hash)? {
        let block = block_in(segment, seq)?;
        if block.as_ref().is_some_and(|block| block.hash == *hash) {
            return Ok(block);
        }
    }
    Ok(None)
}

/// Whether counts per type have any of a type.
fn has<N: Copy + Default + PartialEq>(
    counts: &[N; RECORD_TYPES],
    record_type: Option<RecordType>,
) -> bool {
    record_type.is_none_or(|kind| {
        counts
            .get(kind.index())
            .is_some_and(|count| *count != N::default())
    })
}

fn last_of(frame: &Frame) -> Seq {
    let blocks: u64 = frame.counts.iter().copied().map(u64::from).sum();
    frame.first_seq + blocks - 1
}
