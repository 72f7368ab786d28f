//! Why a strand was not restored.

use boboyka_archive::Fault;
use boboyka_store::{OpenError, TlogError, causes};
use uuid::Uuid;

use crate::command::verify::VerifyError;

/// Why a strand was not restored. Nothing is left in the data folder, or, where the last step failed, what no sidecar opens.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The archive can't be reached.
    #[error("{0}")]
    Archive(#[from] Fault),
    /// The settings can't be read.
    #[error("{0}")]
    Settings(String),
    /// The data folder can't be used.
    #[error("{0}")]
    Folder(String),
    /// Which strand is meant is not clear.
    #[error("{0}")]
    Strand(String),
    /// A part of the archive is missing, or it holds two histories.
    #[error("the archive of the strand {strand}: {why}")]
    Incomplete {
        /// The strand.
        strand: Uuid,
        /// What is wrong.
        why: String,
    },
    /// An object is not what the strand had archived.
    #[error("{object}: {why}")]
    Altered {
        /// The object.
        object: String,
        /// What does not hold.
        why: String,
    },
    /// The checkpoint is not trusted, or the strand does not hold it.
    #[error("the checkpoint {what}: {why}")]
    Checkpoint {
        /// Where it is.
        what: String,
        /// What does not hold.
        why: String,
    },
    /// A file can't be read, or the policy is none.
    #[error(transparent)]
    Trust(#[from] VerifyError),
    /// The rebuilt strand can't be opened.
    #[error("{}", causes(.0))]
    Open(#[from] OpenError),
    /// Its log can't go on.
    #[error("the log of the restored strand can't go on: {}", causes(.0))]
    Log(#[from] TlogError),
}

impl RestoreError {
    /// Whether the archive was read and does not hold; else nothing could be said of it.
    pub const fn is_verdict(&self) -> bool {
        matches!(
            self,
            Self::Incomplete { .. } | Self::Altered { .. } | Self::Checkpoint { .. }
        )
    }
}
