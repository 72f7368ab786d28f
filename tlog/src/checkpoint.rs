//! Checkpoints (<https://c2sp.org/tlog-checkpoint>): a log's origin, size and root as the text of a signed note. Lines behind the
//! root ("extensions") are refused: no monitor can audit them.

use std::fmt;
use std::str::FromStr;

use crate::decimal;
use crate::hash::{ParseTreeHashError, TreeHash};
use crate::key::{Kind, SigningKey, VerifierKey, is_name};
use crate::note::{Note, NoteError, Signed};

/// A tree of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    origin: String,
    size: u64,
    root: TreeHash,
}

/// A text that is no checkpoint, or one that must not be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Not a note, or a known key's signature is bad.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// Not three lines.
    #[error("a checkpoint has three lines, this one {0}")]
    Lines(usize),
    /// The origin can't be the name of a key.
    #[error("the origin {0:?} is empty, or has a space, a control character or a plus")]
    Origin(String),
    /// No size.
    #[error("the size {0:?} is no decimal number below 2^63 without leading zeros")]
    Size(String),
    /// No root.
    #[error("the root: {0}")]
    Root(#[from] ParseTreeHashError),
    /// Size 0 with another root than that of the empty tree.
    #[error("the tree of size 0 has the root {0}, which is not that of the empty tree")]
    Empty(TreeHash),
    /// No log's key with the origin as its name has signed it.
    #[error("no known key of the log {0} has signed the checkpoint")]
    Unsigned(String),
}

impl Checkpoint {
    /// The tree of a log.
    ///
    /// # Errors
    /// When the origin can't be one, the size is 2^63 or more, or the empty tree has another root.
    pub fn new(origin: String, size: u64, root: TreeHash) -> Result<Self, CheckpointError> {
        if !is_name(&origin) {
            return Err(CheckpointError::Origin(origin));
        }
        if decimal::parse(&size.to_string()).is_none() {
            return Err(CheckpointError::Size(size.to_string()));
        }
        if size == 0 && root != TreeHash::EMPTY {
            return Err(CheckpointError::Empty(root));
        }
        Ok(Self { origin, size, root })
    }

    /// Which log it is of.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// How many entries the tree has.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The tree's root.
    pub const fn root(&self) -> TreeHash {
        self.root
    }

    /// The checkpoint as a note with the log's signature.
    pub fn sign(&self, key: &SigningKey) -> Note {
        let mut note = Note::unsigned(self.to_string());
        note.sign(key, 0);
        note
    }

    /// The checkpoint that a note holds, whoever signed it.
    ///
    /// # Errors
    /// When its text is none.
    pub fn of_note(note: &Note) -> Result<Self, CheckpointError> {
        note.text().parse()
    }

    /// The checkpoint of a note that a known key of its log has signed, with the signatures of all known keys.
    ///
    /// # Errors
    /// When the text is no checkpoint, a known key's signature is bad, or none is that of the log.
    pub fn verify(
        note: &Note,
        keys: &[VerifierKey],
    ) -> Result<(Self, Vec<Signed>), CheckpointError> {
        let checkpoint = Self::of_note(note)?;
        let signed = note.verify(keys)?;
        let is_log = |key: &VerifierKey| key.kind() == Kind::Log && key.name() == checkpoint.origin;
        if signed.iter().any(|signed| is_log(&signed.key)) {
            return Ok((checkpoint, signed));
        }
        Err(CheckpointError::Unsigned(checkpoint.origin))
    }
}

/// The text of the note.
impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, self.root)
    }
}

impl FromStr for Checkpoint {
    type Err = CheckpointError;

    fn from_str(text: &str) -> Result<Self, CheckpointError> {
        let lines: Vec<&str> = text.split('\n').collect();
        let [origin, size, root, ""] = lines[..] else {
            return Err(CheckpointError::Lines(text.lines().count()));
        };
        let number = decimal::parse(size).ok_or_else(|| CheckpointError::Size(size.into()))?;
        Self::new(origin.into(), number, root.parse()?)
    }
}
