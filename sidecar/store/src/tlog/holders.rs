//! The entries of a range of seqs, wherever their blocks lie: the tail, a segment, what is kept of pruned ones.

use std::ops::RangeInclusive;
use std::sync::Arc;

use boboyka_strand::{Block, Seq};
use boboyka_tlog::TreeHash;

use super::entry::Entry;
use super::kept::Kept;
use super::place::{seqs_of, tile_of};
use crate::error::ReadError;
use crate::gap::Gap;
use crate::segment::Segment;
use crate::tail_run::TailRun;

/// What holds the blocks of a range of seqs.
#[derive(Debug, Default)]
pub(crate) struct Holders {
    /// In order.
    pub(crate) segments: Vec<Arc<Segment>>,
    /// In order.
    pub(crate) runs: Vec<Arc<TailRun>>,
    pub(crate) gaps: Vec<Gap>,
    /// The newest pruned block.
    pub(crate) floor: Seq,
    /// No header up to here was ever known.
    pub(crate) unknown_to: Seq,
}

impl Holders {
    /// The entries of a range.
    pub(crate) fn entries(
        &self,
        kept: &Kept,
        range: RangeInclusive<Seq>,
    ) -> Result<Vec<Entry>, ReadError> {
        let (mut next, last) = (*range.start(), *range.end());
        let mut entries = Vec::new();
        while next <= last {
            let before = entries.len();
            self.take(kept, next, last, &mut entries)?;
            next += (entries.len() - before) as u64;
        }
        Ok(entries)
    }

    /// The leaf hashes of a range.
    pub(crate) fn leaves(
        &self,
        kept: &Kept,
        range: RangeInclusive<Seq>,
    ) -> Result<Vec<TreeHash>, ReadError> {
        let tail = self.runs.first().map_or(Seq::MAX, |run| run.first_seq());
        let (first, last) = range.into_inner();
        let before = self.entries(kept, first..=last.min(tail.saturating_sub(1)))?;
        let mut leaves: Vec<_> = before.iter().map(Entry::leaf).collect();
        let mut next = first + leaves.len() as u64;
        while next <= last {
            let at = self.runs.partition_point(|run| run.head.seq < next);
            let Some(run) = self.runs.get(at).filter(|run| run.holds(next)) else {
                // A gap within the tail.
                let end = self
                    .runs
                    .get(at)
                    .map_or(last, |run| last.min(run.first_seq() - 1));
                let entries = self.entries(kept, next..=end)?;
                leaves.extend(entries.iter().map(Entry::leaf));
                next = end + 1;
                continue;
            };
            let skip = usize::try_from(next - run.first_seq()).unwrap_or(usize::MAX);
            let there = run.entries.iter().skip(skip).take(count(next, last));
            leaves.extend(there.map(|entry| entry.leaf));
            next = run.head.seq.min(last) + 1;
        }
        Ok(leaves)
    }

    /// The entries from `next` on that one holder has, up to `last`; at least one.
    fn take(
        &self,
        kept: &Kept,
        next: Seq,
        last: Seq,
        entries: &mut Vec<Entry>,
    ) -> Result<(), ReadError> {
        let unknown = |to: Seq| std::iter::repeat_n(Entry::Unknown, count(next, to.min(last)));
        if next <= self.unknown_to {
            entries.extend(unknown(self.unknown_to));
            return Ok(());
        }
        let at = self
            .segments
            .partition_point(|segment| segment.meta.head.seq < next);
        if let Some(segment) = self.segments.get(at).filter(|segment| segment.holds(next)) {
            return match take_segment(segment, next, last, entries) {
                // It was unlinked on the way: what is needed of it was kept before.
                Err(_) if next <= self.floor => self.take_kept(kept, next, last, entries),
                taken => taken,
            };
        }
        let at = self.runs.partition_point(|run| run.head.seq < next);
        if let Some(run) = self.runs.get(at).filter(|run| run.holds(next)) {
            let blocks = run.blocks()?;
            entries.extend(within(&blocks, next, last).map(Entry::of));
            return Ok(());
        }
        if let Some(gap) = self.gaps.iter().find(|gap| gap.holds(next)) {
            entries.extend(unknown(gap.last.seq));
            return Ok(());
        }
        self.take_kept(kept, next, last, entries)
    }

    fn take_kept(
        &self,
        kept: &Kept,
        next: Seq,
        last: Seq,
        entries: &mut Vec<Entry>,
    ) -> Result<(), ReadError> {
        let tile = tile_of(next);
        let (first, end) = seqs_of(tile).into_inner();
        let found = kept.read(tile);
        let begin = usize::try_from(next - first).unwrap_or(usize::MAX);
        let more = found
            .into_iter()
            .skip(begin)
            .take(count(next, last.min(end)));
        let before = entries.len();
        entries.extend(more);
        if entries.len() == before {
            return Err(ReadError::Pruned { floor: self.floor });
        }
        Ok(())
    }
}

fn take_segment(
    segment: &Segment,
    next: Seq,
    last: Seq,
    entries: &mut Vec<Entry>,
) -> Result<(), ReadError> {
    let open = segment.open()?;
    let mut found = Vec::new();
    let frames = open.frames();
    let begin = frames
        .partition_point(|frame| frame.first_seq <= next)
        .saturating_sub(1);
    for frame in frames
        .iter()
        .skip(begin)
        .take_while(|frame| frame.first_seq <= last)
    {
        let blocks = open.read(frame)?;
        found.extend(within(&blocks, next, last).map(Entry::of));
    }
    if found.len() != count(next, last.min(segment.meta.head.seq)) {
        return Err(segment.damaged("its frames do not hold all of its blocks"));
    }
    entries.append(&mut found);
    Ok(())
}

fn within(blocks: &[Block], first: Seq, last: Seq) -> impl Iterator<Item = &Block> {
    blocks
        .iter()
        .filter(move |block| (first..=last).contains(&block.header.seq))
}

/// How many seqs there are from `first` to `last`.
fn count(first: Seq, last: Seq) -> usize {
    usize::try_from(last.saturating_add(1).saturating_sub(first)).unwrap_or(usize::MAX)
}
