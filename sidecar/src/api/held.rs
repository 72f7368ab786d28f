//! An answer that holds something until its reader has taken nearly all of it. A long answer whose reader is slow takes
//! memory, so what bounds the number of such answers must not be given back before.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};

/// The server takes the next part once it has sent most of those before.
const PART_BYTES: usize = 64 * 1024;

/// An answer of this type with this content, which drops `held` once the last part was taken.
pub(super) fn answer(kind: &'static str, content: Vec<u8>, held: impl Send + 'static) -> Response {
    let body = Held {
        rest: content.into(),
        _held: Box::new(held),
    };
    ([(header::CONTENT_TYPE, kind)], Body::new(body)).into_response()
}

struct Held {
    rest: Bytes,
    _held: Box<dyn Send>,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let len = self.rest.len().min(PART_BYTES);
        let part = self.rest.split_to(len);
        Poll::Ready((len > 0).then(|| Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(u64::try_from(self.rest.len()).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn what_it_holds_is_held_until_the_last_part_was_taken() {
        let content: Vec<u8> = (0..=255).cycle().take(3 * PART_BYTES - 1).collect();
        let held = Arc::new(());
        let answer = answer("text/plain", content.clone(), Arc::clone(&held));
        let mut body = answer.into_body();
        let mut taken = Vec::new();
        while let Some(frame) = body.frame().await {
            assert_eq!(Arc::strong_count(&held), 2);
            taken.extend_from_slice(&frame.unwrap().into_data().unwrap());
        }
        assert_eq!(taken, content);
        drop(body);
        assert_eq!(Arc::strong_count(&held), 1);
    }
}
