use boboyka_strand::PerType;
use uuid::Uuid;

use super::{Journal, Replay};
use crate::change::Change;
use crate::journal::Place;
use crate::journal::frame::Sum;
use crate::lane::Mark;

const SHORT: u64 = 256 * 1024;
const USUAL: u64 = 512 * 1024;

/// As on a disk that is full, after the usual length was changed: the spare file there is has another one.
#[test]
fn a_spare_file_of_another_length_takes_changes_when_there_is_no_room_for_a_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let strand = Uuid::new_v4();
    let place = Place {
        number: 1,
        before: Sum::default(),
        generation: 1,
    };
    drop(Journal::begin(dir.path(), strand, SHORT, place, None).unwrap());
    let mut replay = Replay::read(dir.path(), None, None).unwrap();
    assert_eq!(replay.take_spent(USUAL), None);
    let (path, len) = replay.take_any().unwrap();
    assert_eq!((len, replay.take_any()), (SHORT, None));
    let reuse = Some((path.clone(), len));
    let mut journal = Journal::begin(dir.path(), strand, USUAL, replay.place, reuse).unwrap();
    let mark = Mark {
        seq: 7,
        ..Mark::default()
    };
    let lane = boboyka_strand::RecordType::AuditLog;
    let mut entries = Vec::new();
    Change::Mark(lane, mark).put(&mut entries).unwrap();
    journal.append(&[], &entries).unwrap();
    drop(journal);
    assert_eq!(std::fs::metadata(&path).unwrap().len(), SHORT);
    let marks = Replay::read(dir.path(), None, None).unwrap().summary.marks;
    let mut expected = PerType::<Mark>::default();
    expected[lane] = mark;
    assert_eq!(marks, expected);
}
