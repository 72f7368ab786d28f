//! `boboyka-sidecar verify --proof`: what it says of a proof, and with which code it ends.

use std::process::Command;

use boboyka_strand::PayloadJson;
use boboyka_tests::{Log, sidecar};
use boboyka_tlog::key::Kind;
use boboyka_tlog::note::Signature;
use boboyka_tlog::{Bundle, SigningKey};
use serde_json::{Value, json};
use tempfile::TempDir;

const SIZE: u64 = 300;
const INDEX: u64 = 41;

/// A proof, the record of it, and files of both.
struct Case {
    log: Log,
    folder: TempDir,
}

impl Case {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let case = Self {
            log: Log::of(SIZE),
            folder,
        };
        case.write("proof", &case.log.bundle(INDEX, SIZE));
        case.write("record", &case.record());
        case
    }

    /// The record as the API answers it.
    fn record(&self) -> Value {
        let block = &self.log.blocks()[usize::try_from(INDEX).unwrap()];
        let header = &block.header;
        json!({
            "record_hash": block.hash, "record_type": header.record_type.name(), "seq": header.seq,
            "ingested_at_ms": header.timestamp_hlc.ms(), "prev_hash": header.parent_hash,
            "record_id": header.record_id, "dual_write": {"enabled": false},
            "data": serde_json::to_value(PayloadJson(&block.payload)).unwrap(),
        })
    }

    fn write(&self, name: &str, content: &impl ToString) {
        std::fs::write(self.folder.path().join(name), content.to_string()).unwrap();
    }

    /// The command's exit code and what it prints; a word that is the name of a file becomes its path.
    fn verify(&self, words: &[&str]) -> (i32, String) {
        let output = Command::new(sidecar::binary())
            .arg("verify")
            .args(words)
            .current_dir(self.folder.path())
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        (output.status.code().unwrap(), said)
    }

    fn with_key(&self, more: &[&str]) -> (i32, String) {
        let vkey = self.log.vkey();
        self.verify(&[&["--proof", "proof", "--vkey", &vkey], more].concat())
    }
}

#[test]
fn a_proof_holds_and_the_verdict_says_what_it_can_not_prove() {
    let case = Case::new();
    let (code, said) = case.with_key(&["--record", "record"]);
    let hash = case.log.blocks()[usize::try_from(INDEX).unwrap()].hash;
    assert_eq!(code, 0, "{said}");
    let first = format!("ok: record {hash} is seq 42 of 300 in the log strand.example/0196c150\n");
    assert!(said.starts_with(&first), "{said}");
    assert!(said.contains("its content is the one given here"), "{said}");
    assert!(
        said.contains("not proven: that it is the newest of its key"),
        "{said}"
    );
    assert!(said.contains("no witness has cosigned it"), "{said}");
    let (code, said) = case.with_key(&[]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("not checked: its content"), "{said}");
}

#[test]
fn the_payload_alone_is_evidence_too() {
    let case = Case::new();
    let payload = &case.log.blocks()[usize::try_from(INDEX).unwrap()].payload;
    let path = case.folder.path().join("payload");
    std::fs::write(&path, payload).unwrap();
    assert_eq!(case.with_key(&["--payload", "payload"]).0, 0);
    std::fs::write(&path, [payload, &b"x"[..]].concat()).unwrap();
    let (code, said) = case.with_key(&["--payload", "payload"]);
    assert_eq!(code, 1, "{said}");
    assert!(
        said.contains("the content is not what was recorded"),
        "{said}"
    );
}

#[test]
fn another_record_is_told_by_the_field_that_differs() {
    let case = Case::new();
    let changes = [
        ("seq", json!(43), "the record's seq is 43"),
        ("record_hash", json!("00"), "the record's record_hash is 00"),
        ("prev_hash", json!("00"), "the record's prev_hash is 00"),
        (
            "ingested_at_ms",
            json!(1),
            "the record's ingested_at_ms is 1",
        ),
        (
            "record_type",
            json!("agent_health"),
            "the record's record_type is agent_health",
        ),
        (
            "record_type",
            json!("event"),
            "the record's record_type \"event\" is none",
        ),
        (
            "data",
            json!({"agent_id": "deployer", "event": "forged"}),
            "the content is not",
        ),
        (
            "data",
            json!({"agent_id": "deployer"}),
            "the record's event: is required",
        ),
    ];
    for (field, value, expected) in changes {
        let mut record = case.record();
        record[field] = value;
        case.write("record", &record);
        let (code, said) = case.with_key(&["--record", "record"]);
        assert_eq!(code, 1, "{said}");
        assert!(
            said.starts_with("DOES NOT HOLD: proof: ") && said.contains(expected),
            "{said}"
        );
    }
}

#[test]
fn an_altered_proof_does_not_hold() {
    let case = Case::new();
    let good = || case.log.bundle(INDEX, SIZE);
    let mut altered: Vec<(String, &str)> = Vec::new();
    let mut change = |change: &dyn Fn(&mut Bundle), expected| {
        let mut bundle = good();
        change(&mut bundle);
        altered.push((bundle.to_string(), expected));
    };
    let other = Log::forked(7, SIZE);
    change(&|bundle| bundle.index += 1, "the proof leads to the root");
    change(
        &|bundle| bundle.hashes.swap(0, 1),
        "the proof leads to the root",
    );
    change(
        &|bundle| bundle.hashes.truncate(1),
        "the proof must have 9 hashes, this one has 1",
    );
    change(&|bundle| bundle.extra = None, "no extra line");
    change(
        &|bundle| bundle.extra = Some(vec![1; 104]),
        "a header has 105 bytes, not 104",
    );
    change(
        &|bundle| bundle.checkpoint = other.checkpoint(SIZE),
        "the proof leads to the root",
    );
    altered.push((
        good().to_string().replace("\n300\n", "\n301\n"),
        "does not hold",
    ));
    altered.push(("no proof".to_owned(), "no empty line"));
    for (text, expected) in altered {
        case.write("proof", &text);
        let (code, said) = case.with_key(&[]);
        assert_eq!(code, 1, "{said}");
        assert!(said.contains(expected), "{expected}: {said}");
    }
}

#[test]
fn a_policy_decides_who_must_have_signed() {
    let case = Case::new();
    let witness = SigningKey::from_seed("witness.example/w1", Kind::Witness, [9; 32]).unwrap();
    let policy = |quorum| {
        let (log, witness) = (case.log.vkey(), witness.verifier());
        format!("log {log}\nwitness w {witness}\nquorum {quorum}\n")
    };
    let with_policy = |text: String| {
        case.write("policy", &text);
        case.verify(&["--proof", "proof", "--policy", "policy"])
    };
    assert_eq!(with_policy(policy("none")).0, 0);
    let (code, said) = with_policy(policy("w"));
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("the quorum is not reached"), "{said}");
    let mut bundle = case.log.bundle(INDEX, SIZE);
    let text = bundle.checkpoint.text().to_owned();
    bundle
        .checkpoint
        .push(Signature::of(&witness, &text, 1_800_000_000));
    case.write("proof", &bundle);
    let (code, said) = with_policy(policy("w"));
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("cosigned by witness.example/w1"), "{said}");
    assert!(said.contains("at 2027-01-15T08:00:00Z"), "{said}");
    let (code, said) = with_policy(policy("nobody"));
    assert_eq!(code, 2, "{said}");
    assert!(
        said.contains("line 3: no line before defines \"nobody\""),
        "{said}"
    );
}

#[test]
fn what_can_not_be_read_ends_with_2_and_a_proof_needs_somebody_to_trust() {
    let case = Case::new();
    let vkey = case.log.vkey();
    let (code, said) = case.verify(&["--proof", "missing", "--vkey", &vkey]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("cannot read missing"), "{said}");
    let (code, said) = case.verify(&["--proof", "proof"]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("--policy"), "{said}");
    let (code, said) = case.verify(&["--proof", "proof", "--vkey", "no key"]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("a key is NAME+ID+BASE64"), "{said}");
}
