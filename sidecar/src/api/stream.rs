//! `GET /v1/boboyka/stream`: records as they are appended, as server-sent events. The id of an event is its seq, so that
//! a reader that comes back with `Last-Event-ID` misses nothing. The strand is the only buffer: a part of it is read
//! when the connection has room for it.

mod asked;
pub(super) mod frame;
mod open;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use boboyka_store::Missing;
use boboyka_strand::{Block, RecordType, Seq};
use schemars::JsonSchema;
use serde::Serialize;

use self::asked::Asked;
pub(super) use self::open::Dialect;
use self::open::OpenStream;
use super::error::{ApiError, Code};
use super::parameters::Parameters;
use super::state::Api;
use super::wire::{Event, MissingJson};

/// The data of an event.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum StreamData<'a> {
    /// Of `record`.
    Record(Event<'a>),
    /// Of `missing`.
    Missing(MissingJson),
    /// Of `end`.
    End(ApiError),
}

/// Follows the strand.
pub(super) async fn stream(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    let asked = Asked::parse(&headers, &parameters, api.store.view().head.seq)?;
    answer(api, asked, asked.after)
}

/// A stream of what is behind `after`, if there is room for one more.
pub(super) fn answer(
    api: Arc<Api>,
    dialect: impl Dialect,
    after: Seq,
) -> Result<Response, ApiError> {
    let permit = Arc::clone(&api.streams).try_acquire_owned();
    let permit = permit.map_err(|_| {
        let message = "the sidecar serves as many streams as it can; end one, or retry later";
        ApiError::new(Code::StreamBusy, message)
    })?;
    let open = OpenStream::new(api, dialect, after, permit);
    let parts = futures_util::stream::unfold(open, |mut open| async {
        let part = open.next().await?;
        Some((Ok::<_, Infallible>(part), open))
    });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, Body::from_stream(parts)).into_response())
}

impl Dialect for Asked {
    const TAKE_LIMIT: Option<Duration> = Some(Duration::from_secs(10));

    fn record_type(&self) -> Option<RecordType> {
        self.record_type
    }

    fn beginning(&self, after: Seq) -> Vec<u8> {
        frame::beginning(after)
    }

    fn heartbeat(&self, passed: Seq) -> Vec<u8> {
        frame::heartbeat(passed)
    }

    fn block(&self, api: &Api, block: &Block, text: &mut Vec<u8>) -> serde_json::Result<()> {
        let header = &block.header;
        let outcome = api.mirror.outcome_now(header.record_type, header.seq);
        let event = Event::new(block, outcome, self.with_data);
        frame::event(text, "record", Some(header.seq), &StreamData::Record(event))
    }

    fn missing(&self, missing: Missing, text: &mut Vec<u8>) -> serde_json::Result<()> {
        let last = missing.last_seq;
        let event = StreamData::Missing(missing.into());
        frame::event(text, "missing", Some(last), &event)
    }

    /// The last event says why the stream ends.
    fn end(&self, error: &ApiError) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        let event = StreamData::End(error.clone());
        frame::event(&mut text, "end", None, &event).ok()?;
        Some(text)
    }
}
