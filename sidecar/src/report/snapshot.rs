//! What a report is made of: a snapshot of the store, the mirror and the phase follower.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use boboyka_cosigning::Cosigned;
use boboyka_crds::{Boundary, Chain, LogReport};
use boboyka_mirror::{Foreign, LaneStatus, Mirror};
use boboyka_store::{Gap, Quarantined, ScrubStatus, Store, View, causes};
use boboyka_strand::{Hash, Seq};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use tokio::sync::watch;
use uuid::Uuid;

use super::log::{self, Earlier, Witnessing};
use crate::phase::TransitionProgress;

/// How often the disk is read for a report.
const DISK_INTERVAL: Duration = Duration::from_secs(5);

/// What the sidecar sees of itself.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    /// Whether it takes records.
    pub(super) ready: bool,
    pub(super) strand_id: Uuid,
    pub(super) strand: View,
    /// The block that the operator asked for, if the strand has it.
    pub(super) witnessed: Option<(Seq, Hash)>,
    pub(super) lanes: Vec<LaneStatus>,
    /// Rows that no strand wrote.
    pub(super) foreign: Foreign,
    pub(super) chain: Chain,
    pub(super) boundary: Option<Boundary>,
    /// Whether the integration names a Supabase.
    pub(super) has_supabase: bool,
    pub(super) supabase_url: Option<String>,
    pub(super) disk_bytes: u64,
    /// How the transparency log stands; `None` until it has begun.
    pub(super) log: Option<LogReport>,
    /// What witnesses make of its checkpoints; `None` when there is none to ask.
    pub(super) witnessed_log: Option<Witnessing>,
}

/// Where a report's contents come from.
#[derive(Clone)]
pub(crate) struct Source {
    store: Store,
    mirror: Mirror,
    boundary: watch::Receiver<Option<TransitionProgress>>,
    cosigned: watch::Receiver<Cosigned>,
    earlier: Option<Earlier>,
    data_dir: PathBuf,
    /// Whether this sidecar takes records at all.
    takes_records: bool,
    disk: Option<Disk>,
    witnessed: Option<Witnessed>,
}

/// The block that was asked for last, and what was found when the strand had this head.
#[derive(Clone, Copy)]
struct Witnessed {
    seq: Seq,
    head: Seq,
    hash: Option<Hash>,
}

/// What was read off the disk, and when.
#[derive(Clone)]
struct Disk {
    at: Instant,
    bytes: u64,
    chain: Chain,
    /// When the scrub had last come to the end.
    scrubbed_ms: Option<u64>,
}

impl Source {
    pub(crate) fn new(
        store: Store,
        mirror: Mirror,
        boundary: watch::Receiver<Option<TransitionProgress>>,
        cosigned: watch::Receiver<Cosigned>,
        data_dir: PathBuf,
        takes_records: bool,
    ) -> Self {
        Self {
            store,
            mirror,
            boundary,
            cosigned,
            earlier: None,
            data_dir,
            takes_records,
            disk: None,
            witnessed: None,
        }
    }

    /// What is seen now. None when the thread for it failed; the next look tries again.
    pub(super) async fn look(
        &mut self,
        running: bool,
        has_supabase: bool,
        asked: Option<Seq>,
    ) -> Option<Snapshot> {
        let mut source = self.clone();
        let look = move || {
            let snapshot = source.look_now(running, has_supabase, asked);
            (source, snapshot)
        };
        let (source, snapshot) = tokio::task::spawn_blocking(look).await.ok()?;
        *self = source;
        Some(snapshot)
    }

    pub(super) fn look_now(
        &mut self,
        running: bool,
        has_supabase: bool,
        asked: Option<Seq>,
    ) -> Snapshot {
        let disk = self.disk();
        let boundary = *self.boundary.borrow();
        let cosigned = self.cosigned.borrow().clone();
        let strand = self.store.view();
        Snapshot {
            ready: running && self.takes_records && !self.store.is_poisoned(),
            strand_id: self.store.strand_id(),
            witnessed: asked
                .filter(|seq| *seq > strand.floor.head.seq)
                .and_then(|seq| Some((seq, self.hash_of(seq, strand.head.seq)?))),
            lanes: self.mirror.lanes(&strand),
            foreign: self.mirror.foreign(),
            chain: disk.chain,
            boundary: boundary.map(|boundary| Boundary {
                generation: boundary.generation,
                seq: i64::try_from(boundary.seq).unwrap_or(i64::MAX),
                drained: boundary.drained,
            }),
            has_supabase,
            supabase_url: self.mirror.supabase_url(),
            disk_bytes: disk.bytes,
            log: log::report(&self.store, &cosigned, &mut self.earlier),
            witnessed_log: log::witnessing(&cosigned),
            strand,
        }
    }

    fn disk(&mut self) -> Disk {
        let scrub = self.store.view().scrub;
        let fresh = self.disk.take().filter(|disk| {
            disk.at.elapsed() < DISK_INTERVAL && disk.scrubbed_ms == scrub.last_finished_ms
        });
        let disk = fresh.unwrap_or_else(|| Disk {
            at: Instant::now(),
            bytes: bytes_on_disk(&self.data_dir),
            chain: chain(&self.store.quarantined(), &self.store.gaps(), scrub),
            scrubbed_ms: scrub.last_finished_ms,
        });
        self.disk = Some(disk.clone());
        disk
    }

    /// The hash of a block; looked up once, and again once the strand has grown up to it.
    fn hash_of(&mut self, seq: Seq, head: Seq) -> Option<Hash> {
        if let Some(known) = self.witnessed.filter(|known| known.seq == seq)
            && (known.head >= seq || head < seq)
        {
            return known.hash;
        }
        let found = self.store.block(seq).unwrap_or_else(|error| {
            let error = causes(&error);
            tracing::warn!(seq, error, "could not read the block {seq}");
            None
        });
        let hash = found.map(|block| block.hash);
        self.witnessed = Some(Witnessed { seq, head, hash });
        hash
    }
}

/// A strand is not intact with anything in quarantine, some of which may have been acknowledged, with a gap, or with a
/// damaged segment.
fn chain(quarantined: &[Quarantined], gaps: &[Gap], scrub: ScrubStatus) -> Chain {
    let damaged = scrub.damaged;
    let reason = quarantined.first().map(|first| match quarantined.len() {
        1 => format!("{} (set aside in {})", first.reason, first.folder),
        more => format!(
            "{} (set aside in {}), and {} more",
            first.reason,
            first.folder,
            more - 1
        ),
    });
    let lost = || {
        let gap = gaps.first()?;
        Some(format!(
            "the records {} to {} are lost",
            gap.first, gap.last.seq
        ))
    };
    let rotten = || {
        (damaged > 0).then(|| format!("{damaged} segments are damaged (the journal counts as one)"))
    };
    let reason = reason.or_else(lost).or_else(rotten);
    let finished = scrub.last_finished_ms;
    let at = finished.and_then(|ms| Timestamp::from_millisecond(i64::try_from(ms).ok()?).ok());
    Chain {
        intact: reason.is_none(),
        reason,
        scrubbed_to: at.map(|_| i64::try_from(scrub.checked_to).unwrap_or(i64::MAX)),
        scrubbed_at: at.map(Time),
    }
}

/// What a folder takes of its disk. What vanishes meanwhile takes nothing.
fn bytes_on_disk(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_on_disk(&entry.path()),
        Ok(metadata) => metadata.blocks() * 512,
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}

#[cfg(test)]
mod tests {
    use boboyka_store::{Quarantined, ScrubStatus};

    use super::{bytes_on_disk, chain};

    #[test]
    fn a_folder_takes_what_its_files_take() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(bytes_on_disk(folder.path()), 0);
        std::fs::create_dir(folder.path().join("inner")).unwrap();
        std::fs::write(folder.path().join("inner/file"), [1; 10_000]).unwrap();
        assert!(bytes_on_disk(folder.path()) >= 8192);
        assert_eq!(bytes_on_disk(&folder.path().join("none")), 0);
    }

    #[test]
    fn a_chain_of_which_something_was_set_aside_is_not_intact() {
        assert!(chain(&[], &[], ScrubStatus::default()).intact);
        let rotten = chain(
            &[],
            &[],
            ScrubStatus {
                damaged: 2,
                ..ScrubStatus::default()
            },
        );
        assert_eq!(
            rotten.reason.as_deref(),
            Some("2 segments are damaged (the journal counts as one)")
        );
        let quarantined = |folder: &str| Quarantined {
            folder: folder.to_owned(),
            reason: "a segment does not verify".to_owned(),
        };
        let broken = chain(
            &[quarantined("a"), quarantined("b")],
            &[],
            ScrubStatus::default(),
        );
        assert!(!broken.intact);
        assert_eq!(
            broken.reason.unwrap(),
            "a segment does not verify (set aside in a), and 1 more"
        );
    }
}
