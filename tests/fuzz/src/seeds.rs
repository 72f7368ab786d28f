//! Bytes to begin with: what each reader takes.

use std::path::Path;

use boboyka_store::{Options, Store};
use boboyka_strand::record_id::RecordIds;
use boboyka_strand::{Block, Head, Record, RecordType, run as runs};

const RECORD: &str = r#"{"record_type":"agent_health","idempotency_key":"k","data":{"agent_id":"a","status":"healthy","cpu_pct":12.5,"checked_at_ms":1.747e12,"x":{"é":[null,true,-1,1e2,"\u0001\ud83d\ude00"]}}}"#;
/// Length of the place of a segment's footer, its digest and the magic behind it.
const TRAILER_BYTES: usize = 8 + 32 + 8;

pub(crate) fn ingest() -> Vec<Vec<u8>> {
    let other = r#"{"record_type":"build_queue_item","data":{"queue_id":"q","project_id":"p","status":"done","priority":-3}}"#;
    texts(&[RECORD, other])
}

pub(crate) fn array() -> Vec<Vec<u8>> {
    texts(&["[]", &format!("[{RECORD},\n{RECORD} ]")])
}

pub(crate) fn lines() -> Vec<Vec<u8>> {
    texts(&[
        &format!("{RECORD}\r\n\n{RECORD}\n"),
        &format!("\u{feff}{RECORD}"),
    ])
}

pub(crate) fn cursor() -> Vec<Vec<u8>> {
    texts(&["AQAAAAAAAABNrxNJuQ", "AQ", "????"])
}

pub(crate) fn reply() -> Vec<Vec<u8>> {
    let bodies = [
        r#"{"code":"23505","message":"duplicate key value violates unique constraint \"record_hash_key\"","details":"Key (record_hash)=(x) already exists.","hint":null}"#,
        r#"{"code":"PGRST204","message":"Could not find the 'x' column of 'table' in the schema cache"}"#,
        r#"{"code":"22P02","message":"invalid input syntax for type integer: \"secret\""}"#,
        "<html>",
    ];
    let with_status = bodies.map(|body| [&[0, 109], body.as_bytes()].concat());
    with_status.into()
}

pub(crate) fn run() -> Vec<Vec<u8>> {
    [1, 3, 40]
        .map(|count| runs::encode(&Head::EMPTY, &blocks(count)))
        .into()
}

pub(crate) fn tail_run() -> Vec<Vec<u8>> {
    [1, 3, 40]
        .map(|count| boboyka_store::fuzzing::pack(&blocks(count)))
        .into()
}

/// Frames with a run, and with entries of any tag.
pub(crate) fn frame() -> Vec<Vec<u8>> {
    let entry = |tag: u8, bytes: &[u8]| {
        let len = u32::try_from(bytes.len()).unwrap().to_be_bytes();
        [&[tag], &len[..], bytes].concat()
    };
    let runs = tail_run().into_iter().map(|run| {
        let place = [1_u64.to_be_bytes(), 0_u64.to_be_bytes()].concat();
        entry(1, &[place, run].concat())
    });
    let changes = [
        entry(3, &[0x93, 0x01, 0x02, 0xa1, b'x']),
        entry(4, &[0x92, 0x03, 0x07]),
        entry(9, &[0xa2, b'a', b'b']),
    ];
    let bodies = runs.chain(changes);
    bodies
        .map(|body| boboyka_store::fuzzing::frame_of(&body))
        .collect()
}

pub(crate) fn journal_header() -> Vec<Vec<u8>> {
    let mut header = of_a_strand("journal");
    header.truncate(4096);
    vec![held(header)]
}

pub(crate) fn ledger() -> Vec<Vec<u8>> {
    vec![held(of_a_strand("")), b"BBKLED\0\x01".to_vec()]
}

pub(crate) fn stored() -> Vec<Vec<u8>> {
    let hash = [&[0xc4, 32][..], &[7; 32]].concat();
    let head = [&[0x93, 0x05][..], &hash, &[0x09]].concat();
    let gap = [&[0x94, 0x03][..], &hash, &head, &[0x0b]].concat();
    let floor = [&[0x93][..], &head, &[0x94, 1, 2, 3, 4, 0x94, 0, 0, 0, 0]].concat();
    vec![gap, floor, b"\xa4text".to_vec()]
}

/// The first file that a new strand has in a folder.
fn of_a_strand(folder: &str) -> Vec<u8> {
    let data = tempfile::tempdir().unwrap();
    let options = Options {
        min_free_bytes: 0,
        journal_file_bytes: 64 * 1024,
        ..Options::new(data.path())
    };
    let store = Store::open(options).unwrap();
    store.close();
    let entries = std::fs::read_dir(data.path().join(folder)).unwrap();
    let files = entries.map(|entry| entry.unwrap().path());
    let first = files.filter(|path| path.is_file() && !path.ends_with("LOCK"));
    let wanted =
        first.filter(|path| !folder.is_empty() || path.to_string_lossy().contains("ledger"));
    std::fs::read(wanted.min().unwrap()).unwrap()
}

/// Without the zeros at the end.
fn held(mut bytes: Vec<u8>) -> Vec<u8> {
    let len = bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |at| at + 1);
    bytes.truncate(len);
    bytes
}

pub(crate) fn version_file() -> Vec<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let file = |records| boboyka_store::fuzzing::version_file_of(folder.path(), records).unwrap();
    [1, 400, 1_500].map(file).to_vec()
}

/// Segments of the fixture.
pub(crate) fn segment() -> Vec<Vec<u8>> {
    let fixture = "../../sidecar/store/tests/fixtures/strand-v1/segments";
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(fixture);
    let files = std::fs::read_dir(folder).unwrap();
    files
        .map(|file| std::fs::read(file.unwrap().path()).unwrap())
        .collect()
}

pub(crate) fn footer() -> Vec<Vec<u8>> {
    let footer = |file: Vec<u8>| {
        let end = file.len() - TRAILER_BYTES;
        let (place, _) = file[end..].split_first_chunk().unwrap();
        let begin = usize::try_from(u64::from_be_bytes(*place)).unwrap();
        file[begin..end].to_vec()
    };
    segment().into_iter().map(footer).collect()
}

fn blocks(count: u64) -> Vec<Block> {
    let (mut head, mut ids) = (Head::EMPTY, RecordIds::starting_at(7));
    let mut block = |n| {
        let text = format!(r#"{{"agent_id":"a","event":"e","n":{n}}}"#);
        let record = Record::from_json(RecordType::AuditLog, &text).unwrap();
        let block = head.link(record, |ms| ids.next(ms), 1_700_000_000_000 + n);
        head = Head::of(&block);
        block
    };
    (1..=count).map(&mut block).collect()
}

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}
