//! Policies, and what a witness decides.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that panics says where"
)]

use boboyka_tlog::checkpoint::CheckpointError;
use boboyka_tlog::key::Kind;
use boboyka_tlog::policy::{Fault, Rejection};
use boboyka_tlog::proof::ProofError;
use boboyka_tlog::witness::{self, AddCheckpoint, Answer, Refusal, SIZE_TYPE};
use boboyka_tlog::{Checkpoint, Note, Policy, SigningKey, TreeHash};

const ORIGIN: &str = "log.example/a";

fn key(name: &str, kind: Kind, seed: u8) -> SigningKey {
    SigningKey::from_seed(name, kind, [seed; 32]).unwrap()
}

fn log() -> SigningKey {
    key(ORIGIN, Kind::Log, 1)
}

fn cosigner(number: u8) -> SigningKey {
    key(&format!("w{number}.example"), Kind::Witness, 10 + number)
}

fn leaf(number: u8) -> TreeHash {
    TreeHash::of_leaf(&[number])
}

/// The checkpoint of the leaves 0 and 1, or of the first alone.
fn checkpoint(size: u64) -> Note {
    let root = if size == 1 {
        leaf(0)
    } else {
        TreeHash::of_node(&leaf(0), &leaf(1))
    };
    Checkpoint::new(ORIGIN.into(), size, root)
        .unwrap()
        .sign(&log())
}

/// The checkpoint of size 1 with these witnesses' cosignatures.
fn cosigned(witnesses: &[u8]) -> Note {
    let mut note = checkpoint(1);
    for number in witnesses {
        note.sign(&cosigner(*number), 7);
    }
    note
}

/// A policy of the log and three witnesses, with these lines behind them.
fn policy(lines: &str) -> String {
    let witness = |number| format!("witness w{number} {}\n", cosigner(number).verifier());
    let witnesses: String = (1..=3).map(witness).collect();
    format!(
        "# whom we trust\nlog {} https://log.example\n{witnesses}\n{lines}",
        log().verifier()
    )
}

#[test]
fn a_quorum_is_reached_by_as_many_members_as_it_says() {
    let accepted = |lines: &str, witnesses: &[u8]| {
        let policy: Policy = policy(lines).parse().unwrap();
        policy.verify(&cosigned(witnesses)).is_ok()
    };
    assert!(accepted("quorum none\n", &[]));
    assert!(accepted("quorum w2\n", &[2]) && !accepted("quorum w2\n", &[1, 3]));
    let two = "group g 2 w1 w2 w3\nquorum g\n";
    assert!(accepted(two, &[1, 3]) && !accepted(two, &[3]) && !accepted(two, &[3, 3]));
    let nested = "group g any w1 w2\n  group\tall all g w3 \nquorum all\n";
    assert!(accepted(nested, &[2, 3]) && !accepted(nested, &[1, 2]));
}

#[test]
fn a_policy_says_who_signed_and_who_did_not() {
    let policy: Policy = policy("group g all w1 w2\nquorum g\n").parse().unwrap();
    let rejected = policy.verify(&cosigned(&[2])).unwrap_err();
    assert_eq!(rejected, Rejection::Quorum(vec!["w2.example".into()]));
    let (checkpoint, signed) = policy.verify(&cosigned(&[1, 2])).unwrap();
    assert_eq!((checkpoint.size(), signed.len()), (1, 3));
    assert_eq!(policy.logs[0].url.as_deref(), Some("https://log.example"));
    let stranger = key("other.example", Kind::Log, 9);
    let note = Checkpoint::new("other.example".into(), 1, leaf(0))
        .unwrap()
        .sign(&stranger);
    let unsigned = CheckpointError::Unsigned("other.example".into());
    assert_eq!(policy.verify(&note), Err(Rejection::Checkpoint(unsigned)));
}

#[test]
fn a_line_that_is_no_policy_is_named() {
    let fault = |lines: &str| {
        let error = policy(lines).parse::<Policy>().unwrap_err();
        (error.line, error.reason)
    };
    let (w1, log) = (
        cosigner(1).verifier().to_string(),
        log().verifier().to_string(),
    );
    let name = |name: &str| Fault::Name(name.into());
    assert_eq!(fault(""), (7, Fault::Quorum));
    assert_eq!(fault("quorum none\nquorum none\n"), (8, Fault::Quorum));
    assert_eq!(fault("witnesses\n"), (7, Fault::Form));
    assert_eq!(fault("quorum w1\r\n"), (7, Fault::Control));
    assert_eq!(
        fault(&format!("witness w4 {w1}\n")),
        (7, Fault::Duplicate("w1.example".into()))
    );
    assert_eq!(
        fault(&format!("witness w4 {log}\n")),
        (7, Fault::Kind("log"))
    );
    assert_eq!(fault("group w1 any w2\n"), (7, name("w1")));
    assert_eq!(fault("group none any w2\n"), (7, name("none")));
    assert_eq!(fault("quorum w9\n"), (7, Fault::Unknown("w9".into())));
    assert_eq!(
        fault("group g any none\n"),
        (7, Fault::Unknown("none".into()))
    );
    assert_eq!(
        fault("group g any w1 w1\n"),
        (7, Fault::Member("w1".into()))
    );
    assert_eq!(
        fault("group g any w1\nquorum w1\n"),
        (8, Fault::Member("w1".into()))
    );
    for least in ["0", "3", "02", "x"] {
        let lines = format!("group g {least} w1 w2\n");
        assert_eq!(fault(&lines), (7, Fault::Threshold(least.into())));
    }
    assert!(matches!(fault("log x\n"), (7, Fault::Key(_))));
}

fn request(old: u64, proof: &[TreeHash], checkpoint: Note) -> AddCheckpoint {
    AddCheckpoint {
        old,
        proof: proof.to_vec(),
        checkpoint,
    }
}

/// What a witness decides that trusts the log and cosigned the first entry last.
fn decide(request: &AddCheckpoint) -> Result<u64, Refusal> {
    let keys = [log().verifier().clone()];
    let decided = witness::decide(request, &keys, Some((1, leaf(0))));
    decided.map(|checkpoint| checkpoint.size())
}

#[test]
fn a_witness_cosigns_what_is_consistent_with_what_it_cosigned_last() {
    assert_eq!(decide(&request(1, &[leaf(1)], checkpoint(2))), Ok(2));
    assert_eq!(decide(&request(1, &[], checkpoint(1))), Ok(1));
    let keys = [log().verifier().clone()];
    let first = witness::decide(&request(0, &[], checkpoint(2)), &keys, None).unwrap();
    let lines = witness::cosign(&cosigner(1), &first, 7);
    let Answer::Cosigned(signatures) = Answer::read(200, None, &lines) else {
        panic!("{lines}")
    };
    let mut note = checkpoint(2);
    for signature in signatures {
        note.push(signature);
    }
    let signed = note.verify(&[cosigner(1).verifier().clone()]).unwrap();
    assert_eq!(signed[0].seconds, Some(7));
}

#[test]
fn a_witness_answers_what_it_refuses_with_the_status_of_its_reason() {
    let status = |request: &AddCheckpoint| decide(request).unwrap_err().status();
    assert_eq!(status(&request(3, &[], checkpoint(2))), 400);
    let mut spoilt: Note = checkpoint(2)
        .to_string()
        .replace("\n2\n", "\n3\n")
        .parse()
        .unwrap();
    assert_eq!(status(&request(1, &[leaf(1)], spoilt.clone())), 403);
    spoilt = Checkpoint::new(ORIGIN.into(), 2, leaf(0))
        .unwrap()
        .sign(&key(ORIGIN, Kind::Log, 5));
    assert_eq!(status(&request(1, &[leaf(1)], spoilt)), 403);
    let other = key("log.example/b", Kind::Log, 1);
    let unknown = Checkpoint::new("log.example/b".into(), 2, leaf(0))
        .unwrap()
        .sign(&other);
    assert_eq!(status(&request(1, &[leaf(1)], unknown)), 404);
    assert_eq!(status(&request(0, &[], checkpoint(2))), 409);
    assert_eq!(status(&request(1, &[leaf(2)], checkpoint(2))), 422);
    assert_eq!(status(&request(1, &[], checkpoint(2))), 422);
    let fork = Checkpoint::new(ORIGIN.into(), 1, leaf(9))
        .unwrap()
        .sign(&log());
    assert_eq!(status(&request(1, &[], fork)), 422);
    let body = "old 1\n\nno note".parse::<AddCheckpoint>().unwrap_err();
    assert_eq!(Refusal::Request(body).status(), 400);
    let keys = [log().verifier().clone()];
    let first = witness::decide(&request(0, &[leaf(0)], checkpoint(2)), &keys, None);
    assert_eq!(first.unwrap_err().status(), 422);
}

#[test]
fn a_fork_is_refused_by_the_proof_that_shows_it() {
    let root = TreeHash::of_node(&leaf(9), &leaf(1));
    let fork = Checkpoint::new(ORIGIN.into(), 2, root)
        .unwrap()
        .sign(&log());
    let refusal = decide(&request(1, &[leaf(1)], fork)).unwrap_err();
    let Refusal::Inconsistent {
        old: 1,
        reason: ProofError::Root { .. },
    } = refusal
    else {
        panic!("{refusal}")
    };
}

#[test]
fn a_log_reads_from_an_answer_whether_to_ask_again() {
    let stale = decide(&request(0, &[], checkpoint(2))).unwrap_err();
    assert_eq!(stale.body(), "1\n");
    let read = |status, kind, body: &str| Answer::read(status, kind, body);
    assert_eq!(
        read(409, Some(SIZE_TYPE), &stale.body()),
        Answer::LastSize(1)
    );
    assert_eq!(
        read(409, None, "conflict\n"),
        Answer::Inconsistent("conflict".into())
    );
    assert_eq!(
        read(422, None, "fork\n"),
        Answer::Inconsistent("fork".into())
    );
    assert!(matches!(read(409, Some(SIZE_TYPE), "x"), Answer::Other(_)));
    assert!(matches!(read(200, None, "nothing"), Answer::Other(_)));
    assert_eq!(read(500, None, "down\n"), Answer::Other("500: down".into()));
}

#[test]
fn what_is_no_request_is_refused_for_its_reason() {
    let error = |text: &str| text.parse::<AddCheckpoint>().unwrap_err().to_string();
    let good = request(1, &[leaf(1)], checkpoint(2)).to_string();
    assert!(error(&good.replace("old 1", "old 01")).contains("\"old 01\""));
    assert!(error(&good.replace("old 1\n", "old 1\nx\n")).starts_with("line 1 of the proof"));
    assert!(error("old 1\n").contains("no empty line"));
}
