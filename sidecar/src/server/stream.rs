//! The bytes of one connection. Beyond passing them on it does three things: it gives up on a client
//! that takes nothing, it puts the parser's own refusals into the form that every error has, and it
//! goes on receiving for a while after the last answer, so that a client that is still sending reads
//! that answer instead of finding its connection reset.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::net::{SendFlags, send};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use super::body::{DISCARD_MAX_BYTES, DISCARD_TIMEOUT};
use super::connections::{Busy, Connection};
use super::refusal;

/// How long a client may take nothing of what is to be written; what it took just before the time ran
/// out gives it the same time once more.
const TAKES_NOTHING_TIMEOUT: Duration = Duration::from_secs(20);

/// A connection to a client.
#[derive(Debug)]
pub(super) struct ClientStream {
    stream: TcpStream,
    connection: Arc<Connection>,
    /// The client takes nothing at present.
    stalled: Option<Stalled>,
    /// What is still to be sent in place of the parser's own refusal.
    refusal: Option<Vec<u8>>,
    is_shut: bool,
    /// How long what still arrives is received, once something does.
    discarding: Option<Pin<Box<Sleep>>>,
    discarded_bytes: usize,
}

#[derive(Debug)]
struct Stalled {
    limit: Pin<Box<Sleep>>,
    _busy: Busy,
}

impl ClientStream {
    pub(super) fn new(stream: TcpStream, connection: Arc<Connection>) -> Self {
        Self {
            stream,
            connection,
            stalled: None,
            refusal: None,
            is_shut: false,
            discarding: None,
            discarded_bytes: 0,
        }
    }

    /// Writes, unless the client has been taking nothing for too long.
    fn poll_progress(
        &mut self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        if self.stalled.is_none() {
            if let Some(bytes) = self.send_at_once(slices) {
                return Poll::Ready(Ok(bytes));
            }
            self.stalled = Some(Stalled {
                limit: Box::pin(sleep(TAKES_NOTHING_TIMEOUT)),
                _busy: self.connection.begin().map_err(io::Error::other)?,
            });
        }
        if let Some(stalled) = &mut self.stalled {
            ready!(stalled.limit.as_mut().poll(context));
        }
        self.stalled = None;
        if let Some(bytes) = self.send_at_once(slices) {
            return Poll::Ready(Ok(bytes));
        }
        tracing::debug!("cut off a client that takes nothing");
        // What it did not take must not stay with the kernel either.
        let _ = self.stream.set_zero_linger();
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// Sends what there is room for. The kernel tells of room only once there is much of it, and a slow
    /// client may make less than that for a long time.
    fn send_at_once(&self, slices: &[IoSlice<'_>]) -> Option<usize> {
        let first = slices.iter().find(|slice| !slice.is_empty())?;
        send(
            &self.stream,
            first,
            SendFlags::DONTWAIT | SendFlags::NOSIGNAL,
        )
        .ok()
    }

    /// Sends all of what takes the place of the parser's refusal.
    fn poll_refusal(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(mut rest) = self.refusal.take().filter(|rest| !rest.is_empty()) {
            let written = self.poll_progress(context, &[IoSlice::new(&rest)]);
            if let Poll::Ready(Ok(bytes)) = &written {
                rest.drain(..*bytes);
            }
            self.refusal = Some(rest);
            ready!(written)?;
        }
        self.discarding = Some(Box::pin(sleep(DISCARD_TIMEOUT)));
        Poll::Ready(Ok(()))
    }

    /// Receives what still arrives and discards it; whether that is over.
    fn poll_discard(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut space = [0; 16 * 1024];
        loop {
            let mut received = ReadBuf::new(&mut space);
            match Pin::new(&mut self.stream).poll_read(context, &mut received) {
                Poll::Ready(Ok(())) if !received.filled().is_empty() => {}
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => break,
            }
            self.discarded_bytes += received.filled().len();
            if self.discarded_bytes > DISCARD_MAX_BYTES {
                return Poll::Ready(());
            }
            self.discarding
                .get_or_insert_with(|| Box::pin(sleep(DISCARD_TIMEOUT)));
        }
        let limit = self.discarding.as_mut();
        limit.map_or(Poll::Ready(()), |limit| limit.as_mut().poll(context))
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // The parser refuses when nothing else is left to be written.
        let own = match slices {
            [only] => refusal::at_end(only),
            _ => None,
        };
        match own {
            None => self.poll_progress(context, slices),
            Some((before, _)) if !before.is_empty() => {
                self.poll_progress(context, &[IoSlice::new(before)])
            }
            Some((_, refusal)) => {
                let len = refusal.len();
                if self.refusal.is_none() {
                    self.refusal = Some(refusal::in_our_form(refusal));
                }
                ready!(self.poll_refusal(context))?;
                Poll::Ready(Ok(len))
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.is_shut {
            ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
            self.is_shut = true;
        }
        self.poll_discard(context).map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::time::Instant;

    use super::*;
    use crate::server::connections::Connections;

    async fn connected() -> (ClientStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let (client, accepted) = tokio::join!(client, listener.accept());
        let connection = Connections::new(1).admit().await;
        (
            ClientStream::new(accepted.unwrap().0, connection),
            client.unwrap(),
        )
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_cut_off_and_one_that_takes_a_little_is_not() {
        let (mut stream, mut client) = connected().await;
        let page = vec![b'x'; 64 * 1024];
        let writing = tokio::spawn(async move {
            loop {
                if let Err(error) = stream.write_all(&page).await {
                    return (error.kind(), Instant::now());
                }
            }
        });
        let mut some = vec![0; 1024 * 1024];
        for _ in 0..20 {
            sleep(TAKES_NOTHING_TIMEOUT / 2).await;
            assert!(!writing.is_finished());
            client.read_exact(&mut some).await.unwrap();
        }
        let stopped = Instant::now();
        let (kind, cut_off) = writing.await.unwrap();
        assert_eq!(kind, io::ErrorKind::TimedOut);
        // What it took last counts for one time-out more.
        assert!(cut_off - stopped <= 2 * TAKES_NOTHING_TIMEOUT + Duration::from_secs(1));
    }

    #[tokio::test]
    async fn what_still_arrives_after_the_last_answer_is_received() {
        let (mut stream, mut client) = connected().await;
        let sent = vec![b'x'; 8 * 1024 * 1024];
        let closing = tokio::spawn(async move {
            stream.write_all(b"answer").await.unwrap();
            // Some of it has arrived by then.
            stream.stream.readable().await.unwrap();
            stream.shutdown().await.unwrap();
            stream.discarded_bytes
        });
        client.write_all(&sent).await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "answer");
        drop(client);
        assert_eq!(closing.await.unwrap(), sent.len());
    }

    #[tokio::test(start_paused = true)]
    async fn closing_waits_for_nothing_where_nothing_arrives() {
        let (mut stream, client) = connected().await;
        let begun = Instant::now();
        stream.shutdown().await.unwrap();
        assert!(begun.elapsed() < DISCARD_TIMEOUT);
        drop(client);
    }
}
