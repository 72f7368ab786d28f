//! Reading a request's body: of the right type, bounded in bytes and in time, and all bodies together
//! bounded in memory.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::error::{ApiError, Code};

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
}

impl Incoming {
    /// The next part, `None` after the last.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, ApiError> {
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

/// The media type of the body, without its parameters, in lower case.
pub(super) fn media_type(headers: &HeaderMap) -> String {
    let value = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    value
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase()
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
