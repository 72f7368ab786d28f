//! What handlers work with.

use std::sync::Arc;

use boboyka_cosigning::Cosigned;
use boboyka_mirror::{Mirror, Outcome};
use boboyka_store::{Appended, IdempotencyKey, KeyConflict, NewRecord, Store, WriteError};
use boboyka_strand::{Record, RecordType, Seq};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::access::Access;
use super::body::Bodies;
use super::requests::Requests;
use super::tombstones::Tombstones;
use super::walks::Walks;
use crate::archive::ArchiveHandle;
use crate::file::Standing;
use crate::last_hour::LastHour;
use crate::traces::{self, Traces};

/// Verifications at a time: each computes every hash of the strand.
const VERIFICATIONS_MAX: usize = 2;
/// Pages of events that are made at a time: each holds its records in memory, at most twice.
const PAGES_MADE_MAX: usize = 4;
/// Pages of events at a time, those included that are made and not read yet.
const PAGES_MAX: usize = 8;
/// Searches at a time: each may read a large part of the strand.
const SEARCHES_MAX: usize = 2;
/// Streams at a time: each is a connection that stays.
const STREAMS_MAX: usize = 64;

/// Reads of the transparency log at a time: tiles, entries, proofs.
const TLOG_READS_MAX: usize = 4;

/// What handlers work with.
pub(crate) struct Api {
    pub(crate) store: Store,
    pub(crate) mirror: Mirror,
    pub(crate) bodies: Bodies,
    pub(crate) requests: Requests,
    /// A verification without a permit is refused.
    pub(crate) verifications: Arc<Semaphore>,
    /// A page without a permit waits for one.
    pub(crate) pages: Arc<Semaphore>,
    pub(crate) pages_made: Arc<Semaphore>,
    pub(crate) last_hour: LastHour,
    pub(crate) traces: Traces,
    /// A search without a permit waits for one.
    pub(crate) searches: Arc<Semaphore>,
    /// A stream without a permit is refused.
    pub(crate) streams: Arc<Semaphore>,
    pub(crate) tombstones: Tombstones,
    pub(crate) walks: Walks,
    /// What callers must show.
    pub(crate) access: Access,
    /// The sidecar ends: so do streams.
    pub(crate) shutdown: CancellationToken,
    /// A read of the transparency log without a permit waits for one.
    pub(crate) tlog_reads: Arc<Semaphore>,
    /// What witnesses have made of checkpoints.
    pub(crate) cosigned: watch::Receiver<Cosigned>,
    /// How the file of the integration stands, if there is one.
    pub(crate) standing: Option<watch::Receiver<Arc<Standing>>>,
    /// How the archive stands.
    pub(crate) archived: ArchiveHandle,
    /// When the sidecar started, in seconds since 1970.
    pub(crate) started_at: f64,
}

impl Api {
    pub(crate) fn new(
        store: Store,
        mirror: Mirror,
        access: Access,
        shutdown: CancellationToken,
        cosigned: watch::Receiver<Cosigned>,
        standing: Option<watch::Receiver<Arc<Standing>>>,
        traces: Traces,
    ) -> Self {
        Self {
            store,
            mirror,
            bodies: Bodies::new(),
            requests: Requests::default(),
            verifications: Arc::new(Semaphore::new(VERIFICATIONS_MAX)),
            pages: Arc::new(Semaphore::new(PAGES_MAX)),
            pages_made: Arc::new(Semaphore::new(PAGES_MADE_MAX)),
            last_hour: LastHour::default(),
            traces,
            searches: Arc::new(Semaphore::new(SEARCHES_MAX)),
            streams: Arc::new(Semaphore::new(STREAMS_MAX)),
            tombstones: Tombstones::default(),
            walks: Walks::default(),
            access,
            shutdown,
            tlog_reads: Arc::new(Semaphore::new(TLOG_READS_MAX)),
            cosigned,
            standing,
            archived: ArchiveHandle::none(),
            started_at: since_1970(),
        }
    }

    /// The same with an archive.
    pub(crate) fn with_archive(self, archived: ArchiveHandle) -> Self {
        Self { archived, ..self }
    }

    /// Appends records, and notes how long that took.
    pub(crate) async fn append(
        &self,
        records: Vec<NewRecord>,
    ) -> Result<Vec<Result<Appended, KeyConflict>>, WriteError> {
        self.noted(self.store.append(records)).await
    }

    /// The same as one unit under a key.
    pub(crate) async fn append_unit(
        &self,
        records: Vec<Record>,
        key: IdempotencyKey,
    ) -> Result<Vec<Result<Appended, KeyConflict>>, WriteError> {
        self.noted(self.store.append_unit(records, key)).await
    }

    /// What became of a record's copy, waiting for it as [`Mirror::outcome`] does.
    pub(crate) async fn outcome(&self, record_type: RecordType, seq: Seq) -> Outcome {
        let step = self.traces.step("mirror");
        let outcome = self.mirror.outcome(record_type, seq).await;
        if let Some(step) = step {
            traces::mirrored(&step, record_type, &outcome);
        }
        outcome
    }

    async fn noted(
        &self,
        append: impl Future<Output = Result<Vec<Result<Appended, KeyConflict>>, WriteError>>,
    ) -> Result<Vec<Result<Appended, KeyConflict>>, WriteError> {
        let begun = Instant::now();
        let step = self.traces.step("append");
        let answers = append.await;
        if let Some(step) = step {
            self.traces.appended(&step, &self.store, &answers);
        }
        let answers = answers?;
        self.note(&answers, begun);
        Ok(answers)
    }

    fn note(&self, answers: &[Result<Appended, KeyConflict>], begun: Instant) {
        let new = answers.iter().flatten().filter(|record| !record.replayed);
        let new = new.count();
        if new > 0 {
            self.last_hour.committed(new, begun.elapsed());
        }
    }
}

fn since_1970() -> f64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.unwrap_or_default().as_secs_f64()
}
