//! What an archive sees of a strand: sealed segments as files, each checked against its digest before it leaves.

use std::path::Path;

use boboyka_strand::{Hash, Head, Hlc, Seq};
use uuid::Uuid;

use crate::segment::{Segment, identity_in};

/// The folder in a data folder in which a restore works. While it is there, no sidecar opens the data folder.
pub const UNFINISHED_RESTORE: &str = "restore-unfinished";

/// What the archive needs of the strand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArchiveNeed {
    /// The archive holds everything up to here; nothing behind it is pruned.
    pub archived: Seq,
    /// No record stays in the tail for longer than this, in milliseconds.
    pub after_ms: u64,
}

/// A sealed segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Its first block.
    pub first: Seq,
    /// Its last block.
    pub last: Seq,
    /// When its first block was appended, in milliseconds since 1970.
    pub oldest_ms: u64,
    /// Length of its file.
    pub bytes: u64,
    /// Digest over its file.
    pub digest: Hash,
    /// Hash of its last block.
    pub head: Hash,
    /// Whether payloads went: then the archive may have the file from before, which leads to the same block.
    pub is_stripped: bool,
}

/// What an archive sees of a segment.
pub(crate) fn sealed(segment: &Segment) -> Sealed {
    let opened = segment.open().ok();
    let first = opened.as_ref().and_then(|open| open.frames().first());
    // Of a segment that can't be read, the block before is what is known.
    let oldest = first.map_or(segment.meta.before.hlc, |frame| Hlc::new(frame.first_hlc));
    Sealed {
        first: segment.meta.first_seq(),
        last: segment.meta.head.seq,
        oldest_ms: segment.meta.appended_ms(oldest),
        bytes: segment.file_len,
        digest: segment.digest,
        head: segment.meta.head.hash,
        is_stripped: segment.meta.gone.is_some(),
    }
}

/// The digest of a segment's file and the hash of its last block, if these bytes are one and it holds.
pub fn sealed_identity(bytes: &[u8]) -> Option<(Hash, Hash)> {
    identity_in(bytes).map(|(digest, head)| (digest, head.hash))
}

/// Checks a segment's file whole: that it follows `before`, every block, and its digest. Returns its strand, its last block
/// and the digest. Blocking.
///
/// # Errors
/// What does not hold.
pub fn check_sealed(path: &Path, before: Head) -> Result<(Uuid, Head, Hash), String> {
    let segment = Segment::discover(path).map_err(|error| error.to_string())?;
    let follows = (segment.meta.before.seq, segment.meta.before.hash);
    if follows != (before.seq, before.hash) {
        return Err(format!(
            "it does not follow seq {} of the chain",
            before.seq
        ));
    }
    let mut on = |_, _: &[boboyka_strand::Block]| std::ops::ControlFlow::Continue(());
    let head = segment.verify(before, &mut on);
    let head = head.map_err(|error| error.to_string())?;
    Ok((segment.meta.strand, head, segment.digest))
}
