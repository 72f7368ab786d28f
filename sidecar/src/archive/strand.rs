//! The strand, as the archiver sees it.

use std::time::Duration;

use boboyka_archive::{Identity, Segment, Signed, Source, SourceError};
use boboyka_cosigning::Cosigned;
use boboyka_store::{ArchiveNeed, Sealed, Store, TlogError, causes, now_ms, sealed_identity};
use boboyka_strand::Hash;
use boboyka_tlog::{Checkpoint, TreeHash};
use tokio::sync::watch;
use uuid::Uuid;

/// The strand, as the archiver sees it.
pub(super) struct Strand {
    pub(super) store: Store,
    pub(super) cosigned: watch::Receiver<Cosigned>,
    pub(super) after: Duration,
}

impl Source for Strand {
    fn strand(&self) -> Uuid {
        self.store.strand_id()
    }

    fn now_ms(&self) -> u64 {
        now_ms()
    }

    async fn segments(&self, after: u64) -> Vec<Segment> {
        let store = self.store.clone();
        let sealed = blocking(move || store.sealed_after(after)).await;
        let sealed = sealed.unwrap_or_default().into_iter();
        sealed.map(segment).collect()
    }

    async fn file(&self, first: u64) -> Result<Option<Vec<u8>>, SourceError> {
        let store = self.store.clone();
        let file = blocking(move || store.sealed_file(first)).await?;
        file.map_err(|error| SourceError(causes(&error)))
    }

    async fn identify(&self, bytes: Vec<u8>) -> Option<Identity> {
        let identity = blocking(move || sealed_identity(&bytes)).await.ok()??;
        Some(identity_of(identity.0, identity.1))
    }

    async fn checkpoint(&self, old: u64) -> Result<Option<Signed>, SourceError> {
        let (store, cosigned) = (self.store.clone(), self.cosigned.borrow().note.clone());
        let signed = blocking(move || signed(&store, cosigned, old)).await?;
        signed.map_err(|error| SourceError(causes(&error)))
    }

    async fn root(&self, size: u64) -> Option<TreeHash> {
        let store = self.store.clone();
        blocking(move || store.tlog_root(size)).await.ok()?.ok()
    }

    fn archived(&self, seq: u64) {
        self.store.keep_for_archive(Some(need(self.after, seq)));
    }
}

/// What the archive needs that holds everything up to a seq.
pub(super) fn need(after: Duration, archived: u64) -> ArchiveNeed {
    ArchiveNeed {
        archived,
        after_ms: u64::try_from(after.as_millis()).unwrap_or(u64::MAX),
    }
}

/// The newest checkpoint that witnesses have cosigned, or else the newest that the log has signed, of at least `old` records.
fn signed(
    store: &Store,
    cosigned: Option<boboyka_tlog::Note>,
    old: u64,
) -> Result<Option<Signed>, TlogError> {
    let Some(newest) = store.checkpoint() else {
        return Ok(None);
    };
    let cosigned = cosigned.and_then(|note| Some((Checkpoint::of_note(&note).ok()?, note)));
    let cosigned = cosigned.filter(|(checkpoint, _)| {
        checkpoint.size() >= old && checkpoint.origin() == newest.checkpoint.origin()
    });
    let own = || (newest.checkpoint.clone(), newest.note.clone());
    let (checkpoint, note) = cosigned.unwrap_or_else(own);
    if checkpoint.size() < old {
        return Ok(None);
    }
    let proof = match old {
        0 => Vec::new(),
        old => store.tlog_consistency(old, checkpoint.size())?,
    };
    Ok(Some(Signed {
        note,
        proof,
        newest: newest.checkpoint.size(),
    }))
}

fn segment(sealed: Sealed) -> Segment {
    Segment {
        first: sealed.first,
        last: sealed.last,
        oldest_ms: sealed.oldest_ms,
        bytes: sealed.bytes,
        identity: identity_of(sealed.digest, sealed.head),
        is_stripped: sealed.is_stripped,
    }
}

fn identity_of(digest: Hash, head: Hash) -> Identity {
    Identity {
        digest: *digest.as_bytes(),
        head: *head.as_bytes(),
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, SourceError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| SourceError("its thread panicked".to_owned()))
}
