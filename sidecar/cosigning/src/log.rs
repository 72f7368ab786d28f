//! What has to be known of a log to have it cosigned.

use std::sync::Arc;

use boboyka_tlog::{Note, TreeHash};
use tokio::sync::watch;

/// The log whose checkpoints are cosigned.
pub trait Log: Send + Sync + 'static {
    /// A signed checkpoint as the log has it.
    type Checkpoint: Send + Sync;

    /// The newest signed checkpoint and whatever comes later; `None` until there is one.
    fn checkpoints(&self) -> watch::Receiver<Option<Arc<Self::Checkpoint>>>;

    /// The note of a checkpoint.
    fn note(checkpoint: &Self::Checkpoint) -> &Note;

    /// The consistency proof between two sizes, or why there is none.
    fn consistency(
        &self,
        old: u64,
        new: u64,
    ) -> impl Future<Output = Result<Vec<TreeHash>, String>> + Send;

    /// A witness has cosigned this size: the log keeps what a proof from there needs.
    fn cosigned(&self, witness: &str, size: u64) -> impl Future<Output = ()> + Send;

    /// A witness that holds another tree of this log shows this as the newest checkpoint that it cosigned. Nobody has checked
    /// it: only the log's own signature makes it evidence.
    fn shown(&self, witness: &str, note: Note) -> impl Future<Output = ()> + Send;
}
