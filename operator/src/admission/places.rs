//! Room for connections that have not proved that an API server made them. When there is no more room, the oldest gives way:
//! an API server sends its request at once, so whoever sends nothing can't keep it out.

use std::collections::BTreeMap;
use std::future::{Future, Ready, ready};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::Extension;
use axum::middleware::AddExtension;
use axum_server::accept::Accept;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tower::Layer as _;

/// The connections that have proved nothing. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Places {
    room: usize,
    waiting: Arc<Mutex<Waiting>>,
}

#[derive(Default)]
struct Waiting {
    /// How many connections there were so far.
    count: u64,
    /// By their number, so the oldest is the first.
    connections: BTreeMap<u64, CancellationToken>,
}

impl Places {
    /// Room for this many connections.
    pub(crate) fn new(room: usize) -> Self {
        Self {
            room,
            waiting: Arc::default(),
        }
    }

    /// A place for one more connection, perhaps that of the oldest.
    fn take(&self) -> (Place, CancellationToken) {
        let mut waiting = self.lock();
        if waiting.connections.len() >= self.room
            && let Some((_, oldest)) = waiting.connections.pop_first()
        {
            oldest.cancel();
        }
        waiting.count += 1;
        let (number, token) = (waiting.count, CancellationToken::new());
        waiting.connections.insert(number, token.clone());
        let places = self.clone();
        (Place(Arc::new(Taken { places, number })), token)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of one connection.
#[derive(Clone)]
pub(crate) struct Place(Arc<Taken>);

struct Taken {
    places: Places,
    number: u64,
}

impl Place {
    /// The connection is an API server's: it gives way to none.
    pub(super) fn prove(&self) {
        self.0.leave();
    }
}

impl Taken {
    fn leave(&self) {
        self.places.lock().connections.remove(&self.number);
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.leave();
    }
}

impl<I, S> Accept<I, S> for Places {
    type Stream = Connection<I>;
    type Service = AddExtension<S, Place>;
    type Future = Ready<io::Result<(Self::Stream, Self::Service)>>;

    fn accept(&self, stream: I, service: S) -> Self::Future {
        let (place, token) = self.take();
        let connection = Connection {
            stream,
            dropped: Box::pin(token.cancelled_owned()),
            _place: place.clone(),
        };
        ready(Ok((connection, Extension(place).layer(service))))
    }
}

/// A connection that ends when its place is given to another.
pub(crate) struct Connection<I> {
    stream: I,
    dropped: Pin<Box<WaitForCancellationFutureOwned>>,
    _place: Place,
}

impl<I: AsyncRead + Unpin> AsyncRead for Connection<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.dropped.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Connection<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_connection_that_proved_nothing_gives_way() {
        let places = Places::new(2);
        let (first, second) = (places.take(), places.take());
        first.0.prove();
        let third = places.take();
        assert!(!second.1.is_cancelled(), "there was room for it");
        let _fourth = places.take();
        assert!(second.1.is_cancelled() && !first.1.is_cancelled() && !third.1.is_cancelled());
        drop(third);
        assert_eq!(places.lock().connections.len(), 1);
    }
}
