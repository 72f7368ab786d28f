//! Rounds: what is due, and when to look again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use boboyka_crds::Place;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::bucket::Bucket;
use crate::fault::{Fault, Kind};
use crate::name::Listing;
use crate::settings::Settings;
use crate::source::{Segment, Source};
use crate::status::ArchiveStatus;

/// Between two looks: a tenth of the time after which a segment is due, but …
const LOOKS: u32 = 10;
/// … not less, …
const SHORTEST: Duration = Duration::from_secs(1);
/// … and not more.
const LONGEST: Duration = Duration::from_secs(30);
/// After a failure; it doubles with each one in a row, up to …
const RETRY: Duration = Duration::from_secs(1);
/// … this.
const RETRY_MAX: Duration = Duration::from_mins(5);
/// The same where a key is wrong: one that was exchanged counts soon.
const KEY_RETRY_MAX: Duration = Duration::from_secs(30);
/// How old the checkpoint in the archive may be while the strand grows and no segment is due.
const CHECKPOINT_AGE: Duration = Duration::from_mins(5);

/// Where settings come from; asked before each round, so that a key can be exchanged.
type Read = dyn Fn() -> Result<Settings, String> + Send + Sync;

/// Archives one strand.
pub struct Archiver<S> {
    pub(super) source: S,
    pub(super) place: Place,
    read: Arc<Read>,
    after: Duration,
    pub(super) status: watch::Sender<ArchiveStatus>,
    bucket: Option<(Settings, Bucket)>,
    /// What the archive had when this process first wrote to it.
    pub(super) listing: Option<Listing>,
    /// When the checkpoint was put, and beside which segment.
    checkpoint: Option<(Instant, u64)>,
    failed: u32,
}

impl<S: Source> Archiver<S> {
    /// Segments go to this place when their first record is `after` old.
    pub fn new(
        source: S,
        place: Place,
        after: Duration,
        read: impl Fn() -> Result<Settings, String> + Send + Sync + 'static,
    ) -> Self {
        Self {
            source,
            place,
            read: Arc::new(read),
            after,
            status: watch::Sender::default(),
            bucket: None,
            listing: None,
            checkpoint: None,
            failed: 0,
        }
    }

    /// How it stands, and whatever comes later.
    pub fn status(&self) -> watch::Receiver<ArchiveStatus> {
        self.status.subscribe()
    }

    /// Archives until `shutdown`.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let shutdown = shutdown.cancelled();
        tokio::pin!(shutdown);
        loop {
            let ended = tokio::select! {
                () = &mut shutdown => return,
                ended = self.round() => ended,
            };
            let pause = self.settle(ended.err());
            tokio::select! {
                () = &mut shutdown => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Notes how a round ended; how long to wait for the next.
    fn settle(&mut self, fault: Option<Fault>) -> Duration {
        let before = self.status.borrow().fault.clone();
        let place = self.place.to_string();
        match (&before, &fault) {
            (Some(before), Some(fault)) if before.kind == fault.kind => {}
            (_, Some(fault)) => tracing::warn!(
                archive = place,
                kind = fault.kind.name(),
                "the strand can't be archived: {fault}"
            ),
            (Some(_), None) => tracing::info!(archive = place, "the strand is archived again"),
            (None, None) => {}
        }
        self.failed = if fault.is_some() { self.failed + 1 } else { 0 };
        let of_key = |it: &Fault| matches!(it.kind, Kind::Settings | Kind::Refused);
        let is_key = fault.as_ref().is_some_and(of_key);
        let most = if is_key { KEY_RETRY_MAX } else { RETRY_MAX };
        let failed = fault.is_some();
        self.status.send_modify(|status| {
            if let Some(fault) = &fault {
                *status.failures.entry(fault.kind).or_default() += 1;
            }
            status.fault = fault;
        });
        if failed {
            let pause = RETRY.saturating_mul(1 << (self.failed - 1).min(16));
            // A fleet that lost its store does not come back at once.
            return pause.min(most).mul_f64(0.5 + fastrand::f64() / 2.0);
        }
        (self.after / LOOKS).clamp(SHORTEST, LONGEST)
    }

    async fn round(&mut self) -> Result<(), Fault> {
        let held = self.status.borrow().seq;
        let segments = self.source.segments(held).await;
        let now_ms = self.source.now_ms();
        let after_ms = u64::try_from(self.after.as_millis()).unwrap_or(u64::MAX);
        let is_due = |it: &&Segment| now_ms.saturating_sub(it.oldest_ms) >= after_ms;
        let due: Vec<_> = segments.iter().take_while(is_due).copied().collect();
        self.waits(&due);
        if due.is_empty() && !self.checkpoint_is_due(held) {
            return Ok(());
        }
        let bucket = self.open().await?;
        for (at, segment) in due.iter().enumerate() {
            self.hold(&bucket, segment).await?;
            self.source.archived(segment.last);
            self.status.send_modify(|status| status.seq = segment.last);
            self.waits(due.get(at + 1..).unwrap_or_default());
        }
        let held = self.status.borrow().seq;
        if held > 0
            && (!due.is_empty() || self.checkpoint_is_due(held))
            && self.put_checkpoint(&bucket, held).await?
        {
            self.checkpoint = Some((Instant::now(), held));
        }
        Ok(())
    }

    /// Has everything asked anew.
    pub(super) fn forget(&mut self) {
        (self.listing, self.checkpoint) = (None, None);
        self.source.archived(0);
        self.status
            .send_modify(|status| (status.seq, status.checkpoint) = (0, None));
    }

    fn waits(&self, due: &[Segment]) {
        self.status.send_if_modified(|status| {
            let now = (due.len() as u64, due.first().map(|it| it.oldest_ms));
            let changed = (status.waiting, status.oldest_waiting_ms) != now;
            (status.waiting, status.oldest_waiting_ms) = now;
            changed
        });
    }

    fn checkpoint_is_due(&self, held: u64) -> bool {
        let known = self.checkpoint;
        held > 0 && known.is_none_or(|(at, beside)| beside < held || at.elapsed() >= CHECKPOINT_AGE)
    }

    /// The bucket with the settings as they are now. Files of both may lie on a file system that does not answer.
    async fn open(&mut self) -> Result<Bucket, Fault> {
        let (read, place, known) = (
            Arc::clone(&self.read),
            self.place.clone(),
            self.bucket.take(),
        );
        let opened = tokio::task::spawn_blocking(move || {
            let settings = read();
            let settings =
                settings.map_err(|why| Fault::new(Kind::Settings, place.to_string(), why))?;
            match known {
                Some((known, bucket)) if known == settings => Ok((settings, bucket)),
                _ => Bucket::open(&place, &settings).map(|bucket| (settings, bucket)),
            }
        });
        let failed = |_| Fault::new(Kind::Failed, self.place.to_string(), "its thread panicked");
        let (settings, bucket) = opened.await.map_err(failed)??;
        self.bucket = Some((settings, bucket.clone()));
        Ok(bucket)
    }

    pub(super) fn object(&self, name: &str) -> String {
        format!("{}/{name}", self.source.strand())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
    use std::time::Duration;

    use boboyka_crds::Place;
    use boboyka_tlog::key::Kind as KeyKind;
    use boboyka_tlog::{Checkpoint, SigningKey, TreeHash};
    use uuid::Uuid;

    use super::Archiver;
    use crate::fault::Kind;
    use crate::head::Signed;
    use crate::settings::Settings;
    use crate::source::{Identity, Segment, Source, SourceError};

    /// A strand of segments of ten blocks, whose files are their first seqs.
    struct Strand {
        segments: AtomicU64,
        /// Whether its log has begun.
        log: AtomicBool,
        archived: AtomicU64,
    }

    fn identity(first: u8) -> Identity {
        Identity {
            digest: [first; 32],
            head: [first; 32],
        }
    }

    impl Source for Strand {
        fn strand(&self) -> Uuid {
            Uuid::max()
        }

        fn now_ms(&self) -> u64 {
            1
        }

        async fn segments(&self, after: u64) -> Vec<Segment> {
            let all = 0..self.segments.load(Relaxed);
            let segment = |at: u64| Segment {
                first: at * 10 + 1,
                last: at * 10 + 10,
                oldest_ms: 0,
                bytes: 1,
                identity: identity(u8::try_from(at * 10 + 1).unwrap()),
                is_stripped: false,
            };
            all.map(segment).filter(|it| it.last > after).collect()
        }

        async fn file(&self, first: u64) -> Result<Option<Vec<u8>>, SourceError> {
            Ok(Some(vec![u8::try_from(first).unwrap()]))
        }

        async fn identify(&self, bytes: Vec<u8>) -> Option<Identity> {
            Some(identity(*bytes.first()?))
        }

        async fn checkpoint(&self, old: u64) -> Result<Option<Signed>, SourceError> {
            let newest = self.segments.load(Relaxed) * 10;
            if !self.log.load(Relaxed) || newest < old {
                return Ok(None);
            }
            let origin = "example.com/logs/x/1";
            let key = SigningKey::from_seed(origin, KeyKind::Log, [1; 32]).unwrap();
            let checkpoint = Checkpoint::new(origin.to_owned(), newest, TreeHash::EMPTY).unwrap();
            Ok(Some(Signed {
                note: checkpoint.sign(&key),
                proof: Vec::new(),
                newest,
            }))
        }

        async fn root(&self, _: u64) -> Option<TreeHash> {
            Some(TreeHash::EMPTY)
        }

        fn archived(&self, seq: u64) {
            self.archived.store(seq, Relaxed);
        }
    }

    fn archiver(folder: &std::path::Path, log: bool) -> Archiver<Strand> {
        let strand = Strand {
            segments: 2.into(),
            log: log.into(),
            archived: 0.into(),
        };
        let place = Place::Folder(folder.to_owned());
        Archiver::new(strand, place, Duration::ZERO, || Ok(Settings::default()))
    }

    #[tokio::test]
    async fn an_archive_that_somebody_emptied_counts_as_empty_and_is_filled_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut archiver = archiver(folder.path(), true);
        archiver.round().await.unwrap();
        assert_eq!(archiver.source.archived.load(Relaxed), 20);
        let objects = folder.path().join(Uuid::max().to_string());
        let names = || std::fs::read_dir(&objects).unwrap().count();
        assert_eq!(names(), 4);

        std::fs::remove_dir_all(&objects).unwrap();
        archiver.source.segments.store(3, Relaxed);
        let fault = archiver.round().await.unwrap_err();
        assert_eq!(fault.kind, Kind::Missing, "{fault}");
        assert_eq!(archiver.source.archived.load(Relaxed), 0);
        assert_eq!(archiver.status.borrow().seq, 0);
        archiver.round().await.unwrap();
        assert_eq!(archiver.source.archived.load(Relaxed), 30);
        assert_eq!(names(), 5);
    }

    #[tokio::test]
    async fn a_log_that_begins_after_its_segments_went_is_put_by_the_next_round() {
        let folder = tempfile::tempdir().unwrap();
        let mut archiver = archiver(folder.path(), false);
        archiver.round().await.unwrap();
        assert_eq!(archiver.status.borrow().checkpoint, None);
        archiver.source.log.store(true, Relaxed);
        archiver.round().await.unwrap();
        assert_eq!(archiver.status.borrow().checkpoint, Some(20));
    }
}
