//! Compares a strand with a signed checkpoint: it must hold the checkpoint's tree as its beginning.

use std::fmt;

use boboyka_store::TlogError;
use boboyka_tlog::note::Signed;
use boboyka_tlog::policy::Rejection;
use boboyka_tlog::{Checkpoint, Note, Policy, TreeHash};

use super::signers::Signers;

/// A checkpoint whose tree the strand holds. As text it says so, and what that can't show.
#[derive(Clone, Debug)]
pub struct Held {
    checkpoint: Checkpoint,
    signed: Vec<Signed>,
}

/// A checkpoint that is not trusted, or a strand that does not hold its tree.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointFault {
    /// No note.
    #[error("the checkpoint: {0}")]
    Note(#[from] boboyka_tlog::note::NoteError),
    /// Not signed by those whom the auditor trusts.
    #[error("the checkpoint: {0}")]
    Rejected(#[from] Rejection),
    /// The strand has fewer records.
    #[error(
        "REWOUND: the checkpoint has {signed} records, the strand {held}: its end was removed, or an older copy was put in its place"
    )]
    Rewound {
        /// Size of the checkpoint.
        signed: u64,
        /// Records of the strand.
        held: u64,
    },
    /// The strand has other records.
    #[error(
        "FORKED: the first {size} records have the root {found}, the checkpoint signed {signed}: a record before that was changed, \
         dropped, inserted or moved, or the strand is another one"
    )]
    Forked {
        /// Size of the checkpoint.
        size: u64,
        /// Its root.
        signed: TreeHash,
        /// The strand's.
        found: TreeHash,
    },
    /// What the strand still has can't tell.
    #[error("can't tell: {0}")]
    Unknown(TlogError),
}

/// The checkpoint of a file's bytes that the policy accepts.
///
/// # Errors
/// When the policy does not accept it.
pub fn accepted(
    bytes: &[u8],
    policy: &Policy,
) -> Result<(Checkpoint, Vec<Signed>), CheckpointFault> {
    Ok(policy.verify(&Note::from_bytes(bytes)?)?)
}

/// Compares an accepted checkpoint with the root that the strand has at its size.
///
/// # Errors
/// When the strand does not hold the tree, or can't tell.
pub fn compare(
    (checkpoint, signed): (Checkpoint, Vec<Signed>),
    root: Result<TreeHash, TlogError>,
) -> Result<Held, CheckpointFault> {
    let size = checkpoint.size();
    match root {
        Ok(root) if root == checkpoint.root() => Ok(Held { checkpoint, signed }),
        Ok(found) => Err(CheckpointFault::Forked {
            size,
            signed: checkpoint.root(),
            found,
        }),
        Err(TlogError::Absent { size: held }) => {
            Err(CheckpointFault::Rewound { signed: size, held })
        }
        Err(error) => Err(CheckpointFault::Unknown(error)),
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (size, origin) = (self.checkpoint.size(), self.checkpoint.origin());
        let signers = Signers(&self.signed);
        writeln!(
            f,
            "ok: the strand holds the {size} records of the checkpoint of {origin}"
        )?;
        write!(f, "{signers}")?;
        writeln!(
            f,
            "proven: none of these records was changed, dropped, inserted or moved since then"
        )?;
        write!(
            f,
            "not proven: what was appended behind them, or that what they say is true"
        )?;
        if signers.has_witness() {
            return Ok(());
        }
        write!(
            f,
            "\nnot proven: that nobody is shown another log: no witness has cosigned the checkpoint"
        )
    }
}
