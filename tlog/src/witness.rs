//! The protocol of witnesses (<https://c2sp.org/tlog-witness>): the request `add-checkpoint`, its answers, and what a witness
//! decides. Keeping the decision before answering, and one at a time for an origin, is the caller's part.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::decimal;
use crate::hash::TreeHash;
use crate::hashes::{self, HashesError};
use crate::key::{SigningKey, VerifierKey};
use crate::note::{Note, NoteError, Signature, parse_signatures};
use crate::proof::{self, ProofError};

/// Content type of the answer 409.
pub const SIZE_TYPE: &str = "text/x.tlog.size";

/// The path below a witness's prefix at which it shows the newest checkpoint of a log that it has cosigned.
pub fn monitoring_path(origin: &str) -> String {
    let hash = Sha256::digest(origin);
    let digits = hash.iter().map(|byte| format!("{byte:02x}"));
    format!("{}/checkpoint", digits.collect::<String>())
}

/// A request to cosign a checkpoint; as text the request's body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// Size of the checkpoint that the witness cosigned last; 0 when it cosigned none.
    pub old: u64,
    /// The consistency proof from there.
    pub proof: Vec<TreeHash>,
    /// The new checkpoint.
    pub checkpoint: Note,
}

/// A body that is no request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Not UTF-8, or the checkpoint is no note.
    #[error("the checkpoint: {0}")]
    Note(#[from] NoteError),
    /// No empty line before a checkpoint.
    #[error("the request has no empty line with a checkpoint behind it")]
    Form,
    /// No old size.
    #[error("the line {0:?} is not old and a decimal number without leading zeros")]
    Old(String),
    /// A line is no hash, or there are too many.
    #[error(transparent)]
    Hashes(#[from] HashesError),
}

/// Why a witness does not cosign. [`Refusal::status`] and [`Refusal::body`] are the answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The body is no request.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The note is no checkpoint.
    #[error("the checkpoint: {0}")]
    Checkpoint(CheckpointError),
    /// The old size is above the new one.
    #[error("the old size {old} is above the size {new} of the checkpoint")]
    Order {
        /// The old size.
        old: u64,
        /// The checkpoint's.
        new: u64,
    },
    /// No trusted key signed it, or such a signature is bad.
    #[error("the signature: {0}")]
    Signature(CheckpointError),
    /// The witness does not know the log.
    #[error("the log {0} is unknown here")]
    Origin(String),
    /// The witness cosigned another size last.
    #[error("the last cosigned size is {last}, not {old}")]
    Size {
        /// What the witness cosigned last.
        last: u64,
        /// What the request says.
        old: u64,
    },
    /// The new tree does not begin with the last cosigned one: a fork, a rewritten log or a wrong proof.
    #[error("the checkpoint is not consistent with that of size {old}: {reason}")]
    Inconsistent {
        /// The size cosigned last.
        old: u64,
        /// What the proof lacks.
        reason: ProofError,
    },
}

/// An answer to `add-checkpoint`, as the log reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Cosigned; the signatures are not checked yet.
    Cosigned(Vec<Signature>),
    /// The witness cosigned this size last: ask again from there.
    LastSize(u64),
    /// The witness refuses the tree: it is not consistent with what it cosigned.
    Inconsistent(String),
    /// Something else; the text says what.
    Other(String),
}

/// What a witness decides about a request. `trusted` are the keys of the checkpoint's origin, none when it is unknown; `last` is
/// what it cosigned last under this origin. On success it must keep the checkpoint before it cosigns.
///
/// # Errors
/// When it does not cosign.
pub fn decide(
    request: &AddCheckpoint,
    trusted: &[VerifierKey],
    last: Option<(u64, TreeHash)>,
) -> Result<Checkpoint, Refusal> {
    let unchecked = Checkpoint::of_note(&request.checkpoint).map_err(Refusal::Checkpoint)?;
    let is_of_log = |key: &&VerifierKey| key.name() == unchecked.origin();
    let keys: Vec<VerifierKey> = trusted.iter().filter(is_of_log).cloned().collect();
    if keys.is_empty() {
        return Err(Refusal::Origin(unchecked.origin().into()));
    }
    let verified = Checkpoint::verify(&request.checkpoint, &keys);
    let (checkpoint, _) = verified.map_err(Refusal::Signature)?;
    let (old, new) = (request.old, checkpoint.size());
    if old > new {
        return Err(Refusal::Order { old, new });
    }
    let (last, root) = last.unwrap_or((0, TreeHash::EMPTY));
    if old != last {
        return Err(Refusal::Size { last, old });
    }
    let consistency =
        proof::verify_consistency((old, root), (new, checkpoint.root()), &request.proof);
    consistency.map_err(|reason| Refusal::Inconsistent { old, reason })?;
    Ok(checkpoint)
}

/// The body of the answer 200: the witness's signature line.
pub fn cosign(key: &SigningKey, checkpoint: &Checkpoint, seconds: u64) -> String {
    format!("{}\n", Signature::of(key, &checkpoint.to_string(), seconds))
}

impl AddCheckpoint {
    /// A request from the bytes of its body.
    ///
    /// # Errors
    /// When they are none.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RequestError> {
        std::str::from_utf8(bytes)
            .map_err(|_| NoteError::Utf8)?
            .parse()
    }
}

/// The request's body.
impl fmt::Display for AddCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old)?;
        self.proof
            .iter()
            .try_for_each(|hash| writeln!(f, "{hash}"))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

impl FromStr for AddCheckpoint {
    type Err = RequestError;

    fn from_str(body: &str) -> Result<Self, RequestError> {
        let (head, checkpoint) = body.split_once("\n\n").ok_or(RequestError::Form)?;
        let mut lines = head.split('\n');
        let line = lines.next().unwrap_or_default();
        let old = line.strip_prefix("old ").and_then(decimal::parse);
        let old = old.ok_or_else(|| RequestError::Old(line.into()))?;
        Ok(Self {
            old,
            proof: hashes::parse(lines)?,
            checkpoint: checkpoint.parse()?,
        })
    }
}

impl Refusal {
    /// The status of the answer.
    pub const fn status(&self) -> u16 {
        match self {
            Self::Request(_) | Self::Checkpoint(_) | Self::Order { .. } => 400,
            Self::Signature(_) => 403,
            Self::Origin(_) => 404,
            Self::Size { .. } => 409,
            Self::Inconsistent { .. } => 422,
        }
    }

    /// The body of the answer: the size with the answer 409, else what is wrong.
    pub fn body(&self) -> String {
        if let Self::Size { last, .. } = self {
            return format!("{last}\n");
        }
        format!("{self}\n")
    }
}

impl Answer {
    /// What an answer says, from its status, its content type and its body.
    pub fn read(status: u16, content_type: Option<&str>, body: &str) -> Self {
        let size = || decimal::parse(body.strip_suffix('\n').unwrap_or(body));
        match (status, content_type) {
            (200, _) => match parse_signatures(body) {
                Ok(signatures) => Self::Cosigned(signatures),
                Err(error) => Self::Other(format!("its answer: {error}")),
            },
            (409, Some(SIZE_TYPE)) => size().map_or_else(
                || Self::Other(format!("409 with the size {body:?}")),
                Self::LastSize,
            ),
            (409 | 422, _) => Self::Inconsistent(body.trim_end().into()),
            (other, _) => Self::Other(format!("{other}: {}", body.trim_end())),
        }
    }
}
