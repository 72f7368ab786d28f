//! The runs that an earlier version kept in the tail.

use boboyka_strand::Seq;

use super::index::Tail;
use super::key::read_run_key;
use crate::error::TailError;

/// A run as it was found: its pieces put together, or what there is of them.
pub(crate) struct FoundRun {
    pub(crate) first_seq: Seq,
    pub(crate) bytes: Vec<u8>,
    pub(crate) complete: bool,
}

impl Tail {
    /// Whether no earlier version has left runs here.
    pub(crate) fn has_no_runs(&self) -> bool {
        self.runs.is_empty()
    }

    /// Removes the runs that an earlier version kept here.
    pub(crate) fn remove_runs(&self) -> Result<(), TailError> {
        if self.runs.is_empty() {
            return Ok(());
        }
        self.runs.clear()?;
        self.flush()
    }

    /// The runs that an earlier version kept here, oldest first.
    pub(crate) fn runs(&self) -> Result<Vec<FoundRun>, TailError> {
        let mut found: Vec<FoundRun> = Vec::new();
        for entry in &self.runs {
            let (key, value) = entry?;
            let (first_seq, piece) = read_run_key(&key)?;
            let (pieces, bytes) = value.split_first().map_or((0, &[][..]), |(n, b)| (*n, b));
            match found.last_mut() {
                Some(run) if run.first_seq == first_seq && piece > 0 => {
                    run.bytes.extend_from_slice(bytes);
                    run.complete = piece + 1 == pieces;
                }
                _ => found.push(FoundRun {
                    first_seq,
                    bytes: bytes.to_vec(),
                    complete: piece == 0 && pieces == 1,
                }),
            }
        }
        Ok(found)
    }
}
