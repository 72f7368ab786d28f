//! The hashes of a proof as lines: what a `.tlog-proof` and a request to a witness have in common.

use crate::hash::{ParseTreeHashError, TreeHash};

/// No tree has longer proofs.
pub const HASHES_MAX: usize = 63;

/// Lines that are no proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HashesError {
    /// A line is no hash.
    #[error("line {number} of the proof: {source}")]
    Line {
        /// Which one, from 1.
        number: usize,
        /// What is wrong.
        source: ParseTreeHashError,
    },
    /// More hashes than any tree's proof has.
    #[error("the proof has more than {HASHES_MAX} hashes")]
    Many,
}

/// The hashes of lines.
pub(crate) fn parse<'a>(
    lines: impl Iterator<Item = &'a str>,
) -> Result<Vec<TreeHash>, HashesError> {
    let mut hashes = Vec::new();
    for (before, line) in lines.enumerate() {
        if before == HASHES_MAX {
            return Err(HashesError::Many);
        }
        let hash = line.parse();
        hashes.push(hash.map_err(|source| HashesError::Line {
            number: before + 1,
            source,
        })?);
    }
    Ok(hashes)
}
