//! A page of blocks from the newest back. The walk is bounded by records and by bytes, goes on behind what can't be
//! read, and names it.

use std::sync::Arc;

use boboyka_strand::{Block, RecordType, Seq};

use crate::error::{ReadError, causes};
use crate::memory::Memory;
use crate::read::{has, is_pruned, last_of};
use crate::segment::{OpenSegment, Segment};
use crate::shared::Shared;
use crate::tail_run::{TailEntry, TailRun};

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
    /// Whether the blocks have their payloads, or an empty one each.
    pub payloads: bool,
    /// The length of all payloads of a page at most; a page has its first block whatever its length.
    pub max_payload_bytes: usize,
}

impl Default for PageQuery {
    /// Everything, with payloads.
    fn default() -> Self {
        Self {
            record_type: None,
            before: Seq::MAX,
            since_ms: 0,
            until_ms: u64::MAX,
            limit: usize::MAX,
            payloads: true,
            max_payload_bytes: usize::MAX,
        }
    }
}

/// A page of blocks.
#[derive(Debug, Default)]
pub struct Page {
    /// Newest first.
    pub blocks: Vec<Block>,
    /// What the walk passed and could not read, newest first.
    pub missing: Vec<Missing>,
    /// What the next page's query asks before; `None` when nothing is left to walk.
    pub next_before: Option<Seq>,
}

/// Consecutive blocks that can't be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The first of them.
    pub first_seq: Seq,
    /// The last of them.
    pub last_seq: Seq,
    /// Why.
    pub why: String,
}

/// The page has no room: the walk ends.
struct Full;

/// A walk on its way.
struct Walk<'a> {
    query: &'a PageQuery,
    page: Page,
    payload_bytes: usize,
    /// Every block from here on was passed.
    reached: Seq,
}

/// A page of blocks, newest first.
pub(crate) fn page(shared: &Shared, query: &PageQuery) -> Page {
    let ((runs, cut), segments, head) = {
        let state = shared.state();
        let memory = state.memory();
        let head = state.view().head.seq;
        (tail_runs(memory, query), memory.segments().to_vec(), head)
    };
    let mut walk = Walk {
        query,
        page: Page::default(),
        payload_bytes: 0,
        reached: query.before.min(head + 1),
    };
    let ended = walk.tail(&runs).and_then(|old| match (old, cut) {
        (true, _) => Ok(()),
        (false, true) => Err(Full),
        (false, false) => walk.history(shared, &segments),
    });
    walk.end(ended)
}

impl Walk<'_> {
    /// Walks the tail; whether it met blocks that are too old.
    fn tail(&mut self, runs: &[Arc<TailRun>]) -> Result<bool, Full> {
        for run in runs {
            if run.head.hlc.ms() < self.query.since_ms {
                return Ok(true);
            }
            self.reach(run.first_seq(), run.head.seq)?;
            if matching(run, self.query) == 0 {
                continue;
            }
            match run.blocks() {
                Ok(blocks) => self.take(blocks)?,
                Err(error) => self.miss(run.first_seq(), run.head.seq, &causes(&error))?,
            }
        }
        Ok(false)
    }

    fn history(&mut self, shared: &Shared, segments: &[Arc<Segment>]) -> Result<(), Full> {
        // Time rises with seq, so what begins too late lies behind all that is wanted.
        let begins_early_enough = |segment: &Arc<Segment>| {
            let before = &segment.meta.before;
            before.seq + 1 < self.query.before && before.hlc.ms() <= self.query.until_ms
        };
        let (wanted, later) = segments.split_at(segments.partition_point(begins_early_enough));
        if let Some(segment) = later.first() {
            self.reached = self.reached.min(segment.meta.first_seq());
        }
        for segment in wanted.iter().rev() {
            if segment.meta.head.hlc.ms() < self.query.since_ms {
                return Ok(());
            }
            let (first, last) = (segment.meta.first_seq(), segment.meta.head.seq);
            // What was pruned on the way takes all that is older with it.
            if is_pruned(shared, segment) {
                return Ok(());
            }
            self.reach(first, last)?;
            if !has(&segment.meta.counts, self.query.record_type) {
                continue;
            }
            match segment.open() {
                Ok(open) => self.take_segment(shared, segment, &open)?,
                Err(_) if is_pruned(shared, segment) => return Ok(()),
                Err(error) => self.miss(first, last, &told(&error))?,
            }
        }
        let floor = shared.state().floor().head.seq;
        self.reach(floor, floor)
    }

    /// Arrives at a part of the strand: what lies between it and the part before is not held.
    fn reach(&mut self, first: Seq, last: Seq) -> Result<(), Full> {
        let above = last.saturating_add(1);
        if above < self.reached {
            let why = "the strand does not hold these records any more";
            self.miss(above, self.reached - 1, why)?;
        }
        self.reached = self.reached.min(first);
        Ok(())
    }

    fn miss(&mut self, first: Seq, last: Seq, why: &str) -> Result<(), Full> {
        let last = last.min(self.query.before.saturating_sub(1));
        if first > last {
            return Ok(());
        }
        self.room()?;
        self.page.missing.push(Missing {
            first_seq: first,
            last_seq: last,
            why: why.to_owned(),
        });
        Ok(())
    }

    /// Adds the matching blocks, newest first.
    fn take(&mut self, blocks: Vec<Block>) -> Result<(), Full> {
        for mut block in blocks.into_iter().rev() {
            let header = &block.header;
            if !wants(
                self.query,
                header.seq,
                header.record_type,
                header.timestamp_hlc.ms(),
            ) {
                continue;
            }
            if self.query.payloads {
                self.payload_bytes += block.payload.len();
            } else {
                block.payload = Vec::new();
            }
            let too_long =
                self.payload_bytes > self.query.max_payload_bytes && !self.page.blocks.is_empty();
            if too_long {
                return Err(Full);
            }
            self.room()?;
            self.page.blocks.push(block);
        }
        Ok(())
    }

    /// What is left out for want of room is walked again for the next page.
    fn room(&self) -> Result<(), Full> {
        let taken = self.page.blocks.len() + self.page.missing.len();
        if taken < self.query.limit {
            Ok(())
        } else {
            Err(Full)
        }
    }

    fn end(mut self, ended: Result<(), Full>) -> Page {
        let block = self.page.blocks.last().map(|block| block.header.seq);
        let missing = self.page.missing.last().map(|missing| missing.first_seq);
        let passed = block.into_iter().chain(missing).min();
        self.page.next_before = ended.err().and(passed);
        self.page
    }

    fn take_segment(
        &mut self,
        shared: &Shared,
        segment: &Segment,
        open: &OpenSegment<'_>,
    ) -> Result<(), Full> {
        let mut later_hlc = u64::MAX;
        for frame in open.frames().iter().rev() {
            let before_it = later_hlc >> 16;
            later_hlc = frame.first_hlc;
            let in_time =
                frame.first_hlc >> 16 <= self.query.until_ms && before_it >= self.query.since_ms;
            if frame.first_seq >= self.query.before
                || !in_time
                || !has(&frame.counts, self.query.record_type)
            {
                continue;
            }
            match open.read(frame) {
                Ok(blocks) => self.take(blocks)?,
                Err(_) if is_pruned(shared, segment) => return Ok(()),
                Err(error) => self.miss(frame.first_seq, last_of(frame), &told(&error))?,
            }
        }
        Ok(())
    }
}

/// Where a frame is damaged is in `first_seq` and `last_seq`; what is left to tell is the cause, and the name of the
/// file. Where that lies is not the reader's business.
pub(crate) fn told(error: &ReadError) -> String {
    match error {
        ReadError::Damaged { source, .. } => causes(source),
        ReadError::Io { path, source } => {
            let name = path.file_name().unwrap_or_default().display();
            format!("could not read the segment {name}: {}", causes(source))
        }
        ReadError::Lost { .. }
        | ReadError::PerhapsLost { .. }
        | ReadError::NotReady { .. }
        | ReadError::Pruned { .. }
        | ReadError::Tail(_) => causes(error),
    }
}

/// The tail's runs that a page may need, newest first, and whether older ones were left out.
fn tail_runs(memory: &Memory, query: &PageQuery) -> (Vec<Arc<TailRun>>, bool) {
    let (mut runs, mut found) = (Vec::new(), 0);
    let newest_first = memory.tail().iter().rev();
    for run in newest_first.skip_while(|run| run.first_seq() >= query.before) {
        if found > query.limit {
            return (runs, true);
        }
        found += matching(run, query);
        runs.push(Arc::clone(run));
    }
    (runs, false)
}

/// How many blocks of a run a query wants.
fn matching(run: &TailRun, query: &PageQuery) -> usize {
    let entries = (run.first_seq()..).zip(&run.entries);
    let wanted = |(seq, entry): &(Seq, &TailEntry)| wants(query, *seq, entry.record_type, entry.ms);
    entries.filter(wanted).count()
}

fn wants(query: &PageQuery, seq: Seq, record_type: RecordType, ms: u64) -> bool {
    seq < query.before
        && query.record_type.is_none_or(|kind| kind == record_type)
        && (query.since_ms..=query.until_ms).contains(&ms)
}
