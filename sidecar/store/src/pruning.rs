//! A pruning that was decided: the floor that it leaves, and what goes.

use std::sync::Arc;

use boboyka_strand::{RecordType, Seq};

use crate::binding::Binding;
use crate::floor::Floor;
use crate::segment::Segment;

/// Segments that go, and the floor that they leave.
pub(crate) struct Pruning {
    pub(crate) floor: Floor,
    /// The record of it.
    pub(crate) binding: Binding,
    pub(crate) segments: Vec<Arc<Segment>>,
    /// Dead letters whose records go with them.
    pub(crate) letters: Vec<(RecordType, Seq)>,
}
