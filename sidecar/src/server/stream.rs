//! The bytes of one connection. Besides passing them on, the stream does three things. It cuts off a
//! client that reads nothing. It replaces the errors of the HTTP parser by errors in the form of the API.
//! And after the last answer it receives for a while, so that a client that is still sending can read
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
use super::parser_error;

/// How long a client may read nothing. Whatever it reads, also at the last moment, starts the time again.
const READS_NOTHING_TIMEOUT: Duration = Duration::from_secs(20);

/// A connection to a client.
#[derive(Debug)]
pub(super) struct ClientStream {
    stream: TcpStream,
    connection: Arc<Connection>,
    /// The client reads nothing at present.
    stalled: Option<Stalled>,
    /// The rest of what replaces an error of the parser.
    replacement: Option<Vec<u8>>,
    is_shut: bool,
    /// The limit of receiving after the last answer, once something arrives.
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
            replacement: None,
            is_shut: false,
            discarding: None,
            discarded_bytes: 0,
        }
    }

    /// Writes, and fails if the client has read nothing for too long.
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
                limit: Box::pin(sleep(READS_NOTHING_TIMEOUT)),
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
        tracing::debug!("cut off a client that reads nothing");
        // A reset makes the kernel drop what the client did not read.
        let _ = self.stream.set_zero_linger();
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// Sends as much as the kernel has room for. The kernel reports room only once there is much of it; a
    /// slow client can take a long time to free that much.
    fn send_at_once(&self, slices: &[IoSlice<'_>]) -> Option<usize> {
        let first = slices.iter().find(|slice| !slice.is_empty())?;
        send(
            &self.stream,
            first,
            SendFlags::DONTWAIT | SendFlags::NOSIGNAL,
        )
        .ok()
    }

    /// Sends all of the replacement.
    fn poll_replacement(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(mut rest) = self.replacement.take().filter(|rest| !rest.is_empty()) {
            let written = self.poll_progress(context, &[IoSlice::new(&rest)]);
            if let Poll::Ready(Ok(bytes)) = &written {
                rest.drain(..*bytes);
            }
            self.replacement = Some(rest);
            ready!(written)?;
        }
        self.discarding = Some(Box::pin(sleep(DISCARD_TIMEOUT)));
        Poll::Ready(Ok(()))
    }

    /// Receives and discards what still arrives. Ready when nothing more is to be expected.
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
        // The parser answers with an error only after everything else was written.
        let error = match slices {
            [only] => parser_error::at_end(only),
            _ => None,
        };
        match error {
            None => self.poll_progress(context, slices),
            Some((before, _)) if !before.is_empty() => {
                self.poll_progress(context, &[IoSlice::new(before)])
            }
            Some((_, error)) => {
                let len = error.len();
                if self.replacement.is_none() {
                    self.replacement = Some(parser_error::replacement(error));
                }
                ready!(self.poll_replacement(context))?;
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
    use crate::server::connections::{Connections, Spares};

    async fn connected() -> (ClientStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let (client, accepted) = tokio::join!(client, listener.accept());
        let connection = Connections::new(1, Spares::Busy).admit().await;
        (
            ClientStream::new(accepted.unwrap().0, connection),
            client.unwrap(),
        )
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_nothing_is_cut_off_and_one_that_reads_a_little_is_not() {
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
            sleep(READS_NOTHING_TIMEOUT / 2).await;
            assert!(!writing.is_finished());
            client.read_exact(&mut some).await.unwrap();
        }
        let stopped = Instant::now();
        let (kind, cut_off) = writing.await.unwrap();
        assert_eq!(kind, io::ErrorKind::TimedOut);
        // What the client read last starts the time again.
        assert!(cut_off - stopped <= 2 * READS_NOTHING_TIMEOUT + Duration::from_secs(1));
    }

    #[tokio::test]
    async fn what_still_arrives_after_the_last_answer_is_received() {
        let (mut stream, mut client) = connected().await;
        let sent = vec![b'x'; 8 * 1024 * 1024];
        let closing = tokio::spawn(async move {
            stream.write_all(b"answer").await.unwrap();
            // Some of the sent bytes have arrived by then.
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
