//! Streams of records as they are written. A stream reads the strand like any other reader, so what it sends is durable,
//! in order and complete, however slowly it is read.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use boboyka_store::{Forward, ForwardQuery};
use boboyka_strand::{Head, Hlc, RecordType, Seq};
use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::events::{HEARTBEAT, put, put_missing};
use super::moment::Moment;
use super::scope::{Named, Scope};
use crate::api::error::{ApiError, Code};
use crate::api::headers;
use crate::api::parameters::Parameters;
use crate::api::state::Api;
use crate::api::unreadable;

/// How long a stream says nothing at most.
const SILENCE_MAX: Duration = Duration::from_secs(15);
/// What a stream reads at a time, and so holds of a reader that is slow.
const STEP_RECORDS: usize = 256;
const STEP_BYTES: usize = 256 * 1024;
const STEP_READ: usize = 4 * 1024;
/// Comes at once, so that the reader knows that the stream stands.
const OPENED: &str = ": open\n\n";

/// The records of an agent.
pub(super) async fn of_agent(
    State(api): State<Arc<Api>>,
    Named(scope): Named,
    parameters: Parameters,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    parameters.only(&["since", "filter"])?;
    begin(api, vec![scope], &parameters, &headers)
}

/// The records of some agents, or of all.
pub(super) async fn of_agents(
    State(api): State<Arc<Api>>,
    parameters: Parameters,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    parameters.only(&["agents", "since", "filter"])?;
    let names = parameters.get("agents").unwrap_or_default().split(',');
    let names = names.map(str::trim).filter(|name| !name.is_empty());
    let scopes: Result<Vec<Scope>, _> = names.map(Scope::checked).collect();
    let mut scopes = scopes?;
    if scopes.is_empty() {
        scopes.push(Scope::All);
    }
    begin(api, scopes, &parameters, &headers)
}

fn begin(
    api: Arc<Api>,
    scopes: Vec<Scope>,
    parameters: &Parameters,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    let since = since(parameters, headers)?;
    let permit = Arc::clone(&api.streams).try_acquire_owned();
    let permit = permit.map_err(|_| {
        let message = "the sidecar serves as many streams as it can; end one, or retry later";
        ApiError::new(Code::StreamBusy, message)
    })?;
    let head = api.store.watch_head();
    let after = match since {
        Some(since) => api.store.place_before(since),
        None => api.store.view().head.seq,
    };
    let stream = Stream {
        head,
        after,
        since: since.unwrap_or(Hlc::ZERO),
        record_type: only_type(&scopes),
        scopes,
        filter: parameters.get("filter").map(ToOwned::to_owned),
        ready: VecDeque::from([Bytes::from_static(OPENED.as_bytes())]),
        api,
        _permit: permit,
    };
    let parts = futures_util::stream::unfold(stream, |mut stream| async {
        let part = stream.next().await?;
        Some((Ok::<_, Infallible>(part), stream))
    });
    let kinds = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    Ok((kinds, Body::from_stream(parts)).into_response())
}

/// The time after which the reader wants to go on: a reader that comes back names the last event that it got.
fn since(parameters: &Parameters, headers: &HeaderMap) -> Result<Option<Hlc>, ApiError> {
    let last = headers::single(headers, "Last-Event-ID")?;
    let parse = |name: &str, text: Option<&str>| {
        let moment = text.filter(|text| !text.is_empty()).map(|text| {
            Moment::parse(text).ok_or_else(|| {
                let must =
                    "must be the timestamp_hlc of a record, or a date and time as in RFC 3339";
                ApiError::parameter(name, must)
            })
        });
        moment.transpose()
    };
    let last = parse("Last-Event-ID", last)?;
    let since = parse("since", parameters.get("since"))?;
    Ok(last.or(since).map(|Moment(hlc)| hlc))
}

/// The type of all that the scopes hold, if it is one. Tombstones of the other types are documents.
fn only_type(scopes: &[Scope]) -> Option<RecordType> {
    let all_documents = scopes
        .iter()
        .all(|scope| matches!(scope, Scope::Collection(_)));
    all_documents.then_some(RecordType::Document)
}

struct Stream {
    api: Arc<Api>,
    head: watch::Receiver<Head>,
    /// Everything up to here was sent.
    after: Seq,
    /// Only blocks after this time.
    since: Hlc,
    scopes: Vec<Scope>,
    record_type: Option<RecordType>,
    filter: Option<String>,
    ready: VecDeque<Bytes>,
    _permit: OwnedSemaphorePermit,
}

impl Stream {
    /// The next part; `None` when the sidecar ends or can't go on.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(part) = self.ready.pop_front() {
                return Some(part);
            }
            self.head.mark_unchanged();
            let step = self.step().await?;
            unreadable::log_missing(&step.missing);
            let text = self.text(&step).ok()?;
            self.after = step.reached;
            if !text.is_empty() {
                return Some(text.into());
            }
            if step.is_at_head {
                tokio::select! {
                    changed = self.head.changed() => changed.ok()?,
                    () = tokio::time::sleep(SILENCE_MAX) => {
                        return Some(Bytes::from_static(HEARTBEAT.as_bytes()));
                    }
                    () = self.api.shutdown.cancelled() => return None,
                }
            } else if self.api.shutdown.is_cancelled() {
                return None;
            }
        }
    }

    async fn step(&self) -> Option<Forward> {
        let made = Arc::clone(&self.api.pages_made).acquire_owned().await;
        let store = self.api.store.clone();
        let query = ForwardQuery {
            after: self.after,
            record_type: self.record_type,
            limit: STEP_RECORDS,
            max_payload_bytes: STEP_BYTES,
            max_read: STEP_READ,
        };
        let read = tokio::task::spawn_blocking(move || {
            let _made = made;
            store.forward(&query)
        });
        read.await.ok()
    }

    /// The events of what was read, in its order.
    fn text(&self, step: &Forward) -> serde_json::Result<String> {
        let mut text = String::new();
        let mut missing = step.missing.iter().peekable();
        for block in &step.blocks {
            while let Some(passed) = missing.next_if(|m| m.first_seq < block.header.seq) {
                put_missing(passed, &mut text)?;
            }
            let is_new = block.header.timestamp_hlc > self.since;
            if is_new && self.scopes.iter().any(|scope| scope.holds(block)) {
                put(block, self.filter.as_deref(), &mut text)?;
            }
        }
        missing.try_for_each(|passed| put_missing(passed, &mut text))?;
        Ok(text)
    }
}
