//! Strands that earlier versions wrote: pruned, sealed, with a tail, marks, dead letters and a change of phase. The
//! second one, of the first version with a journal, the third one, of the first that records its prunings, and the
//! fourth one, of the first with documents and a transparency log, come without the index of their tails; so does the fifth
//! one, in which payloads are gone.

use boboyka_strand::record::{DELETED_TAG, RESTORED_TAG, text_field};
use boboyka_strand::{Flags, PayloadJson, PerType, Seq};
use serde_json::{Value, json};

use super::tlog::{begin, incarnations, origin};
use super::*;
use crate::format::Format;
use crate::incarnation::Incarnation;
use crate::ledger::Ledger;

/// A copy of the first version's strand, as it was closed.
fn copy() -> tempfile::TempDir {
    copy_of("strand-v1")
}

pub(super) fn copy_of(name: &str) -> tempfile::TempDir {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let from = fixtures.join(name);
    let dir = tempfile::tempdir().unwrap();
    copy_folder(&from, dir.path());
    dir
}

/// What the version that wrote the strand said of it.
fn expected() -> Value {
    expected_of("strand-v1")
}

fn expected_of(name: &str) -> Value {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let path = fixtures.join(format!("{name}.json"));
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn letter(letter: &DeadLetter) -> Value {
    json!({
        "record_type": letter.record_type.name(),
        "seq": letter.seq,
        "record_hash": letter.record_hash,
        "code": letter.code,
        "message": letter.message,
        "attempts": letter.attempts,
        "since_ms": letter.since_ms,
    })
}

fn lane(store: &Store, lane: RecordType) -> Value {
    let view = store.view();
    let mark = view.marks[lane];
    let letters = store.dead_letters(lane, 0, 100).unwrap();
    json!({
        "lane": lane.name(),
        "mark": mark.seq,
        "mirrored": mark.mirrored,
        "dead_lettered": mark.dead_lettered,
        "backlog": view.backlog(lane),
        "letters": letters.iter().map(letter).collect::<Vec<_>>(),
    })
}

/// Four numbers, and a fifth where there are documents, which earlier versions did not have.
fn told(counts: PerType<u64>) -> Vec<u64> {
    let lanes = RecordType::MIRRORED.map(|lane| counts[lane]);
    let documents = Some(counts[RecordType::Document]).filter(|documents| *documents > 0);
    lanes.into_iter().chain(documents).collect()
}

/// The same of a strand that is open.
fn found(store: &Store) -> Value {
    let view = store.view();
    let (floor, phase) = (view.floor, view.phase.unwrap());
    json!({
        "strand": store.strand_id(),
        "head": {"seq": view.head.seq, "hash": view.head.hash},
        "floor": {
            "seq": floor.head.seq,
            "hash": floor.head.hash,
            "counts": told(floor.counts),
            "unmirrored": told(floor.unmirrored),
        },
        "counts": told(view.counts),
        "phase": {
            "phase": phase.phase,
            "generation": phase.generation,
            "mirror_until": phase.mirror_until,
            "counts": told(phase.counts),
        },
        "pruned_unmirrored": view.retention.pruned_unmirrored,
        "segments": view.footprint.segments,
        "tail_records": view.footprint.tail_blocks,
        "lanes": RecordType::MIRRORED.map(|kind| lane(store, kind)),
    })
}

#[test]
fn a_strand_of_the_first_version_opens_with_all_that_it_held() {
    let dir = copy();
    let store = opened(dir.path());
    assert_eq!(found(&store), expected());
    assert!(store.quarantined().is_empty(), "{:?}", store.quarantined());
    let whole = verdict(&store);
    assert!(whole.ok, "{whole:?}");
    assert_eq!(whole.verified, 366);
    let floor = store.view().floor.head.seq;
    let told = format!("pruned up to seq {floor} before records of pruning existed");
    assert_eq!(whole.reason, Some(told));
    let first: Seq = 301;
    let block = store.block(first).unwrap().unwrap();
    let data = serde_json::to_value(PayloadJson(&block.payload)).unwrap();
    assert!(data["agent_id"].is_string(), "{data}");
    assert_eq!(store.block_by_hash(&block.hash).unwrap(), Some(block));
    store.close();
}

#[tokio::test]
async fn a_strand_of_the_first_version_goes_on_and_is_the_same_after_a_restart() {
    let dir = copy();
    let store = opened(dir.path());
    let before = store.view();
    let lane = RecordType::AgentHealth;
    let letters = store.dead_letters(lane, 0, 1).unwrap();
    store
        .resolve_dead_letter(0, lane, letters[0].seq)
        .await
        .unwrap();
    store.append(vec![record(1)]).await.unwrap();
    let view = store.view();
    assert_eq!(
        view.marks[lane].dead_lettered,
        before.marks[lane].dead_lettered - 1
    );
    assert_eq!(view.head.seq, before.head.seq + 1);
    close(store);
    let store = opened(dir.path());
    assert_eq!(
        (store.view().marks, store.view().phase),
        (view.marks, view.phase)
    );
    assert!(verdict(&store).ok);
    store.close();
}

#[test]
fn a_strand_of_the_first_version_whose_tail_is_lost_keeps_floor_and_phase() {
    let dir = copy();
    fs::write(dir.path().join("tail/db"), [0xff; 4096]).unwrap();
    let store = opened(dir.path());
    let (view, expected) = (store.view(), expected());
    assert_eq!(view.floor.head.seq, expected["floor"]["seq"]);
    assert_eq!(view.footprint.segments, 1);
    // What was acknowledged behind the segment is a gap, the record of the phase too: the phase counts on.
    assert_eq!(view.head.seq, expected["head"]["seq"]);
    let json = serde_json::to_value(view.phase.unwrap().phase).unwrap();
    assert_eq!(json, expected["phase"]["phase"]);
    let found = verdict(&store);
    assert_eq!(
        found.broken_seq,
        Some(view.head.seq.min(found.floor.seq + found.verified + 1))
    );
    assert_eq!(store.quarantined().len(), 2, "{:?}", store.quarantined());
    store.close();
}

/// Opens the strand some times, appends to it, and returns what the first check noted.
async fn goes_on(name: &str) -> Option<String> {
    let dir = copy_of(name);
    let mut notes = Vec::new();
    for round in 0..3 {
        let store = opened(dir.path());
        if round == 0 {
            assert_eq!(found(&store), expected_of(name));
        }
        assert!(store.quarantined().is_empty(), "{:?}", store.quarantined());
        let whole = verdict(&store);
        assert!(whole.ok, "{whole:?}");
        notes.push(whole.reason);
        let again = store.append(vec![keyed(7, "k")]).await.unwrap();
        assert!(again[0].unwrap().replayed || round == 0, "{again:?}");
        store.append(vec![record(1)]).await.unwrap();
        store.close();
    }
    assert!(notes.iter().all(|note| *note == notes[0]), "{notes:?}");
    notes.remove(0)
}

#[tokio::test]
async fn a_strand_with_a_journal_opens_with_all_that_it_held_and_goes_on() {
    let note = goes_on("strand-v2").await.unwrap();
    assert!(note.contains("before records of pruning"), "{note}");
}

#[tokio::test]
async fn a_strand_with_a_bound_floor_opens_with_all_that_it_held_and_goes_on() {
    assert_eq!(goes_on("strand-v3").await, None);
}

#[tokio::test]
async fn a_strand_with_documents_and_a_second_incarnation_opens_with_all_that_it_held_and_goes_on()
{
    assert_eq!(goes_on("strand-v4").await, None);
    let dir = copy_of("strand-v4");
    let summary = Ledger::read(dir.path()).page.unwrap().summary().unwrap();
    assert_eq!(summary.format, Format::Documents);
    let store = opened(dir.path());
    let incarnation = store.shared.signing.lock().incarnation.clone();
    let claim = Some("second".to_owned());
    assert_eq!(incarnation, Some(Incarnation { number: 2, claim }));

    let head = store.view().head.seq;
    let last = (head - 3..=head).map(|seq| store.block(seq).unwrap().unwrap());
    let [document, tombstone, again, restoration] = last.collect::<Vec<_>>().try_into().unwrap();
    let named = |block: &Block, tag| text_field(&block.payload, tag).map(str::to_owned);
    let hash = Some(document.hash.to_string());
    assert_eq!(tombstone.header.flags, Flags::TOMBSTONE);
    assert_eq!(named(&tombstone, DELETED_TAG), hash);
    assert_eq!(restoration.header.flags, Flags::MUTATION);
    assert_eq!(named(&restoration, RESTORED_TAG), hash);
    assert_eq!(again.payload, document.payload);
    assert_eq!(store.block_by_hash(&document.hash).unwrap(), Some(document));

    begin(&store, Some("second")).await.unwrap();
    assert!(origin(&store).ends_with("/2"), "{}", origin(&store));
    let begun = incarnations(&store);
    assert_eq!(begun.len(), 1);
    begin(&store, Some("third")).await.unwrap();
    assert!(origin(&store).ends_with("/3"), "{}", origin(&store));
    assert_eq!(incarnations(&store)[0], begun[0]);
    store.close();
}

#[tokio::test]
async fn a_strand_without_some_payloads_opens_with_all_that_it_held_and_goes_on() {
    assert_eq!(goes_on("strand-v5").await, None);
    let dir = copy_of("strand-v5");
    let summary = Ledger::read(dir.path()).page.unwrap().summary().unwrap();
    assert_eq!(summary.format, Format::Stripped);
    let store = opened(dir.path());
    assert_eq!(store.view().retention.payloads_gone, 150);
    assert_eq!(verdict(&store).payloads_gone, 150);
    let first = store.block(1).unwrap().unwrap();
    assert!(first.is_gone() && first.header.record_type == RecordType::AgentHealth);
    assert_eq!(store.block_by_hash(&first.hash).unwrap(), Some(first));
    store.close();
}

/// Opening a strand of the first version was cut short after it wrote the journal and before it wrote the ledger, or
/// before the runs left the tail.
#[test]
fn a_strand_of_the_first_version_is_converted_once_however_often_that_is_cut_short() {
    let dir = copy();
    let tail = tempfile::tempdir().unwrap();
    copy_folder(&dir.path().join("tail"), tail.path());
    for cut_short in [&["ledger-0", "ledger-1"][..], &[][..], &["ledger-0"][..]] {
        let store = opened(dir.path());
        assert_eq!(found(&store), expected());
        assert!(store.quarantined().is_empty(), "{:?}", store.quarantined());
        assert!(verdict(&store).ok);
        close(store);
        for name in cut_short {
            fs::remove_file(dir.path().join(name)).unwrap();
        }
        fs::remove_dir_all(dir.path().join("tail")).unwrap();
        copy_folder(tail.path(), &dir.path().join("tail"));
    }
}
