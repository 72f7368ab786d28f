//! What the Python client's verifier is tested against: proofs and payloads as we make them now.

use std::path::Path;

use boboyka_strand::{PayloadJson, Record, RecordType};
use boboyka_tests::Log;
use boboyka_tlog::SigningKey;
use boboyka_tlog::key::Kind;
use boboyka_tlog::note::Signature;
use serde_json::json;

const SIZE: u64 = 300;
const INDEX: u64 = 41;
/// Set to write the files anew.
const WRITE: &str = "BOBOYKA_WRITE_FIXTURES";

/// Data whose bytes are easily got wrong: each with its record type.
const DATA: [(RecordType, &str); 8] = [
    (RecordType::AuditLog, r#"{"event":"e","agent_id":"a"}"#),
    (
        RecordType::AuditLog,
        r#"{"agent_id":"é\u0001\ud83d\ude00","event":"e","actor":null,"metadata":{"ﬀ":1,"z":2,"😀":3,"":4}}"#,
    ),
    (
        RecordType::AuditLog,
        r#"{"agent_id":"a","event":"e","metadata":{"n":[0,127,128,255,256,65535,65536,4294967295,4294967296,18446744073709551615]}}"#,
    ),
    (
        RecordType::AuditLog,
        r#"{"agent_id":"a","event":"e","metadata":{"n":[-1,-32,-33,-128,-129,-32768,-32769,-2147483648,-2147483649,-9223372036854775808]}}"#,
    ),
    (
        RecordType::AuditLog,
        r#"{"agent_id":"a","event":"e","metadata":{"n":[0.1,2.0,1e300,-0,-0.0,1e3,true,false,null,{},[],""]}}"#,
    ),
    (
        RecordType::AuditLog,
        r#"{"agent_id":"a","event":"e","timestamp_ms":1.747e12}"#,
    ),
    (
        RecordType::BuildQueueItem,
        r#"{"queue_id":"q","project_id":"p","status":"done","priority":-3.0}"#,
    ),
    (
        RecordType::AgentHealth,
        r#"{"agent_id":"a","status":"healthy","cpu_pct":50,"memory_mb":12.5,"checked_at_ms":1747000000000}"#,
    ),
];

#[test]
fn the_fixtures_of_the_python_verifier_are_what_we_make_now() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sdk/python/tests/proofs");
    let write = std::env::var_os(WRITE).is_some();
    for (name, text) in files() {
        let path = folder.join(name);
        if write {
            std::fs::write(&path, &text).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap();
        assert!(
            found == text,
            "{name} is not what is made now; {WRITE}=1 writes it anew"
        );
    }
}

fn files() -> [(&'static str, String); 5] {
    let log = Log::of(SIZE);
    let witness = SigningKey::from_seed("witness.example/w1", Kind::Witness, [9; 32]).unwrap();
    let mut bundle = log.bundle(INDEX, SIZE);
    let signature = Signature::of(&witness, bundle.checkpoint.text(), 1_800_000_000);
    bundle.checkpoint.push(signature);
    let policy = format!(
        "# one log, one witness\nlog {}\nwitness w {}\ngroup g any w\nquorum g\n",
        log.vkey(),
        witness.verifier()
    );
    [
        ("record.tlog-proof", bundle.to_string()),
        ("record.json", record(&log)),
        ("policy.txt", policy),
        ("consistency.txt", consistency(&log)),
        ("payloads.txt", payloads()),
    ]
}

/// The record of the proof as the API answers it.
fn record(log: &Log) -> String {
    let block = &log.blocks()[usize::try_from(INDEX).unwrap()];
    let header = &block.header;
    let record = json!({
        "record_hash": block.hash, "record_type": header.record_type.name(), "seq": header.seq,
        "ingested_at_ms": header.timestamp_hlc.ms(), "prev_hash": header.parent_hash,
        "record_id": header.record_id, "data": serde_json::to_value(PayloadJson(&block.payload)).unwrap(),
    });
    format!("{record:#}\n")
}

/// The leaf hashes of the first 40 records, an empty line, then lines of old size, new size and the proof.
fn consistency(log: &Log) -> String {
    let leaf =
        |index| boboyka_tlog::TreeHash::of_leaf(log.bundle(index, SIZE).extra.as_deref().unwrap());
    let leaves = (0..40).map(|index| format!("{}\n", leaf(index)));
    let pairs = [(0, 7), (1, 2), (3, 7), (8, 8), (6, 40), (32, 40), (39, 40)];
    let proofs = pairs.map(|(old, new)| {
        let hashes = log.consistency(old, new);
        let hashes: Vec<String> = hashes.iter().map(ToString::to_string).collect();
        format!("{old} {new} {}\n", hashes.join(" "))
    });
    format!("{}\n{}", leaves.collect::<String>(), proofs.concat())
}

/// For each record its type, its payload in hexadecimal and its data.
fn payloads() -> String {
    let line = |(kind, data): (RecordType, &str)| {
        let record = Record::from_json(kind, data).unwrap();
        let hex = record
            .payload()
            .iter()
            .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        format!("{} {hex} {data}\n", kind.name())
    };
    DATA.map(line).concat()
}
