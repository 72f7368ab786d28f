//! Checks a proof, or a strand against a signed checkpoint, offline.

use std::path::{Path, PathBuf};

use boboyka_store::{OpenError, causes, root_offline};
use boboyka_tlog::policy::{Party, PolicyError};
use boboyka_tlog::{Policy, VerifierKey};

use crate::audit::checkpoint::{self, CheckpointFault, Held};
use crate::audit::evidence::Evidence;
use crate::audit::proof::{self, ProofFault, Proven};
use crate::config::{Content, Trust};

/// Why a check found no answer, or a bad one.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// A file can't be read.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The auditor's own policy is none.
    #[error("{path}: {source}")]
    Policy {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: PolicyError,
    },
    /// The proof does not hold.
    #[error("{path}: {fault}")]
    Proof {
        /// The file.
        path: PathBuf,
        /// Why it does not.
        fault: ProofFault,
    },
    /// The strand does not hold the checkpoint.
    #[error("{path}: {fault}")]
    Checkpoint {
        /// The checkpoint's file.
        path: PathBuf,
        /// Why it does not.
        fault: CheckpointFault,
    },
    /// The strand can't be read.
    #[error("{}", causes(.0))]
    Strand(#[from] OpenError),
}

impl VerifyError {
    /// Whether the files were read and do not hold; else nothing could be said of them.
    pub const fn is_verdict(&self) -> bool {
        match self {
            Self::Proof { .. } => true,
            Self::Checkpoint { fault, .. } => !matches!(fault, CheckpointFault::Unknown(_)),
            Self::Unreadable { .. } | Self::Policy { .. } | Self::Strand(_) => false,
        }
    }
}

/// Checks the `.tlog-proof` of a file.
///
/// # Errors
/// When it does not hold, or a file can't be read.
pub fn verify_proof(path: &Path, trust: &Trust, content: &Content) -> Result<Proven, VerifyError> {
    let policy = policy_of(trust)?;
    let bytes = read(path)?;
    let record = content.record.as_deref().map(text).transpose()?;
    let payload = content.payload.as_deref().map(read).transpose()?;
    let evidence = record.as_deref().map(Evidence::Json);
    let evidence = evidence.or(payload.as_deref().map(Evidence::Payload));
    proof::check(&bytes, &policy, evidence).map_err(|fault| VerifyError::Proof {
        path: path.into(),
        fault,
    })
}

/// Compares the strand in a folder, which no process has open, with the signed checkpoint of a file.
///
/// # Errors
/// When the strand does not hold its tree, or a file can't be read.
pub fn verify_checkpoint(path: &Path, trust: &Trust, data_dir: &Path) -> Result<Held, VerifyError> {
    let policy = policy_of(trust)?;
    let of_file = |fault| VerifyError::Checkpoint {
        path: path.into(),
        fault,
    };
    let accepted = checkpoint::accepted(&read(path)?, &policy).map_err(of_file)?;
    let root = root_offline(data_dir, accepted.0.size())?;
    checkpoint::compare(accepted, root).map_err(of_file)
}

fn policy_of(trust: &Trust) -> Result<Policy, VerifyError> {
    let Some(path) = &trust.policy else {
        let party = |key: &VerifierKey| Party {
            key: key.clone(),
            url: None,
        };
        return Ok(Policy::of_logs(trust.vkey.iter().map(party).collect()));
    };
    policy_in(path)
}

/// The policy in a file.
pub(super) fn policy_in(path: &Path) -> Result<Policy, VerifyError> {
    let policy = text(path)?.parse();
    policy.map_err(|source| VerifyError::Policy {
        path: path.to_owned(),
        source,
    })
}

/// The text of a file.
pub(super) fn text(path: &Path) -> Result<String, VerifyError> {
    let bytes = read(path)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn read(path: &Path) -> Result<Vec<u8>, VerifyError> {
    std::fs::read(path).map_err(|source| VerifyError::Unreadable {
        path: path.into(),
        source,
    })
}
