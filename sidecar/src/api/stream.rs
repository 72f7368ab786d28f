//! `GET /v1/boboyka/stream`: records as they are appended, as server-sent events. The id of an event is its seq, so that
//! a reader that comes back with `Last-Event-ID` misses nothing. The strand is the only buffer: a part of it is read
//! when the connection has room for it.

mod asked;
mod frame;
mod open;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};

use self::asked::Asked;
use self::open::OpenStream;
use super::error::{ApiError, Code};
use super::parameters::Parameters;
use super::state::Api;

/// Follows the strand.
pub(super) async fn stream(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    let asked = Asked::parse(&headers, &parameters, api.store.view().head.seq)?;
    let permit = Arc::clone(&api.streams).try_acquire_owned();
    let permit = permit.map_err(|_| {
        let message = "the sidecar serves as many streams as it can; end one, or retry later";
        ApiError::new(Code::StreamBusy, message)
    })?;
    let open = OpenStream::new(api, asked, permit);
    let parts = futures_util::stream::unfold(open, |mut open| async {
        let part = open.next().await?;
        Some((Ok::<_, std::convert::Infallible>(part), open))
    });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, Body::from_stream(parts)).into_response())
}
