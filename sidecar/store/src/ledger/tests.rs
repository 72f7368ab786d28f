use boboyka_strand::RecordType;

use super::*;
use crate::change::Change;
use crate::lane::Mark;

fn page(frame: u64) -> Page {
    let mut entries = Vec::new();
    let mark = Mark {
        seq: frame,
        mirrored: 1,
        dead_lettered: 0,
    };
    let change = Change::Mark(RecordType::AuditLog, mark);
    change.put(&mut entries).unwrap();
    Page {
        strand: Uuid::from_u128(7),
        frame,
        generation: 2,
        first_frame: 1,
        entries,
    }
}

#[test]
fn the_newest_page_that_holds_counts() {
    let dir = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::read(dir.path()).ledger;
    for frame in 1..5 {
        ledger.write(&page(frame)).unwrap();
        assert_eq!(Ledger::read(dir.path()).page, Some(page(frame)));
    }
    let newest = path_of(dir.path(), 0);
    let mut bytes = fs::read(&newest).unwrap();
    bytes[64] ^= 1;
    fs::write(&newest, &bytes).unwrap();
    let found = Ledger::read(dir.path());
    assert_eq!((found.page, found.damaged), (Some(page(3)), vec![]));
    // The next page takes the place of the damaged one.
    let mut ledger = found.ledger;
    ledger.write(&page(9)).unwrap();
    assert_eq!(Ledger::read(dir.path()).page, Some(page(9)));
    for slot in [0, 1] {
        fs::write(path_of(dir.path(), slot), [1; 100]).unwrap();
    }
    let found = Ledger::read(dir.path());
    assert_eq!((found.page, found.damaged.len()), (None, 2));
}

#[test]
fn a_page_is_of_one_strand_and_every_flipped_bit_is_noticed() {
    let whole = page(3).encode(4).unwrap();
    assert_eq!(Page::decode(&whole), Some((4, page(3))));
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(Page::decode(&bytes), None, "bit {bit}");
    }
}

#[test]
fn entries_add_up_to_a_summary_and_the_summary_to_entries() {
    let summary = page(3).summary().unwrap();
    assert_eq!(summary.marks[RecordType::AuditLog].seq, 3);
    let mut entries = Vec::new();
    for change in summary.changes() {
        change.put(&mut entries).unwrap();
    }
    let again = Page { entries, ..page(3) };
    assert_eq!(again.summary().unwrap(), summary);
}
