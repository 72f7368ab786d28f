//! What is read off the disk for a report, now and then.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use boboyka_crds::Chain;
use boboyka_store::{Gap, Quarantined, ScrubStatus, Store};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

/// How often it is read.
const INTERVAL: Duration = Duration::from_secs(5);

/// What was read, and when.
#[derive(Clone)]
pub(super) struct Disk {
    at: Instant,
    pub(super) bytes: u64,
    pub(super) chain: Chain,
    /// When the scrub had last come to the end.
    scrubbed_ms: Option<u64>,
}

impl Disk {
    /// What was read before, while it is fresh, or what is there now.
    pub(super) fn read(before: Option<Self>, store: &Store, data_dir: &Path) -> Self {
        let scrub = store.view().scrub;
        let fresh = before.filter(|disk| {
            disk.at.elapsed() < INTERVAL && disk.scrubbed_ms == scrub.last_finished_ms
        });
        fresh.unwrap_or_else(|| Self {
            at: Instant::now(),
            bytes: bytes_on_disk(data_dir),
            chain: chain(&store.quarantined(), &store.gaps(), scrub),
            scrubbed_ms: scrub.last_finished_ms,
        })
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
