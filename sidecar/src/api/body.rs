//! Reading a request's body: of the right type, bounded in bytes and in time, and all bodies together
//! bounded in memory.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::{HeaderMap, header};
use bytes::{Buf as _, Bytes, BytesMut};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::error::{ApiError, Code};
use super::headers::single;

/// How long a whole body may take: a caller on localhost needs milliseconds.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes of all bodies that are not answered yet: two of the longest batches. What came of them takes
/// about as much memory again.
const BODIES_MAX_BYTES: usize = 32 * 1024 * 1024;

/// The bytes of all bodies under way, counted; clones share the count.
#[derive(Clone, Debug)]
pub(crate) struct Bodies(Arc<Semaphore>);

impl Bodies {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(BODIES_MAX_BYTES)))
    }

    /// A body of at most `max_bytes`. It counts until it is dropped, so it is dropped when it was
    /// answered, not when it was read.
    pub(super) fn incoming(&self, body: Body, max_bytes: usize) -> Incoming {
        Incoming {
            body: Limited::new(body, max_bytes),
            max_bytes,
            deadline: Instant::now() + BODY_TIMEOUT,
            bodies: self.clone(),
            held: None,
            is_begun: false,
        }
    }
}

/// A body on its way in.
pub(super) struct Incoming {
    body: Limited<Body>,
    max_bytes: usize,
    deadline: Instant,
    bodies: Bodies,
    held: Option<OwnedSemaphorePermit>,
    is_begun: bool,
}

/// Some editors and shells put it before UTF-8 text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

impl Incoming {
    /// The next part, without a byte order mark at the start of the body; `None` after the last.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, ApiError> {
        let part = self.part().await?;
        if std::mem::replace(&mut self.is_begun, true) {
            return Ok(part);
        }
        let Some(mut start) = part else {
            return Ok(None);
        };
        while start.len() < BYTE_ORDER_MARK.len()
            && let Some(more) = self.part().await?
        {
            start = [start, more].concat().into();
        }
        if start.starts_with(BYTE_ORDER_MARK) {
            start.advance(BYTE_ORDER_MARK.len());
        }
        Ok(Some(start))
    }

    async fn part(&mut self) -> Result<Option<Bytes>, ApiError> {
        loop {
            let frame = tokio::time::timeout_at(self.deadline, self.body.frame());
            match frame.await {
                Ok(None) => return Ok(None),
                Ok(Some(Ok(frame))) => {
                    // Trailers say nothing here.
                    if let Ok(part) = frame.into_data() {
                        self.hold(part.len())?;
                        return Ok(Some(part));
                    }
                }
                Ok(Some(Err(error))) => return Err(self.refusal(error.as_ref())),
                Err(_) => return Err(too_slow()),
            }
        }
    }

    /// The whole body.
    pub(super) async fn read(&mut self) -> Result<Bytes, ApiError> {
        let Some(first) = self.next().await? else {
            return Ok(Bytes::new());
        };
        if self.body.is_end_stream() {
            return Ok(first);
        }
        let mut whole = BytesMut::from(first);
        while let Some(part) = self.next().await? {
            whole.extend_from_slice(&part);
        }
        Ok(whole.freeze())
    }

    /// What counts the body, to be dropped instead of it.
    pub(super) fn into_held(self) -> Option<OwnedSemaphorePermit> {
        self.held
    }

    fn hold(&mut self, bytes: usize) -> Result<(), ApiError> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let more = Arc::clone(&self.bodies.0).try_acquire_many_owned(bytes);
        let more = more.map_err(|_| too_many())?;
        match &mut self.held {
            Some(held) => held.merge(more),
            None => self.held = Some(more),
        }
        Ok(())
    }

    fn refusal(&self, error: &(dyn std::error::Error + Send + Sync + 'static)) -> ApiError {
        if error.is::<LengthLimitError>() {
            let message = format!("the body is longer than {} bytes", self.max_bytes);
            return ApiError::too_large(message);
        }
        ApiError::new(Code::BodyCutShort, "the body ended before its time")
    }
}

fn too_slow() -> ApiError {
    let seconds = BODY_TIMEOUT.as_secs();
    ApiError::new(
        Code::BodyTimeout,
        format!("the body did not arrive within {seconds} s"),
    )
}

fn too_many() -> ApiError {
    let message =
        format!("the bodies of all requests under way are longer than {BODIES_MAX_BYTES} bytes");
    ApiError::new(Code::QueueFull, message)
}

/// The format of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Media {
    /// One JSON value.
    Json,
    /// One JSON value a line.
    JsonLines,
}

/// The format that the headers declare; `None` if it is not supported.
///
/// # Errors
/// `Content-Type` comes twice, or the body is compressed.
pub(super) fn media(headers: &HeaderMap) -> Result<Option<Media>, ApiError> {
    let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter();
    if !encodings.all(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        let message = "send the body as it is: compressed bodies (Content-Encoding) are not taken";
        return Err(ApiError::new(Code::UnsupportedMediaType, message).about("Content-Encoding"));
    }
    let value = single(headers, "Content-Type")?.unwrap_or_default();
    let media_type = value.split(';').next().unwrap_or_default().trim();
    Ok(match media_type.to_ascii_lowercase().as_str() {
        "application/json" => Some(Media::Json),
        "application/x-ndjson"
        | "application/ndjson"
        | "application/jsonl"
        | "application/x-jsonl"
        | "application/jsonlines"
        | "application/x-jsonlines"
        | "application/json-lines" => Some(Media::JsonLines),
        _ => None,
    })
}

/// The refusal of a body of another type.
pub(super) fn unsupported(expected: &str) -> ApiError {
    ApiError::new(
        Code::UnsupportedMediaType,
        format!("send {expected}, and say so in the header Content-Type"),
    )
    .about("Content-Type")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_byte_order_mark_is_passed_over_however_it_arrives() {
        let whole = [BYTE_ORDER_MARK, b"{}"].concat();
        for parts in [vec![5], vec![1, 1, 3], vec![2, 3], vec![3, 2], vec![4, 1]] {
            let mut rest = whole.as_slice();
            let frames: Vec<_> = parts
                .iter()
                .map(|len| {
                    let (part, after) = rest.split_at(*len);
                    rest = after;
                    Ok::<_, std::io::Error>(Bytes::copy_from_slice(part))
                })
                .collect();
            let body = Body::from_stream(futures_util::stream::iter(frames));
            let read = Bodies::new().incoming(body, 100).read().await.unwrap();
            assert_eq!(read, "{}", "{parts:?}");
        }
        for short in ["", "1", "\u{feff}"] {
            let read = Bodies::new().incoming(Body::from(short), 100).read().await;
            assert_eq!(read.unwrap(), short.trim_start_matches('\u{feff}'));
        }
    }

    #[tokio::test]
    async fn bodies_that_are_too_long_together_are_refused_until_some_are_answered() {
        let bodies = Bodies::new();
        let third = || Body::from(vec![b'x'; BODIES_MAX_BYTES / 3 + 1]);
        let mut taken: Vec<_> = (0..3)
            .map(|_| bodies.incoming(third(), BODIES_MAX_BYTES))
            .collect();
        for body in taken.iter_mut().take(2) {
            assert!(body.read().await.is_ok());
        }
        let refused = taken[2].read().await.unwrap_err();
        assert_eq!(refused.code, Code::QueueFull, "{refused:?}");
        taken.clear();
        let mut again = bodies.incoming(third(), BODIES_MAX_BYTES);
        assert_eq!(again.read().await.unwrap().len(), BODIES_MAX_BYTES / 3 + 1);
    }
}
