//! The scrub: reads every segment from the disk now and then, slowly, and checks its digest; then the journal, for what
//! is not sealed. What nobody reads would otherwise rot unseen.

mod journal;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use boboyka_strand::Seq;

use self::journal::JournalReading;
use crate::clock::now_ms;
use crate::error::causes;
use crate::files::forget_cached;
use crate::options::Options;
use crate::segment::{Digest, Segment};
use crate::shared::Shared;

/// What is read at once.
const PIECE: usize = 1024 * 1024;
/// A start has other things to do first.
const FIRST_AFTER: Duration = Duration::from_secs(10);

/// The scrub's place in the strand.
pub(crate) struct Scrub {
    next: Instant,
    began: Instant,
    /// The head when this round began.
    covers: Seq,
    /// Segments up to here were checked in this round.
    after: Seq,
    open: Option<Reading>,
    /// The journal, which comes after the segments.
    journal: Option<JournalReading>,
    checked_bytes: u64,
    /// In this round, and in the last whole one.
    damaged: (u64, u64),
}

/// A segment that is being read.
struct Reading {
    segment: Arc<Segment>,
    file: File,
    at: u64,
    digest: Digest,
}

impl Scrub {
    pub(crate) fn new(options: &Options) -> Self {
        let now = Instant::now();
        Self {
            next: now + FIRST_AFTER.min(options.scrub_every),
            began: now,
            covers: 0,
            after: 0,
            open: None,
            journal: None,
            checked_bytes: 0,
            damaged: (0, 0),
        }
    }

    /// How long until the next step.
    pub(crate) fn pause(&self) -> Duration {
        self.next.saturating_duration_since(Instant::now())
    }

    /// Begins a round at once if somebody waits for one that reads more than the last whole one did.
    pub(crate) fn wake(&mut self, shared: &Shared) {
        let is_between = self.open.is_none() && self.journal.is_none() && self.after == 0;
        let wanted = shared.scrub_wanted.load(Ordering::Relaxed);
        if is_between && wanted > shared.state().view().scrub.checked_to {
            self.next = self.next.min(Instant::now());
        }
    }

    /// Reads the next piece.
    pub(crate) fn step(&mut self, shared: &Shared) {
        let before = self.checked_bytes;
        match (self.open.take(), self.journal.take()) {
            (Some(reading), _) => self.read_on(shared, reading),
            (None, Some(reading)) => self.read_journal_on(shared, reading),
            (None, None) => self.open_next(shared),
        }
        if self.open.is_some() || self.journal.is_some() || self.after > 0 {
            self.next = Instant::now() + time_for(self.checked_bytes - before, shared);
        }
    }

    fn open_next(&mut self, shared: &Shared) {
        if self.after == 0 {
            self.began = Instant::now();
            self.covers = shared.state().view().head.seq;
        }
        let next = {
            let state = shared.state();
            let mut segments = state.memory().segments().iter();
            let next = segments.find(|segment| segment.meta.head.seq > self.after);
            next.cloned()
        };
        let Some(segment) = next else {
            self.journal = Some(JournalReading::begin(shared));
            return;
        };
        self.after = segment.meta.head.seq;
        match segment.digest() {
            Ok((file, digest)) => {
                self.open = Some(Reading {
                    segment,
                    file,
                    at: 0,
                    digest,
                });
            }
            Err(error) => self.note(shared, &segment, &causes(&error)),
        }
    }

    fn read_on(&mut self, shared: &Shared, mut reading: Reading) {
        match reading.read_piece() {
            Ok(0) => {
                let holds = reading.segment.settle_digest(reading.digest);
                if !holds {
                    self.note(shared, &reading.segment, "its digest differs");
                }
            }
            Ok(len) => {
                self.checked_bytes += len as u64;
                self.open = Some(reading);
            }
            Err(error) => self.note(shared, &reading.segment, &causes(&error)),
        }
    }

    fn read_journal_on(&mut self, shared: &Shared, mut reading: JournalReading) {
        self.checked_bytes += reading.read_piece(PIECE as u64);
        if !reading.is_at_end() {
            self.journal = Some(reading);
            return;
        }
        if let Some((first, last)) = reading.missing(shared) {
            self.damaged.0 += 1;
            tracing::error!(
                first,
                last,
                "the journal on the disk does not hold records between seq {first} and {last} any more, which are not \
                 sealed yet: keep the sidecar running until a segment holds them, and check the disk"
            );
        }
        self.finish(shared);
    }

    /// Notes that a segment is damaged, unless it was pruned meanwhile.
    fn note(&mut self, shared: &Shared, segment: &Segment, why: &str) {
        if shared.state().floor().head.seq >= segment.meta.head.seq {
            return;
        }
        self.damaged.0 += 1;
        let file = segment.path().display().to_string();
        tracing::error!(
            file,
            why,
            "the segment {file} is damaged ({why}): restore it from a backup"
        );
        self.publish(shared, None);
    }

    fn finish(&mut self, shared: &Shared) {
        self.damaged = (0, self.damaged.0);
        self.after = 0;
        self.next = self.began + shared.options.scrub_every;
        self.publish(shared, Some((now_ms(), self.covers)));
    }

    fn publish(&self, shared: &Shared, finished: Option<(u64, Seq)>) {
        let (checked_bytes, damaged) = (self.checked_bytes, self.damaged.0.max(self.damaged.1));
        shared.change(|state| state.scrubbed(finished, checked_bytes, damaged));
    }
}

impl Reading {
    /// Reads the next piece from the disk; its length, 0 at the end.
    fn read_piece(&mut self) -> io::Result<usize> {
        let left = self.segment.digested_len() - self.at;
        let len = usize::try_from(left).map_or(PIECE, |left| left.min(PIECE));
        if len == 0 {
            return Ok(0);
        }
        forget_cached(&self.file, self.at, len);
        let mut bytes = vec![0; len];
        self.file.read_exact_at(&mut bytes, self.at)?;
        self.digest.update(&bytes);
        self.at += len as u64;
        Ok(len)
    }
}

/// How long reading as many bytes should take: the set rate, or as much as checks the strand in half of the time.
fn time_for(bytes: u64, shared: &Shared) -> Duration {
    let options = &shared.options;
    let half = (options.scrub_every / 2).as_secs().max(1);
    let all = shared.state().memory().segment_bytes() / half;
    let rate = options.scrub_bytes_per_second.max(all).max(1);
    Duration::from_millis(bytes.saturating_mul(1000) / rate)
}
