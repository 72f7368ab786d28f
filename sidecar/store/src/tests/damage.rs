//! What the disk loses or changes: nothing that verifies is given up, and what is lost is told once.

use std::path::PathBuf;

use boboyka_strand::Head;

use super::pruning::EVERYTHING;
use super::*;
use crate::journal::{files_in, scan};

/// The journal's file with the highest generation, with the places of the frames in it that have blocks.
fn newest_file(dir: &Path) -> (PathBuf, Vec<(u64, u64)>) {
    let files = files_in(&dir.join("journal")).unwrap();
    let with_blocks = files.iter().rev().find_map(|file| {
        let mut frames = Vec::new();
        scan(file, None, |frame| {
            if frame.head.first > 0 {
                frames.push((frame.head.first, frame.head.last));
            }
        })
        .unwrap();
        (!frames.is_empty()).then(|| (file.path.clone(), frames))
    });
    with_blocks.unwrap()
}

/// Flips a bit in the frame of a file that begins with a seq.
fn flip(path: &Path, first: Seq) {
    let mut bytes = fs::read(path).unwrap();
    let frames = frames_in(&bytes);
    let (at, _) = frames.iter().find(|frame| frame.1 == first).unwrap();
    bytes[*at + 100] ^= 1;
    fs::write(path, bytes).unwrap();
}

async fn heads(store: &Store, count: u64) -> Vec<Head> {
    let mut heads = Vec::new();
    for n in 0..count {
        store.append(vec![record(n)]).await.unwrap();
        heads.push(store.view().head);
    }
    heads
}

/// A closed strand of ten commits, with the head after each.
async fn closed_strand() -> (tempfile::TempDir, Vec<Head>) {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path());
    let heads = heads(&store, 10).await;
    close(store);
    (dir, heads)
}

#[tokio::test]
async fn records_behind_a_damaged_frame_are_kept_and_the_gap_is_told_once() {
    let (dir, heads) = closed_strand().await;
    let (path, frames) = newest_file(dir.path());
    assert!(frames.contains(&(5, 5)), "{frames:?}");
    flip(&path, 5);
    for round in 0..3 {
        let store = opened(dir.path());
        assert_eq!(store.view().head.seq, 10 + round);
        for head in &heads {
            let (found, by_hash) = (store.block(head.seq), store.block_by_hash(&head.hash));
            if head.seq == 5 {
                let lost = |found| matches!(found, Err(ReadError::Lost { first: 5, last: 5 }));
                assert!(lost(found));
                let said = by_hash.unwrap_err().to_string();
                let told = "records from seq 5 to 5 were lost, 1 in all, and it may be one of them";
                assert!(said.contains(told), "{said}");
            } else {
                assert_eq!(found.unwrap().unwrap().hash, head.hash);
                assert!(by_hash.unwrap().is_some());
            }
        }
        let found = verdict(&store);
        assert!(!found.ok && found.broken_seq == Some(5), "{found:?}");
        assert_eq!(found.verified, 9 + round);
        let reason = found.reason.unwrap();
        assert!(
            reason.contains("intact apart from the recorded gap"),
            "{reason}"
        );
        assert_eq!(store.quarantined().len(), 2, "{:?}", store.quarantined());
        store.append(vec![record(100)]).await.unwrap();
        store.close();
    }
}

#[tokio::test]
async fn a_gap_outlives_sealing_and_goes_with_what_is_pruned_above_it() {
    let (dir, _) = closed_strand().await;
    flip(&newest_file(dir.path()).0, 5);
    let store = filled(dir.path(), 2_000, 3).await;
    close(store);
    let store = opened(dir.path());
    let found = verdict(&store);
    assert_eq!(found.broken_seq, Some(5));
    assert_eq!(found.verified, found.head.seq - 1);
    store.prune(EVERYTHING, false).await.unwrap();
    assert!(store.view().floor.head.seq > 5);
    assert!(verdict(&store).ok);
    store.close();
}

#[tokio::test]
async fn a_strand_whose_end_is_lost_goes_on_above_what_was_acknowledged() {
    let (dir, heads) = closed_strand().await;
    let (path, _) = newest_file(dir.path());
    (8..=10).for_each(|seq| flip(&path, seq));
    let store = opened(dir.path());
    assert_eq!(store.view().head.seq, 10);
    assert_eq!(store.view().head.hash, heads[9].hash);
    assert!(matches!(
        store.block(9),
        Err(ReadError::Lost { first: 8, last: 10 })
    ));
    let appended = store.append(vec![record(1)]).await.unwrap()[0].unwrap();
    assert_eq!((appended.seq, appended.parent_hash), (11, heads[9].hash));
    close(store);
    let store = opened(dir.path());
    let found = verdict(&store);
    assert_eq!(
        (found.ok, found.broken_seq, found.verified),
        (false, Some(8), 8)
    );
    assert_eq!(store.block(11).unwrap().unwrap().hash, appended.hash);
    store.close();
}

#[tokio::test]
async fn a_frame_that_was_never_acknowledged_is_dropped_silently() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path());
    heads(&store, 9).await;
    let acknowledged = fs::read(dir.path().join("acknowledged")).unwrap();
    store.append(vec![record(10)]).await.unwrap();
    close(store);
    fs::write(dir.path().join("acknowledged"), acknowledged).unwrap();
    flip(&newest_file(dir.path()).0, 10);
    for _ in 0..2 {
        let store = opened(dir.path());
        assert_eq!(store.view().head.seq, 9);
        assert!(store.quarantined().is_empty(), "{:?}", store.quarantined());
        assert!(verdict(&store).ok);
        store.close();
    }
}

#[tokio::test]
async fn a_tail_that_can_t_be_read_is_made_anew_and_nothing_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path(), 2_000, 2).await;
    let lane = RecordType::AuditLog;
    let mark = Mark {
        seq: 8,
        mirrored: 3,
        dead_lettered: 1,
    };
    let letters = vec![dead_letter(lane, 4)];
    store.advance(lane, mark, letters.clone()).await.unwrap();
    let view = store.view();
    close(store);
    let tail = dir.path().join("tail");
    let damages: [&dyn Fn(); 3] = [
        &|| fs::write(tail.join("db"), vec![0x5a; 200_000]).unwrap(),
        &|| fs::remove_dir_all(&tail).unwrap(),
        &|| fs::write(tail.join("db"), b"").unwrap(),
    ];
    for damage in damages {
        damage();
        let store = opened(dir.path());
        assert!(store.tail_rebuilt().is_some());
        assert!(store.quarantined().is_empty(), "{:?}", store.quarantined());
        let now = store.view();
        assert_eq!((now.head, now.floor), (view.head, view.floor));
        assert_eq!((now.marks, now.counts), (view.marks, view.counts));
        assert_eq!(store.dead_letters(lane, 0, 9).unwrap(), letters);
        assert!(verdict(&store).ok);
        close(store);
        let store = opened(dir.path());
        assert_eq!(store.tail_rebuilt(), None, "it is told once");
        store.close();
    }
}

#[tokio::test]
async fn leftover_snapshots_and_torn_settings_of_the_engine_are_no_damage() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path());
    fill(&store, 0, 300).await;
    let head = store.view().head;
    close(store);
    for (name, content) in [
        ("snap.0000000000000001.generating", vec![]),
        ("snap.00000000000000FF", vec![]),
        ("snap.00000000000000FF", vec![0; 70]),
        ("conf", vec![]),
        ("conf", vec![0; 63]),
    ] {
        fs::write(dir.path().join("tail").join(name), content).unwrap();
        let store = opened(dir.path());
        assert_eq!((store.view().head, store.tail_rebuilt()), (head, None));
        assert!(store.quarantined().is_empty(), "{:?}", store.quarantined());
        store.close();
    }
}

#[tokio::test]
async fn one_damaged_copy_of_ledger_or_header_is_no_loss() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path(), 2_000, 2).await;
    let view = store.view();
    close(store);
    for slot in ["ledger-0", "ledger-1"] {
        let path = dir.path().join(slot);
        let mut bytes = fs::read(&path).unwrap();
        bytes[70] ^= 1;
        fs::write(&path, bytes).unwrap();
        for entry in fs::read_dir(dir.path().join("journal")).unwrap() {
            let path = entry.unwrap().path();
            let mut bytes = fs::read(&path).unwrap();
            bytes[20] ^= 1;
            fs::write(&path, bytes).unwrap();
        }
        let store = opened(dir.path());
        let now = store.view();
        assert_eq!((now.head, now.counts), (view.head, view.counts), "{slot}");
        assert!(store.quarantined().is_empty(), "{:?}", store.quarantined());
        assert!(verdict(&store).ok);
        store.close();
    }
}

#[tokio::test]
async fn a_strand_without_a_ledger_goes_on_with_what_tail_and_journal_say() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path(), 2_000, 2).await;
    let view = store.view();
    close(store);
    for slot in ["ledger-0", "ledger-1"] {
        fs::write(dir.path().join(slot), vec![7; 64 * 1024]).unwrap();
    }
    let store = opened(dir.path());
    let now = store.view();
    assert_eq!((now.head, now.counts), (view.head, view.counts));
    assert!(verdict(&store).ok);
    assert_eq!(store.quarantined().len(), 1, "{:?}", store.quarantined());
    store.close();
}

#[tokio::test]
async fn what_lies_in_quarantine_is_recorded_in_the_strand_exactly_once() {
    let (dir, _) = closed_strand().await;
    flip(&newest_file(dir.path()).0, 5);
    for _ in 0..3 {
        // The first start is killed before it records anything.
        let store = opened(dir.path());
        assert_eq!((store.view().head.seq, store.quarantined().len()), (10, 2));
        store.close();
    }
    for _ in 0..3 {
        let store = opened(dir.path());
        store.record_quarantined().await.unwrap();
        store.record_quarantined().await.unwrap();
        assert_eq!(store.view().head.seq, 12);
        store.close();
    }
}

#[tokio::test]
async fn many_starts_take_no_more_disk_than_one() {
    let dir = tempfile::tempdir().unwrap();
    for n in 0..12 {
        let store = opened(dir.path());
        store.append(vec![record(n)]).await.unwrap();
        assert_eq!(store.view().head.seq, n + 1);
        store.close();
    }
    let files = fs::read_dir(dir.path().join("journal")).unwrap().count();
    assert!(files <= 5, "{files} files");
    let store = opened(dir.path());
    assert!(verdict(&store).ok);
    store.close();
}

#[tokio::test]
async fn files_of_the_journal_are_used_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path(), 20_000, 30).await;
    let files = fs::read_dir(dir.path().join("journal")).unwrap().count();
    assert!(files <= 12, "{files} files");
    let head = store.view().head;
    close(store);
    let store = opened(dir.path());
    assert_eq!(store.view().head, head);
    assert!(verdict(&store).ok);
    store.close();
}

#[tokio::test]
async fn a_first_start_that_was_killed_while_it_made_a_file_is_no_damage() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("journal")).unwrap();
    let cut_short = dir.path().join("journal/00000000000000000001.journal");
    fs::write(cut_short, vec![0; 100_000]).unwrap();
    for n in 0..4 {
        let store = opened(dir.path());
        assert_eq!(store.view().head.seq, n);
        store.append(vec![record(n)]).await.unwrap();
        assert!(store.quarantined().is_empty(), "{:?}", store.quarantined());
        store.close();
    }
}

#[tokio::test]
async fn commits_of_all_sizes_leave_a_journal_that_opens_without_an_alarm() {
    let dir = tempfile::tempdir().unwrap();
    let mut total = 0;
    for round in 0..6 {
        let store = opened(dir.path());
        assert_eq!(store.view().head.seq, total);
        assert!(store.quarantined().is_empty(), "{:?}", store.quarantined());
        for n in 0..30u64 {
            // Some commits are longer than a file of the journal, others have no blocks at all.
            let count = [1, 3, 50, 6_000][usize::try_from((n * 7 + round) % 4).unwrap()];
            let records = (0..count).map(|more| record(n * 10_000 + more));
            store.append(records.collect()).await.unwrap();
            total += count;
            let mark = Mark {
                seq: total,
                mirrored: 0,
                dead_lettered: 0,
            };
            store
                .advance(RecordType::AuditLog, mark, vec![])
                .await
                .unwrap();
        }
        let files = fs::read_dir(dir.path().join("journal")).unwrap().count();
        assert!(files < 60, "{files} files");
        store.close();
    }
    let store = opened(dir.path());
    let found = verdict(&store);
    assert!(found.ok && found.verified == total, "{found:?}");
    store.close();
}
