//! Proofs to keep and pass on (<https://c2sp.org/tlog-proof>, files `.tlog-proof`): that an entry is in the tree of a checkpoint.

use std::fmt;
use std::str::FromStr;

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::hash::TreeHash;
use crate::hashes::{self, HashesError};
use crate::note::{Note, NoteError};
use crate::proof::{self, ProofError};
use crate::{base64, decimal};

const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";

/// An inclusion proof with its checkpoint; as text a `.tlog-proof`. Nothing in it has been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// What helps to know the entry; no signature covers it.
    pub extra: Option<Vec<u8>>,
    /// The entry's index, from 0.
    pub index: u64,
    /// The hashes from the leaf's sibling to the root's child.
    pub hashes: Vec<TreeHash>,
    /// The checkpoint with its signatures.
    pub checkpoint: Note,
}

/// A text that is no proof.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// Another first line.
    #[error("a proof begins with the line {FIRST_LINE}")]
    FirstLine,
    /// No empty line before a checkpoint.
    #[error("the proof has no empty line with a checkpoint behind it")]
    Form,
    /// The extra data is no base64.
    #[error("the extra line is not padded base64")]
    Extra,
    /// No index.
    #[error("the line {0:?} is not index and a decimal number without leading zeros")]
    Index(String),
    /// A line is no hash, or there are too many.
    #[error(transparent)]
    Hashes(#[from] HashesError),
    /// The checkpoint is no note.
    #[error("the checkpoint: {0}")]
    Note(#[from] NoteError),
    /// The note is no checkpoint.
    #[error("the checkpoint: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// The proof does not hold.
    #[error(transparent)]
    Proof(#[from] ProofError),
}

impl Bundle {
    /// A proof from the bytes of a file or answer.
    ///
    /// # Errors
    /// When they are none.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BundleError> {
        std::str::from_utf8(bytes)
            .map_err(|_| NoteError::Utf8)?
            .parse()
    }

    /// Checks that the leaf is in the tree of the checkpoint, and gives the checkpoint. Who signed that is for
    /// [`crate::Policy::verify`] or [`Checkpoint::verify`] to say.
    ///
    /// # Errors
    /// When the note is no checkpoint, or the proof does not hold.
    pub fn verify(&self, leaf: TreeHash) -> Result<Checkpoint, BundleError> {
        let checkpoint = Checkpoint::of_note(&self.checkpoint)?;
        let (size, root) = (checkpoint.size(), checkpoint.root());
        proof::verify_inclusion(leaf, self.index, size, root, &self.hashes)?;
        Ok(checkpoint)
    }
}

/// The text of a `.tlog-proof`.
impl fmt::Display for Bundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{FIRST_LINE}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", base64::encode(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        self.hashes
            .iter()
            .try_for_each(|hash| writeln!(f, "{hash}"))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

impl FromStr for Bundle {
    type Err = BundleError;

    fn from_str(text: &str) -> Result<Self, BundleError> {
        let (head, checkpoint) = text.split_once("\n\n").ok_or(BundleError::Form)?;
        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(FIRST_LINE) {
            return Err(BundleError::FirstLine);
        }
        let extra = lines.next_if(|line| line.starts_with("extra "));
        let extra = extra.map(parse_extra).transpose()?;
        let index = parse_index(lines.next().unwrap_or_default())?;
        let hashes = hashes::parse(lines)?;
        Ok(Self {
            extra,
            index,
            hashes,
            checkpoint: checkpoint.parse()?,
        })
    }
}

fn parse_extra(line: &str) -> Result<Vec<u8>, BundleError> {
    let text = line.strip_prefix("extra ").unwrap_or_default();
    base64::decode(text).ok_or(BundleError::Extra)
}

fn parse_index(line: &str) -> Result<u64, BundleError> {
    let index = line.strip_prefix("index ").and_then(decimal::parse);
    index.ok_or_else(|| BundleError::Index(line.into()))
}
