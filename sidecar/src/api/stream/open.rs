//! One stream on its way: a part each time the connection has room for one.

use std::sync::Arc;
use std::time::Duration;

use boboyka_store::{ForwardQuery, Missing};
use boboyka_strand::{Head, Seq};
use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, sleep, timeout};

use super::asked::Asked;
use super::frame;
use crate::api::error::{ApiError, Code};
use crate::api::state::Api;
use crate::api::unreadable;
use crate::api::wire::{Event, MissingJson};

/// How long a stream is silent at most.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long a reader may leave a part that is there for it.
const TAKE_LIMIT: Duration = Duration::from_secs(10);
/// How long a stream waits for more records after the first: reading one by one costs more.
const GATHER: Duration = Duration::from_millis(50);
/// Events of a part.
const EVENTS_MAX: usize = 256;
/// Length of the records of a part as `MessagePack`, unless its first record is longer.
const PART_MAX_BYTES: usize = 64 * 1024;
/// Records that are looked at for a part: a stream of one type must not read on and on.
const READ_MAX: usize = 4 * 1024;

/// One stream on its way.
pub(super) struct OpenStream {
    api: Arc<Api>,
    asked: Asked,
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

impl OpenStream {
    pub(super) fn new(api: Arc<Api>, asked: Asked, permit: OwnedSemaphorePermit) -> Self {
        Self {
            head: api.store.watch_head(),
            api,
            asked,
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
        let text = match self.taken {
            None => frame::beginning(self.asked.after),
            Some(taken) if taken.elapsed() > TAKE_LIMIT => {
                let message = "the records came faster than this reader took them; come back with Last-Event-ID";
                self.end(&ApiError::new(Code::SlowReader, message))
            }
            Some(_) => self.part().await,
        };
        self.taken = Some(Instant::now());
        Some(text.into())
    }

    /// Waits for something to tell.
    async fn part(&mut self) -> Vec<u8> {
        let shutdown = self.api.shutdown.clone();
        tokio::select! {
            biased;
            () = shutdown.cancelled() => {
                let message = "the sidecar is stopping; come back with Last-Event-ID";
                self.end(&ApiError::new(Code::ShuttingDown, message))
            }
            part = self.records() => part,
        }
    }

    async fn records(&mut self) -> Vec<u8> {
        let silent_since = Instant::now();
        loop {
            let head = self.head.borrow_and_update().seq;
            if head > self.asked.after {
                match self.read().await {
                    Ok(part) => {
                        self.asked.after = part.reached;
                        if !part.text.is_empty() {
                            return part.text;
                        }
                    }
                    Err(error) => return self.end(&error),
                }
            }
            let left = HEARTBEAT.saturating_sub(silent_since.elapsed());
            if left.is_zero() {
                return frame::heartbeat(self.asked.after);
            }
            if self.asked.after >= self.head.borrow().seq
                && timeout(left, self.head.changed()).await.is_ok()
            {
                sleep(GATHER).await;
            }
        }
    }

    async fn read(&self) -> Result<Part, ApiError> {
        let (api, asked) = (Arc::clone(&self.api), self.asked);
        let read = tokio::task::spawn_blocking(move || read(&api, &asked));
        let part = read.await.map_err(|_| ApiError::internal())?;
        part.map_err(|_| ApiError::internal())
    }

    /// The last event says why the stream ends.
    fn end(&mut self, error: &ApiError) -> Vec<u8> {
        self.has_ended = true;
        let mut text = Vec::new();
        // An error of the API can always be written.
        let _ = frame::event(&mut text, "end", None, error);
        text
    }
}

fn read(api: &Api, asked: &Asked) -> serde_json::Result<Part> {
    let step = api.store.forward(&ForwardQuery {
        after: asked.after,
        record_type: asked.record_type,
        limit: EVENTS_MAX,
        max_payload_bytes: PART_MAX_BYTES,
        max_read: READ_MAX,
    });
    unreadable::log_missing(&step.missing);
    let (mut text, reached) = (Vec::new(), step.reached);
    let mut missing = step.missing.into_iter().peekable();
    for block in &step.blocks {
        while let Some(passed) = missing.next_if(|part| part.first_seq < block.header.seq) {
            put_missing(passed, &mut text)?;
        }
        let header = &block.header;
        let outcome = api.mirror.outcome_now(header.record_type, header.seq);
        let event = Event::new(block, outcome, asked.with_data);
        frame::event(&mut text, "record", Some(header.seq), &event)?;
    }
    missing.try_for_each(|passed| put_missing(passed, &mut text))?;
    Ok(Part { text, reached })
}

fn put_missing(missing: Missing, text: &mut Vec<u8>) -> serde_json::Result<()> {
    let last = missing.last_seq;
    frame::event(text, "missing", Some(last), &MissingJson::from(missing))
}
