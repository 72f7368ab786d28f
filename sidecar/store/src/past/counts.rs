//! How many records of each type there were at a moment.

use boboyka_strand::{Head, PerType, Seq};

use super::find::lost;
use crate::error::ReadError;
use crate::page::Missing;
use crate::read::last_of;
use crate::segment::Segment;
use crate::shared::Shared;

/// Records of each type up to a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Pruned ones too; without what is lost.
    pub counts: PerType<u64>,
    /// What is lost up to there, newest first.
    pub missing: Vec<Missing>,
}

/// Records of each type up to a moment.
///
/// # Errors
/// The part of the strand around the moment can't be read.
pub(crate) fn counts(shared: &Shared, moment: &Head) -> Result<Counts, ReadError> {
    let (mut counts, segment, gaps) = {
        let state = shared.state();
        let memory = state.memory();
        let mut counts = memory.counts();
        for run in memory.tail() {
            for (seq, entry) in (run.first_seq()..).zip(&run.entries) {
                counts[entry.record_type] -= u64::from(seq > moment.seq);
            }
        }
        let later = memory.segments().iter().rev();
        for segment in later.take_while(|segment| segment.meta.first_seq() > moment.seq) {
            for (record_type, more) in segment.meta.counts {
                counts[record_type] -= u64::from(more);
            }
        }
        let segment = memory.segment_of(moment.seq).cloned();
        (counts, segment, memory.gaps().to_vec())
    };
    if let Some(segment) = segment.filter(|segment| segment.meta.head.seq > moment.seq) {
        subtract(&mut counts, &segment, moment.seq)?;
    }
    let mut missing: Vec<_> = lost(&gaps, 0, moment.seq).collect();
    missing.reverse();
    Ok(Counts { counts, missing })
}

/// Takes the blocks of a segment behind a seq off.
fn subtract(counts: &mut PerType<u64>, segment: &Segment, at_most: Seq) -> Result<(), ReadError> {
    let open = segment.open()?;
    for frame in open.frames().iter().rev() {
        if frame.first_seq > at_most {
            for (record_type, more) in frame.counts {
                counts[record_type] -= u64::from(more);
            }
        } else if last_of(frame) > at_most {
            for block in open.read(frame)? {
                let is_later = block.header.seq > at_most;
                counts[block.header.record_type] -= u64::from(is_later);
            }
        }
    }
    Ok(())
}
