//! The strand's archive: what the archiver sees of the store, and how it is started.

use std::time::Duration;

use boboyka_archive::{
    ArchiveStatus, Archiver, Identity, Place, Segment, Signed, Source, SourceError,
};
use boboyka_cosigning::Cosigned;
use boboyka_store::{ArchiveNeed, Sealed, Store, TlogError, causes, now_ms, sealed_identity};
use boboyka_strand::Hash;
use boboyka_tlog::{Checkpoint, TreeHash};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use uuid::Uuid;

use crate::config::{Archive, ArchiveKeys};

/// Where a strand is archived.
#[derive(Clone, Debug)]
pub(crate) struct ArchiveOptions {
    place: Place,
    after: Duration,
    keys: ArchiveKeys,
}

/// How a strand's archive stands.
#[derive(Clone, Debug)]
pub(crate) struct Archived {
    pub(crate) place: Place,
    pub(crate) after: Duration,
    pub(crate) status: watch::Receiver<ArchiveStatus>,
}

impl ArchiveOptions {
    /// Of the command line; `None` without an archive.
    pub(crate) fn of(archive: &Archive) -> Option<Self> {
        Some(Self {
            place: archive.url.clone()?,
            after: archive.after,
            keys: archive.keys.clone(),
        })
    }

    /// Keeps retention from what the archive does not hold.
    pub(crate) fn keep(&self, store: &Store, archived: u64) {
        store.keep_for_archive(Some(need(self.after, archived)));
    }

    /// Has the strand archived; how that stands.
    pub(crate) fn run(
        self,
        store: &Store,
        cosigned: &watch::Receiver<Cosigned>,
        tasks: &mut JoinSet<()>,
        shutdown: &CancellationToken,
    ) -> Archived {
        let (archiver, shown) = self.start(store.clone(), cosigned.clone());
        tasks.spawn(archiver.run(shutdown.clone()).in_current_span());
        shown
    }

    fn start(
        self,
        store: Store,
        cosigned: watch::Receiver<Cosigned>,
    ) -> (Archiver<Strand>, Archived) {
        let after = self.after;
        let strand = Strand {
            store,
            cosigned,
            after,
        };
        let keys = self.keys;
        let archiver = Archiver::new(strand, self.place.clone(), after, move || keys.read());
        let status = archiver.status();
        let place = self.place;
        let shown = Archived {
            place,
            after,
            status,
        };
        (archiver, shown)
    }
}

fn need(after: Duration, archived: u64) -> ArchiveNeed {
    ArchiveNeed {
        archived,
        after_ms: u64::try_from(after.as_millis()).unwrap_or(u64::MAX),
    }
}

/// The strand, as the archiver sees it.
pub(crate) struct Strand {
    store: Store,
    cosigned: watch::Receiver<Cosigned>,
    after: Duration,
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
