//! The queue of spans that have ended: whoever ends one never waits.

use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};
use prometheus_client::metrics::counter::Counter;
use tokio::sync::mpsc;

/// The most spans that wait: as many as OpenTelemetry's own queue takes, which is about a megabyte.
const WAITING_MAX: usize = 2048;

/// The end of the queue that takes spans.
#[derive(Clone, Debug)]
pub(crate) struct Queue {
    spans: mpsc::Sender<SpanData>,
    dropped: Counter,
}

/// A queue; what finds no room in it is counted as dropped.
pub(crate) fn queue(dropped: Counter) -> (Queue, mpsc::Receiver<SpanData>) {
    let (spans, waiting) = mpsc::channel(WAITING_MAX);
    (Queue { spans, dropped }, waiting)
}

impl SpanProcessor for Queue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if self.spans.try_send(span).is_err() {
            self.dropped.inc();
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}
