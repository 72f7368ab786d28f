//! `GET /v1/boboyka/verify`: computes every hash of the chain again. A line of progress now and then, the verdict in the last.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use boboyka_store::Store;
use bytes::Bytes;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::mpsc::{self, OwnedPermit, Receiver, Sender};

use super::error::{ApiError, Code};
use super::state::Api;
use super::wire::VerdictJson;

/// How often a check of the chain reports its progress.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(250);
/// Lines of progress that may wait for a slow reader.
const PROGRESS_LINES: usize = 16;

/// Re-hashes the chain.
pub(super) async fn verify(State(api): State<Arc<Api>>) -> Result<Response, ApiError> {
    let permit = Arc::clone(&api.verifications).try_acquire_owned();
    let permit = permit.map_err(|_| {
        let message = "the chain is being verified already; try again when that has ended";
        ApiError::new(Code::VerifyBusy, message)
    })?;
    let (lines, receiver) = Lines::new(PROGRESS_LINES)?;
    tokio::task::spawn_blocking(move || {
        let _permit = permit;
        check(&api.store, lines);
    });
    let stream = futures_util::stream::unfold(receiver, |mut receiver| async {
        let line = receiver.recv().await?;
        Some((Ok::<_, std::convert::Infallible>(line), receiver))
    });
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    Ok((kind, Body::from_stream(stream)).into_response())
}

/// The lines of the answer. Sending one never waits: a reader that stops reading must keep neither the permit nor the thread.
struct Lines {
    progress: Sender<Bytes>,
    verdict: OwnedPermit<Bytes>,
}

impl Lines {
    fn new(progress_lines: usize) -> Result<(Self, Receiver<Bytes>), ApiError> {
        let (progress, receiver) = mpsc::channel(progress_lines + 1);
        let verdict = progress.clone().try_reserve_owned();
        let verdict = verdict.map_err(|_| ApiError::internal())?;
        Ok((Self { progress, verdict }, receiver))
    }
}

fn check(store: &Store, lines: Lines) {
    let view = store.view();
    let floor = view.floor.head.seq;
    let total = view.head.seq - floor;
    let mut sent = Instant::now();
    let verdict = store.verify(|head| {
        if lines.progress.is_closed() {
            return ControlFlow::Break(());
        }
        if sent.elapsed() >= PROGRESS_INTERVAL {
            sent = Instant::now();
            let progress = Progress {
                verified: head.seq.saturating_sub(floor),
                total,
            };
            // A reader too slow for a line of progress misses that line only.
            let line = line(&VerifyLine::Progress { progress });
            let _ = lines.progress.try_send(line);
        }
        ControlFlow::Continue(())
    });
    lines
        .verdict
        .send(line(&VerifyLine::Verdict(verdict.into())));
}

/// A line of the answer: progress, or the verdict in the last.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum VerifyLine {
    /// From time to time.
    Progress {
        /// How far it is.
        progress: Progress,
    },
    /// The result.
    Verdict(VerdictJson),
}

/// How far a check is.
#[derive(Serialize, JsonSchema)]
pub(super) struct Progress {
    verified: u64,
    total: u64,
}

fn line(value: &impl Serialize) -> Bytes {
    let mut line = serde_json::to_vec(value).unwrap_or_default();
    line.push(b'\n');
    line.into()
}

#[cfg(test)]
mod tests {
    use boboyka_store::Options;

    use super::*;

    #[test]
    fn a_reader_that_does_not_read_gets_its_verdict_and_keeps_no_thread() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(Options::new(folder.path())).unwrap();
        let (lines, mut receiver) = Lines::new(1).unwrap();
        lines.progress.try_send(Bytes::from("progress")).unwrap();
        assert!(lines.progress.try_send(Bytes::new()).is_err(), "full");
        check(&store, lines);
        assert_eq!(receiver.try_recv().unwrap(), "progress");
        let verdict = receiver.try_recv().unwrap();
        assert!(verdict.starts_with(b"{\"ok\":true"), "{verdict:?}");
        store.close();
    }
}
