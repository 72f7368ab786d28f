//! The bodies of requests and answers, as far as the connection depends on them.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::header;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::Request;
use hyper::body::{Frame, Incoming, SizeHint};

use super::connections::Busy;

/// How long the server receives bytes only to discard them.
pub(super) const DISCARD_TIMEOUT: Duration = Duration::from_secs(5);
/// The most bytes that it discards: sixteen batches of the maximum size.
pub(super) const DISCARD_MAX_BYTES: usize = 256 * 1024 * 1024;

/// The body of a request. Dropping it early makes the server receive and discard the rest, within bounds:
/// many clients send the whole body before they read, and would find a reset connection instead of the
/// answer.
#[derive(Debug)]
pub(super) struct RequestBody {
    incoming: Option<Incoming>,
    /// The client sent `Expect` and waits to be asked for the body.
    is_asked_for: bool,
}

impl RequestBody {
    pub(super) fn of(request: Request<Incoming>) -> Request<Self> {
        let is_asked_for = request.headers().contains_key(header::EXPECT);
        request.map(|incoming| Self {
            incoming: Some(incoming),
            is_asked_for,
        })
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.is_asked_for = false;
        let Some(incoming) = &mut self.incoming else {
            return Poll::Ready(None);
        };
        let frame = std::task::ready!(Pin::new(incoming).poll_frame(context));
        if !matches!(frame, Some(Ok(_))) {
            self.incoming = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let incoming = self.incoming.as_ref();
        incoming.map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        let incoming = self.incoming.take();
        if let Some(rest) = incoming.filter(|rest| !rest.is_end_stream() && !self.is_asked_for) {
            tokio::spawn(tokio::time::timeout(DISCARD_TIMEOUT, discard(rest)));
        }
    }
}

async fn discard(mut rest: Incoming) {
    let mut bytes = 0;
    while let Some(Ok(frame)) = rest.frame().await {
        bytes += frame.data_ref().map_or(0, Bytes::len);
        if bytes > DISCARD_MAX_BYTES {
            return;
        }
    }
}

/// The body of an answer. The connection is busy while it exists.
#[derive(Debug)]
pub(super) struct ResponseBody {
    body: Body,
    _busy: Busy,
}

impl ResponseBody {
    pub(super) fn new(body: Body, busy: Busy) -> Self {
        Self { body, _busy: busy }
    }
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
