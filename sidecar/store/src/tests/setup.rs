//! What the tests of the store begin with, and what they look at.

use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use boboyka_strand::{Hash, Record, RecordType, Seq};

use crate::journal::frame::{ALIGN, unchecked_head};
use crate::segment::Segment;
use crate::*;

pub(super) fn options(dir: &Path) -> Options {
    Options {
        min_free_bytes: 0,
        seal_blocks: 600,
        journal_file_bytes: 256 * 1024,
        ..Options::new(dir)
    }
}

pub(super) fn opened(dir: &Path) -> Store {
    Store::open(options(dir)).unwrap()
}

/// A strand of this number of records, and some more until it has this number of segments.
pub(super) async fn filled(dir: &Path, records: u64, segments: usize) -> Store {
    let store = opened(dir);
    fill(&store, 0, records).await;
    wait_for_segments(&store, segments).await;
    store
}

pub(super) fn close(store: Store) {
    store.close();
    drop(store);
}

pub(super) fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Where the frames of a file of the journal that have blocks begin, with their first seqs.
pub(super) fn frames_in(bytes: &[u8]) -> Vec<(usize, Seq)> {
    let begins = (0..bytes.len()).step_by(ALIGN);
    let found = begins.filter_map(|at| Some((at, unchecked_head(&bytes[at..])?.0.first)));
    found.filter(|(_, first)| *first > 0).collect()
}

/// The segment at this place, whose frames are zeros from now on.
pub(super) fn with_zeroed_frames(store: &Store, at: usize) -> Arc<Segment> {
    let segment = Arc::clone(&store.shared.state().memory().segments()[at]);
    let file = fs::File::options()
        .write(true)
        .open(segment.path())
        .unwrap();
    let zeros = vec![0; usize::try_from(segment.meta.frames_end).unwrap() - 24];
    file.write_all_at(&zeros, 24).unwrap();
    segment
}

pub(super) fn dead_letter(lane: RecordType, seq: Seq) -> DeadLetter {
    DeadLetter {
        record_type: lane,
        seq,
        record_hash: Hash::ZERO,
        code: "23514".to_owned(),
        message: "refused".to_owned(),
        attempts: 1,
        since_ms: 1,
    }
}

pub(super) fn record(n: u64) -> NewRecord {
    let kind = RecordType::MIRRORED[usize::try_from(n % 2).unwrap() + 2];
    let data = format!(r#"{{"agent_id":"a{n}","status":"healthy","event":"e","n":{n}}}"#);
    NewRecord {
        record: Record::from_json(kind, &data).unwrap(),
        key: None,
    }
}

pub(super) fn keyed(n: u64, key: &str) -> NewRecord {
    NewRecord {
        key: Some(IdempotencyKey::new(key)),
        ..record(n)
    }
}

pub(super) async fn fill(store: &Store, from: u64, to: u64) {
    for first in (from..to).step_by(100) {
        let records = (first..(first + 100).min(to)).map(record).collect();
        store.append(records).await.unwrap();
    }
}

/// Longer than anything takes on a busy machine; a test that gets here has failed.
pub(super) const GUARD: Duration = Duration::from_mins(5);

/// Sealing runs beside the writer: appends until a seal is due, and waits for it, until there are enough segments.
pub(super) async fn wait_for_segments(store: &Store, segments: usize) {
    let sealed = async {
        let mut changes = store.watch_view();
        while store.view().footprint.segments < segments {
            let due = store.view().footprint.tail_blocks >= store.shared.options.seal_blocks;
            if due {
                changes.changed().await.unwrap();
            } else {
                store.append(vec![record(7)]).await.unwrap();
            }
        }
    };
    let sealed = tokio::time::timeout(GUARD, sealed).await;
    assert!(sealed.is_ok(), "{:?}", store.view().footprint);
}

pub(super) fn verdict(store: &Store) -> Verdict {
    store.verify(|_| ControlFlow::Continue(()))
}

pub(super) fn everything(store: &Store) -> PageQuery {
    let before = store.view().head.seq + 1;
    PageQuery {
        before,
        limit: 1000,
        ..PageQuery::default()
    }
}
