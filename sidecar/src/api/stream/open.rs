//! One stream on its way: a part each time the connection has room for one. What a part says is up to its dialect.

use std::sync::Arc;
use std::time::Duration;

use boboyka_store::{Forward, ForwardQuery, Missing};
use boboyka_strand::{Block, Head, RecordType, Seq};
use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, sleep, timeout};

use crate::api::error::{ApiError, Code};
use crate::api::state::Api;
use crate::api::unreadable;

/// How long a stream is silent at most.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long a stream waits for more records after the first: reading one by one costs more.
const GATHER: Duration = Duration::from_millis(50);
/// Events of a part.
const EVENTS_MAX: usize = 256;
/// Length of the records of a part as `MessagePack`, unless its first record is longer.
const PART_MAX_BYTES: usize = 64 * 1024;
/// Records that are looked at for a part: a stream of one type must not read on and on.
const READ_MAX: usize = 4 * 1024;

/// How one kind of stream tells what it reads, as server-sent events.
pub(in crate::api) trait Dialect: Send + Sync + 'static {
    /// How long a reader may leave a part that is there for it; without a limit, as long as its connection lets it.
    const TAKE_LIMIT: Option<Duration>;

    /// The only type that is told of; all when `None`.
    fn record_type(&self) -> Option<RecordType>;

    /// What the stream begins with.
    fn beginning(&self, after: Seq) -> Vec<u8>;

    /// A sign of life. Everything up to `passed` was told.
    fn heartbeat(&self, passed: Seq) -> Vec<u8>;

    /// Adds what there is to tell of a block.
    fn block(&self, api: &Api, block: &Block, text: &mut Vec<u8>) -> serde_json::Result<()>;

    /// Adds what the reader does not get.
    fn missing(&self, missing: Missing, text: &mut Vec<u8>) -> serde_json::Result<()>;

    /// Why the stream ends, if the reader is told.
    fn end(&self, error: &ApiError) -> Option<Vec<u8>>;
}

/// One stream on its way.
pub(super) struct OpenStream<D> {
    api: Arc<Api>,
    dialect: Arc<D>,
    /// Everything up to here was told.
    after: Seq,
    head: watch::Receiver<Head>,
    /// When the reader took the last part; `None` before the first.
    taken: Option<Instant>,
    has_ended: bool,
    _permit: OwnedSemaphorePermit,
}

/// What the strand has for the reader.
struct Part {
    text: Vec<u8>,
    reached: Seq,
}

impl<D: Dialect> OpenStream<D> {
    pub(super) fn new(api: Arc<Api>, dialect: D, after: Seq, permit: OwnedSemaphorePermit) -> Self {
        Self {
            head: api.store.watch_head(),
            api,
            dialect: Arc::new(dialect),
            after,
            taken: None,
            has_ended: false,
            _permit: permit,
        }
    }

    /// The next part of the answer; `None` after the last.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        if self.has_ended {
            return None;
        }
        let is_late = |taken: Instant| D::TAKE_LIMIT.is_some_and(|limit| taken.elapsed() > limit);
        let text = match self.taken {
            None => Ok(self.dialect.beginning(self.after)),
            Some(taken) if is_late(taken) => {
                let message = "the records came faster than this reader took them; come back with Last-Event-ID";
                Err(ApiError::new(Code::SlowReader, message))
            }
            Some(_) => self.part().await,
        };
        self.taken = Some(Instant::now());
        let text = text.map_or_else(
            |error| {
                self.has_ended = true;
                self.dialect.end(&error)
            },
            Some,
        );
        text.map(Bytes::from)
    }

    /// Waits for something to tell. An error ends the stream.
    async fn part(&mut self) -> Result<Vec<u8>, ApiError> {
        let shutdown = self.api.shutdown.clone();
        tokio::select! {
            biased;
            () = shutdown.cancelled() => {
                let message = "the sidecar is stopping; come back with Last-Event-ID";
                Err(ApiError::new(Code::ShuttingDown, message))
            }
            part = self.records() => part,
        }
    }

    async fn records(&mut self) -> Result<Vec<u8>, ApiError> {
        let silent_since = Instant::now();
        loop {
            let head = self.head.borrow_and_update().seq;
            if head > self.after {
                let part = self.read().await?;
                self.after = part.reached;
                if !part.text.is_empty() {
                    return Ok(part.text);
                }
            }
            let left = HEARTBEAT.saturating_sub(silent_since.elapsed());
            if left.is_zero() {
                return Ok(self.dialect.heartbeat(self.after));
            }
            if self.after >= self.head.borrow().seq
                && timeout(left, self.head.changed()).await.is_ok()
            {
                sleep(GATHER).await;
            }
        }
    }

    async fn read(&self) -> Result<Part, ApiError> {
        let made = Arc::clone(&self.api.pages_made).acquire_owned().await;
        let (api, dialect) = (Arc::clone(&self.api), Arc::clone(&self.dialect));
        let query = ForwardQuery {
            after: self.after,
            record_type: self.dialect.record_type(),
            limit: EVENTS_MAX,
            max_payload_bytes: PART_MAX_BYTES,
            max_read: READ_MAX,
        };
        let read = tokio::task::spawn_blocking(move || {
            let _made = made;
            told(&api, &*dialect, api.store.forward(&query))
        });
        let part = read.await.map_err(|_| ApiError::internal())?;
        part.map_err(|_| ApiError::internal())
    }
}

/// What there is to tell of a step, in the order of the strand.
fn told(api: &Api, dialect: &impl Dialect, step: Forward) -> serde_json::Result<Part> {
    unreadable::log_missing(&step.missing);
    let (mut text, reached) = (Vec::new(), step.reached);
    let mut missing = step.missing.into_iter().peekable();
    for block in &step.blocks {
        while let Some(passed) = missing.next_if(|part| part.first_seq < block.header.seq) {
            dialect.missing(passed, &mut text)?;
        }
        dialect.block(api, block, &mut text)?;
    }
    missing.try_for_each(|passed| dialect.missing(passed, &mut text))?;
    Ok(Part { text, reached })
}
