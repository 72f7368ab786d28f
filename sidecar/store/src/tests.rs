//! Tests of the store on a real folder, with small segments so that sealing happens often.

mod archive;
mod binding;
mod damage;
mod damaged_segments;
mod documents;
mod finalizing;
mod fixtures;
mod forward;
mod index;
mod legacy;
mod pages;
mod past;
mod phases;
mod pruning;
mod pruning_crashes;
mod scrubbing;
mod setup;
mod stripping;
mod stripping_changes;
mod stripping_crashes;
mod tlog;
mod tlog_crashes;
mod tlog_pruning;
mod verifying;

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use boboyka_crds::Phase;
use boboyka_strand::retention::Policy;
use boboyka_strand::{Block, Hash, PerType, Record, RecordType, Seq};

use self::setup::*;
use crate::*;

#[tokio::test]
async fn what_was_appended_is_found_by_seq_by_hash_in_pages_and_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path(), 3_000, 4).await;
    let head = store.view().head;
    for seq in [1, 256, 257, 600, 601, 1_500, head.seq] {
        let block = store.block(seq).unwrap().unwrap();
        assert_eq!(block.header.seq, seq);
        assert_eq!(store.block_by_hash(&block.hash).unwrap(), Some(block));
    }
    assert_eq!(store.block(head.seq + 1).unwrap(), None);
    assert_eq!(store.block_by_hash(&Hash::ZERO).unwrap(), None);
    let counts = store.view().counts;
    close(store);

    let store = opened(dir.path());
    assert_eq!((store.view().head, store.view().counts), (head, counts));
    assert_eq!(verdict(&store).verified, head.seq);
    assert!(verdict(&store).ok);
    let mut query = PageQuery {
        record_type: Some(RecordType::AuditLog),
        ..everything(&store)
    };
    let mut seen = 0;
    loop {
        let page = store.page(&query).blocks;
        assert!(
            page.iter()
                .all(|block| block.header.record_type == RecordType::AuditLog)
        );
        assert!(
            page.iter()
                .zip(page.iter().skip(1))
                .all(|(a, b)| a.header.seq > b.header.seq)
        );
        seen += page.len() as u64;
        let Some(last) = page.last() else { break };
        query.before = last.header.seq;
    }
    assert_eq!(seen, counts[RecordType::AuditLog]);
    assert!(store.quarantined().is_empty());
}

#[tokio::test]
async fn a_lane_reads_every_record_of_its_type_once_and_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path(), 2_000, 2).await;
    let (mut after, mut seqs) = (0, Vec::new());
    loop {
        let read = store
            .read_lane(RecordType::AgentHealth, after, 70, 4_000)
            .unwrap();
        if read.blocks.is_empty() {
            assert_eq!(read.scanned_to, store.view().head.seq);
            break;
        }
        seqs.extend(read.blocks.iter().map(|block| block.header.seq));
        after = read.scanned_to;
    }
    assert_eq!(
        seqs.len() as u64,
        store.view().counts[RecordType::AgentHealth]
    );
    assert!(seqs.iter().zip(seqs.iter().skip(1)).all(|(a, b)| a < b));
}

#[tokio::test]
async fn a_key_gives_the_first_receipt_again_in_the_tail_in_a_segment_and_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path());
    let first = store
        .append(vec![keyed(7, "k"), keyed(7, "k"), keyed(8, "k")])
        .await
        .unwrap();
    let original = first[0].unwrap();
    assert_eq!(
        first[1],
        Ok(Appended {
            replayed: true,
            ..original
        })
    );
    assert_eq!(first[2], Err(KeyConflict::OtherContent));
    assert_eq!(store.view().head.seq, 1);
    fill(&store, 0, 2_000).await;
    wait_for_segments(&store, 2).await;
    for _ in 0..2 {
        let head = store.view().head;
        let again = store
            .append(vec![keyed(7, "k"), keyed(9, "k")])
            .await
            .unwrap();
        assert_eq!(
            again[0],
            Ok(Appended {
                replayed: true,
                ..original
            })
        );
        assert_eq!(again[1], Err(KeyConflict::OtherContent));
        assert_eq!(store.view().head, head);
    }
    close(store);
    let store = opened(dir.path());
    let again = store.append(vec![keyed(7, "k")]).await.unwrap();
    assert_eq!(
        again[0],
        Ok(Appended {
            replayed: true,
            ..original
        })
    );
}

#[tokio::test]
async fn a_record_longer_than_a_file_of_the_journal_comes_back_whole() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path());
    // Text that hardly compresses.
    let mut noise = String::new();
    let mut hasher = blake3::Hasher::new();
    while noise.len() < 1_000_000 {
        noise.push_str(hasher.update(b"x").finalize().to_hex().as_str());
    }
    let data = format!(r#"{{"agent_id":"a","event":"e","noise":"{noise}"}}"#);
    let record = Record::from_json(RecordType::AuditLog, &data).unwrap();
    let payload = record.payload().to_vec();
    for _ in 0..20 {
        store
            .append(vec![NewRecord {
                record: record.clone(),
                key: None,
            }])
            .await
            .unwrap();
    }
    fill(&store, 0, 1_000).await;
    close(store);
    let store = opened(dir.path());
    assert_eq!(store.block(20).unwrap().unwrap().payload, payload);
    assert!(verdict(&store).ok);
}

#[tokio::test]
async fn an_altered_segment_is_named_by_its_first_broken_seq() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path(), 2_000, 2).await;
    let mut segments: Vec<_> = fs::read_dir(dir.path().join("segments"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    segments.sort();
    let mut bytes = fs::read(&segments[1]).unwrap();
    bytes[2_000] ^= 1;
    fs::write(&segments[1], &bytes).unwrap();
    let verdict = verdict(&store);
    assert!(!verdict.ok);
    let first: u64 = segments[1]
        .file_stem()
        .unwrap()
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!(verdict.broken_seq.unwrap() >= first, "{verdict:?}");
    assert!(verdict.broken_seq.unwrap() < first + 600, "{verdict:?}");
    assert!(verdict.reason.is_some());
}

#[tokio::test]
async fn marks_and_dead_letters_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path());
    fill(&store, 0, 10).await;
    let lane = RecordType::AuditLog;
    let letter = |seq| dead_letter(lane, seq);
    let mark = Mark {
        seq: 8,
        mirrored: 2,
        dead_lettered: 2,
    };
    store
        .advance(lane, mark, vec![letter(4), letter(6)])
        .await
        .unwrap();
    store.resolve_dead_letter(0, lane, 4).await.unwrap();
    close(store);
    let store = opened(dir.path());
    assert_eq!(
        store.view().marks[lane],
        Mark {
            seq: 8,
            mirrored: 3,
            dead_lettered: 1
        }
    );
    assert_eq!(store.dead_letters(lane, 0, 10).unwrap(), vec![letter(6)]);
    assert_eq!(store.dead_letter(lane, 4).unwrap(), None);
    assert_eq!(store.view().marks[RecordType::AgentHealth], Mark::default());
}

#[test]
fn a_second_store_on_the_folder_is_told_who_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let _store = opened(dir.path());
    let error = Store::open(options(dir.path())).err().unwrap();
    assert!(
        error
            .to_string()
            .contains(&format!("process {}", std::process::id())),
        "{error}"
    );
}

#[tokio::test]
async fn a_nearly_full_disk_refuses_records_and_stays_alive() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(Options {
        min_free_bytes: u64::MAX,
        ..options(dir.path())
    })
    .unwrap();
    let error = store.append(vec![record(1)]).await.unwrap_err();
    assert!(matches!(error, WriteError::DiskFull { .. }), "{error}");
    store.hold(true);
    let error = store.append(vec![record(1)]).await.unwrap_err();
    assert!(
        matches!(error, WriteError::DiskFullOnHold { .. }),
        "{error}"
    );
    assert!(!store.is_poisoned());
}

#[tokio::test]
async fn a_tail_that_can_t_be_sealed_stops_growing_and_is_sealed_later() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path());
    let in_the_way = dir.path().join("segments/00000000000000000001.unfinished");
    fs::create_dir(&in_the_way).unwrap();
    let mut refused = None;
    for n in 0..1_000 {
        let records = (0..100).map(|more| record(n * 100 + more)).collect();
        if let Err(error) = store.append(records).await {
            refused = Some(error);
            break;
        }
    }
    assert_eq!(refused, Some(WriteError::TailFull));
    let view = store.view();
    assert!(view.footprint.tail_blocks >= 2_400, "{:?}", view.footprint);
    assert!(!store.is_poisoned());
    // Everything else goes on.
    store.set_phase(Phase::MigrateInternals, 2).await.unwrap();
    close(store);
    fs::remove_dir(in_the_way).unwrap();
    let store = opened(dir.path());
    assert_eq!(store.view().head.seq, view.head.seq + 1);
    store.append(vec![record(1)]).await.unwrap();
    wait_for_segments(&store, 4).await;
    assert!(verdict(&store).ok);
    store.close();
}
