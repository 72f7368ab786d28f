//! The task that sends spans: in batches, one at a time, until it is told to end.

use std::time::Duration;

use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use prometheus_client::metrics::counter::Counter;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::Instrument as _;

/// The most spans of one request, as in OpenTelemetry's own batches.
const BATCH_MAX: usize = 512;
/// How long a span waits for others at most.
const GATHER: Duration = Duration::from_secs(1);
/// How long the end of the process waits for what is still to be sent.
const END_MAX: Duration = Duration::from_secs(1);

/// The task that sends, which ends when this is dropped.
#[derive(Debug)]
pub struct Sending {
    task: JoinHandle<()>,
    end: DropGuard,
}

impl Sending {
    /// Sends what waits so far, within a second, and ends.
    pub async fn end(self) {
        drop(self.end);
        // A task that panicked has said so, and traces are all that is lost.
        let _ = timeout(END_MAX, self.task).await;
    }
}

/// What sends, and to where.
pub(crate) struct Sender<E> {
    pub(crate) exporter: E,
    pub(crate) url: String,
    pub(crate) waiting: mpsc::Receiver<SpanData>,
    pub(crate) dropped: Counter,
    /// Why the last batch was not taken.
    pub(crate) trouble: Option<String>,
}

impl<E: SpanExporter + 'static> Sender<E> {
    /// Begins to send.
    pub(crate) fn start(self) -> Sending {
        let end = CancellationToken::new();
        let task = tokio::spawn(self.run(end.clone()).in_current_span());
        let end = end.drop_guard();
        Sending { task, end }
    }

    async fn run(mut self, end: CancellationToken) {
        let late = async {
            end.cancelled().await;
            sleep(END_MAX).await;
        };
        tokio::select! {
            () = self.send_all(&end) => {}
            () = late => {}
        }
    }

    async fn send_all(&mut self, end: &CancellationToken) {
        while let Some(batch) = self.next(end).await {
            let spans = batch.len();
            let sent = self.exporter.export(batch).await;
            self.note(spans, sent.map_err(|error| error.to_string()));
        }
    }

    /// The next spans, none once it is told to end and nothing waits.
    async fn next(&mut self, end: &CancellationToken) -> Option<Vec<SpanData>> {
        let mut batch = Vec::new();
        let first = tokio::select! {
            biased;
            first = self.waiting.recv() => first?,
            () = end.cancelled() => return None,
        };
        batch.push(first);
        let until = Instant::now() + GATHER;
        while batch.len() < BATCH_MAX {
            let room = BATCH_MAX - batch.len();
            let more = timeout_at(until, self.waiting.recv_many(&mut batch, room));
            tokio::select! {
                biased;
                more = more => if !matches!(more, Ok(1..)) { break },
                () = end.cancelled() => break,
            }
        }
        Some(batch)
    }

    /// Counts what was not taken. A collector that stays away for hours is logged when that begins, when its reason
    /// changes, and when it is over.
    fn note(&mut self, spans: usize, sent: Result<(), String>) {
        let url = &self.url;
        let Err(reason) = sent else {
            if self.trouble.take().is_some() {
                tracing::info!(url, "traces are sent to {url} again");
            }
            return;
        };
        self.dropped
            .inc_by(u64::try_from(spans).unwrap_or(u64::MAX));
        if self.trouble.as_ref() != Some(&reason) {
            tracing::warn!(
                url,
                reason,
                "could not send traces to {url}: {reason}. They are dropped and counted until it answers; nothing else waits for it"
            );
            self.trouble = Some(reason);
        }
    }
}
