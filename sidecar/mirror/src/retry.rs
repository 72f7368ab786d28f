//! Retrying on demand: the request to a lane, and its answer.

use tokio::sync::oneshot;

/// A request for an attempt now, and for the dead letters to be sent again.
#[derive(Debug)]
pub(crate) struct Retry {
    pub(crate) reply: oneshot::Sender<RetryReport>,
}

/// What a retry did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetryReport {
    /// Dead letters sent again.
    pub retried: u64,
    /// Of these, now in their tables.
    pub mirrored: u64,
    /// Of these, refused again.
    pub dead_lettered: u64,
}

/// Why a retry did nothing, or is not known to have done something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RetryError {
    /// There is no Supabase configured.
    #[error("supabase is not configured")]
    Disabled,
    /// The lane is in the middle of a request and does not answer.
    #[error("the lane is busy")]
    Busy,
    /// The process is ending.
    #[error("the mirror is stopping")]
    Stopping,
}
