//! A pruning that was decided: the floor that it leaves, and what goes.

use std::sync::Arc;

use boboyka_strand::{RecordType, Seq};

use crate::binding::Binding;
use crate::error::TailError;
use crate::floor::Floor;
use crate::segment::Segment;
use crate::tail::Tail;

/// Segments that go, and the floor that they leave.
pub(crate) struct Pruning {
    pub(crate) floor: Floor,
    /// The record of it.
    pub(crate) binding: Binding,
    pub(crate) segments: Vec<Arc<Segment>>,
    /// Dead letters whose records go with them.
    pub(crate) letters: Vec<(RecordType, Seq)>,
}

impl Pruning {
    /// Takes what goes out of the tail.
    pub(crate) fn put(&self, tail: &Tail) -> Result<(), TailError> {
        tail.put_floor(&self.floor)?;
        for segment in &self.segments {
            tail.remove_segment(segment.meta.first_seq())?;
        }
        self.letters
            .iter()
            .try_for_each(|(lane, seq)| tail.remove_letter(*lane, *seq))
    }
}
