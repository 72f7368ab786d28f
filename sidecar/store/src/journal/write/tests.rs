use boboyka_strand::RecordType;

use super::*;
use crate::change::Change;
use crate::journal::supply::FREE_MAX;
use crate::journal::{files_in, scan};
use crate::lane::Mark;

const LEN: u64 = 128 * 1024;

fn entries(seq: Seq) -> Vec<u8> {
    let mark = Mark {
        seq,
        mirrored: 0,
        dead_lettered: 0,
    };
    let mut entries = Vec::new();
    Change::Mark(RecordType::AuditLog, mark)
        .put(&mut entries)
        .unwrap();
    entries
}

/// What lies in the files: the numbers of their frames.
fn found(folder: &Path) -> (Vec<KeptFile>, Vec<u64>) {
    let (mut kept, mut numbers) = (Vec::new(), Vec::new());
    for file in files_in(folder).unwrap() {
        let mut own = Vec::new();
        let life = scan(&file, None, |frame| {
            own.push((frame.head.number, frame.end, frame.sum));
        })
        .unwrap();
        if let (Some(first), Some(last)) = (own.first(), own.last()) {
            kept.push(KeptFile {
                path: file.path,
                len: file.len,
                identity: life.unwrap(),
                first_number: first.0,
                last_number: last.0,
                last_seq: 0,
                end: last.1,
                sum: last.2,
            });
        }
        numbers.extend(own.iter().map(|frame| frame.0));
    }
    numbers.sort_unstable();
    (kept, numbers)
}

#[test]
fn a_journal_that_is_taken_up_where_it_ended_has_no_hole_and_frees_what_is_not_needed() {
    let dir = tempfile::tempdir().unwrap();
    let strand = Uuid::from_u128(1);
    let place = Place {
        number: 1,
        before: Sum::default(),
        generation: 1,
    };
    let mut journal = Journal::begin(dir.path(), strand, LEN, place, None).unwrap();
    for seq in 1..=300 {
        journal.append(&[], &entries(seq)).unwrap();
    }
    drop(journal);
    let (kept, numbers) = found(dir.path());
    assert!(kept.len() > 1, "one file took all");
    assert_eq!(numbers, (1..=300).collect::<Vec<_>>());
    let resumed = Journal::resume(dir.path(), strand, LEN, 50, &kept).unwrap();
    let mut journal = resumed.unwrap();
    for seq in 301..=600 {
        journal.append(&[], &entries(seq)).unwrap();
    }
    assert_eq!(journal.last_number(), 600);
    assert_eq!(found(dir.path()).1, (1..=600).collect::<Vec<_>>());
    // None of the files has a block, so only the current one is needed.
    let (_, first_frame) = journal.needed(0);
    assert!(journal.wants_checkpoint(0) && first_frame > 300);
    journal.release(first_frame);
    assert_eq!(journal.needed(0).1, first_frame);
    let numbers = found(dir.path()).1;
    let needed: Vec<_> = (first_frame..=600).collect();
    assert!(numbers.ends_with(&needed), "{numbers:?}");
    assert!(files_in(dir.path()).unwrap().len() <= 1 + FREE_MAX);
    assert!(
        Journal::resume(dir.path(), strand, LEN, 60, &[])
            .unwrap()
            .is_none()
    );
}
