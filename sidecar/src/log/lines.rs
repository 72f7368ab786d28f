//! The lines of the log on their way out: a thread of its own writes them. A reader that does not read blocks that thread
//! and nothing else; what no longer fits is dropped and counted.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// Bytes of lines that wait to be written.
const WAITING_MAX_BYTES: usize = 256 * 1024;

/// Takes lines; clones share the way out.
#[derive(Clone, Debug)]
pub(crate) struct Lines {
    queue: Sender<Message>,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    waiting_bytes: AtomicUsize,
    dropped: AtomicU64,
}

#[derive(Debug)]
enum Message {
    Line(Vec<u8>),
    /// Answered once everything before it is written.
    Flush(Sender<()>),
}

impl Lines {
    /// Starts the thread that writes.
    ///
    /// # Errors
    /// The thread can't be started.
    pub(super) fn to(out: impl Write + Send + 'static) -> io::Result<Self> {
        let (queue, messages) = channel();
        let counts = Arc::<Counts>::default();
        let shared = Arc::clone(&counts);
        let work = move || write(out, &messages, &shared);
        std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(work)?;
        Ok(Self { queue, counts })
    }

    /// Takes a line, or drops it; never waits.
    pub(super) fn push(&self, line: &[u8]) {
        let waiting = &self.counts.waiting_bytes;
        let before = waiting.fetch_add(line.len(), Ordering::Relaxed);
        let fits = before + line.len() <= WAITING_MAX_BYTES;
        if !fits || self.queue.send(Message::Line(line.to_vec())).is_err() {
            waiting.fetch_sub(line.len(), Ordering::Relaxed);
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until everything taken so far is written, in a limited time.
    pub(super) fn flush(&self, limit: Duration) {
        let (done, written) = channel();
        if self.queue.send(Message::Flush(done)).is_ok() {
            let _ = written.recv_timeout(limit);
        }
    }

    /// How many were dropped.
    pub(super) fn dropped(&self) -> u64 {
        self.counts.dropped.load(Ordering::Relaxed)
    }
}

/// Writes until nobody can send any more. A reader that has gone away is no reason to stop.
fn write(mut out: impl Write, messages: &Receiver<Message>, counts: &Counts) {
    let mut told = 0;
    for message in messages {
        match message {
            Message::Line(line) => {
                let _ = out.write_all(&line);
                counts
                    .waiting_bytes
                    .fetch_sub(line.len(), Ordering::Relaxed);
            }
            Message::Flush(done) => {
                let _ = done.send(());
            }
        }
        let dropped = counts.dropped.load(Ordering::Relaxed);
        if dropped > told {
            told = dropped;
            tracing::warn!(
                dropped,
                "the log was read too slowly: {dropped} lines were dropped since the start"
            );
        }
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> &'a Self {
        self
    }
}

/// Each call is a whole line.
impl Write for &Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    /// Lines into a pipe whose reader is given back.
    fn piped() -> (Lines, io::PipeReader) {
        let (reader, writer) = io::pipe().unwrap();
        (Lines::to(writer).unwrap(), reader)
    }

    #[test]
    fn a_reader_that_does_not_read_costs_lines_and_no_time() {
        let (lines, mut reader) = piped();
        let line = [b'x'; 1023].iter().chain(b"\n").copied();
        let line: Vec<u8> = line.collect();
        let pushed = 4 * WAITING_MAX_BYTES / line.len();
        for _ in 0..pushed {
            lines.push(&line);
        }
        let dropped = usize::try_from(lines.dropped()).unwrap();
        assert!(dropped >= pushed / 2, "{dropped} of {pushed}");
        // A reader that reads again gets what was kept, and then what comes.
        let reading = std::thread::spawn(move || {
            let mut text = String::new();
            reader.read_to_string(&mut text).unwrap();
            text
        });
        lines.flush(Duration::from_mins(1));
        lines.push(b"the last\n");
        let kept = pushed - usize::try_from(lines.dropped()).unwrap();
        drop(lines);
        let text = reading.join().unwrap();
        assert_eq!(text.lines().count(), kept + 1);
        assert!(text.ends_with("the last\n"));
    }

    #[test]
    fn a_flush_waits_for_the_lines_before_it_but_not_for_ever() {
        let (lines, mut reader) = piped();
        lines.push(b"first\n");
        lines.flush(Duration::from_mins(1));
        let mut text = [0; 6];
        reader.read_exact(&mut text).unwrap();
        assert_eq!(&text, b"first\n");
        lines.push(&vec![b'x'; WAITING_MAX_BYTES]);
        lines.flush(Duration::from_millis(10));
    }
}
