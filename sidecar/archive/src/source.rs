//! What an archiver has to know of a strand.

use boboyka_tlog::TreeHash;
use uuid::Uuid;

use crate::head::Signed;

/// A BLAKE3 hash.
pub type Digest = [u8; 32];

/// A sealed segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its first block.
    pub first: u64,
    /// Its last block.
    pub last: u64,
    /// When its first block was appended, in milliseconds since 1970.
    pub oldest_ms: u64,
    /// Length of its file.
    pub bytes: u64,
    /// What its file is.
    pub identity: Identity,
    /// Whether payloads went: then the archive may have the file from before.
    pub is_stripped: bool,
}

/// What tells the file of a segment from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Digest over it.
    pub digest: Digest,
    /// Hash of its last block, which vouches for the headers of all blocks, but not for payloads that are gone.
    pub head: Digest,
}

/// Why the strand can't give something, in words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SourceError(pub String);

/// A strand, as the archiver sees it. What takes long does not block the caller's thread.
pub trait Source: Send + Sync + 'static {
    /// The strand's id.
    fn strand(&self) -> Uuid;

    /// The time now, in milliseconds since 1970.
    fn now_ms(&self) -> u64;

    /// The sealed segments that end after a seq, oldest first.
    fn segments(&self, after: u64) -> impl Future<Output = Vec<Segment>> + Send;

    /// The file of the segment that begins with a seq, its digest checked; `None` when it was pruned.
    fn file(&self, first: u64)
    -> impl Future<Output = Result<Option<Vec<u8>>, SourceError>> + Send;

    /// What the file of a segment is, if these bytes are one and its digest holds.
    fn identify(&self, bytes: Vec<u8>) -> impl Future<Output = Option<Identity>> + Send;

    /// The newest signed checkpoint, cosigned if witnesses are asked, and how its tree begins with that of a smaller size.
    fn checkpoint(
        &self,
        old: u64,
    ) -> impl Future<Output = Result<Option<Signed>, SourceError>> + Send;

    /// The root of the tree over the first records; `None` where the strand does not hold them any more, or not yet.
    fn root(&self, size: u64) -> impl Future<Output = Option<TreeHash>> + Send;

    /// The archive holds everything up to here.
    fn archived(&self, seq: u64);
}
