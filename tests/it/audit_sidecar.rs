//! A real sidecar's log: outside verifiers accept it over HTTP, over a restart too, and the strand that it leaves is compared
//! with its checkpoints offline.

use std::path::{Path, PathBuf};
use std::process::Command;

use boboyka_tests::verifiers::{check, fsck};
use boboyka_tests::{Log, Sidecar, sidecar};
use boboyka_tlog::key::Kind;
use boboyka_tlog::{Bundle, Checkpoint, Note, SigningKey, TreeHash};
use serde_json::{Value, json};
use tempfile::TempDir;

const LOG: &str = "/v1/boboyka/log/";

/// Appends this number of records, and gives the hash of the last.
async fn append(sidecar: &Sidecar, records: u64) -> String {
    let record = |number| {
        let data = json!({"agent_id": "a", "event": format!("e{number}")});
        json!({"record_type": "audit_log", "data": data})
    };
    let batch: Vec<Value> = (0..records).map(record).collect();
    let post = sidecar.request(reqwest::Method::POST, "/v1/boboyka/ingest/batch");
    let answer = post.json(&batch).send().await.unwrap();
    assert!(answer.status().is_success(), "{answer:?}");
    let newest = sidecar.get("/v1/boboyka/events?limit=1").await;
    newest["events"][0]["record_hash"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// The proof of a record as text; its checkpoint covers the record.
async fn proof_of(sidecar: &Sidecar, hash: &str) -> String {
    let proof = sidecar.get(&format!("/v1/boboyka/proof/{hash}")).await;
    proof.as_str().unwrap().to_owned()
}

/// What both verifiers say of a running sidecar's log, with more arguments for the first.
async fn checked(sidecar: &Sidecar, vkey: &str, more: Vec<String>) -> [Result<(), String>; 2] {
    let (url, vkey) = (sidecar.url(LOG), vkey.to_owned());
    let work = move || {
        let more: Vec<&str> = more.iter().map(String::as_str).collect();
        [check(&url, &vkey, &more), fsck(&url, &vkey)]
    };
    tokio::task::spawn_blocking(work).await.unwrap()
}

fn file(folder: &TempDir, name: &str, text: &str) -> String {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn outside_verifiers_accept_a_running_sidecars_log_and_its_proofs_over_a_restart() {
    let mut sidecar = Sidecar::start().await;
    let folder = tempfile::tempdir().unwrap();
    let hash = append(&sidecar, 300).await;
    let early = proof_of(&sidecar, &hash).await;
    let bundle: Bundle = early.parse().unwrap();
    let vkey = sidecar
        .get(&format!("{LOG}vkey"))
        .await
        .as_str()
        .unwrap()
        .trim()
        .to_owned();
    assert_eq!(checked(&sidecar, &vkey, Vec::new()).await, [Ok(()), Ok(())]);
    sidecar.restart().await;
    let hash = append(&sidecar, 400).await;
    let more = vec![
        "-old".to_owned(),
        file(&folder, "old", &bundle.checkpoint.to_string()),
        "-proof".to_owned(),
        file(&folder, "early", &early),
        "-proof".to_owned(),
        file(&folder, "late", &proof_of(&sidecar, &hash).await),
    ];
    assert_eq!(checked(&sidecar, &vkey, more).await, [Ok(()), Ok(())]);
    let fork = Log::of(300).checkpoint(300).to_string();
    let more = vec!["-old".to_owned(), file(&folder, "fork", &fork)];
    assert!(checked(&sidecar, &vkey, more).await[0].is_err());
}

/// What a sidecar left: its folder, the checkpoint that it signed last, and the key.
struct Left {
    data_dir: PathBuf,
    checkpoint: Note,
    key: SigningKey,
    _sidecar: Sidecar,
}

async fn left(records: u64) -> Left {
    let mut sidecar = Sidecar::start().await;
    let hash = append(&sidecar, records).await;
    let bundle: Bundle = proof_of(&sidecar, &hash).await.parse().unwrap();
    assert!(sidecar.terminate());
    let data_dir = sidecar.data_dir();
    let secret = std::fs::read_to_string(data_dir.join("tlog/key")).unwrap();
    let origin = bundle.checkpoint.text().lines().next().unwrap();
    let key = SigningKey::from_secret_text(&secret, Kind::Log).unwrap();
    Left {
        key: key.named(origin).unwrap(),
        checkpoint: bundle.checkpoint,
        data_dir,
        _sidecar: sidecar,
    }
}

impl Left {
    /// The strand against a checkpoint: the exit code and what is said.
    fn compared(&self, checkpoint: &Note, vkey: &str) -> (i32, String) {
        let folder = tempfile::tempdir().unwrap();
        let checkpoint = file(&folder, "checkpoint", &checkpoint.to_string());
        verify(
            &self.data_dir,
            &["--checkpoint", &checkpoint, "--vkey", vkey],
        )
    }

    fn signed(&self, size: u64, root: TreeHash) -> Note {
        let origin = self.key.verifier().name().to_owned();
        Checkpoint::new(origin, size, root).unwrap().sign(&self.key)
    }
}

fn verify(data_dir: &Path, words: &[&str]) -> (i32, String) {
    let output = Command::new(sidecar::binary())
        .args(["verify", "--data-dir"])
        .arg(data_dir)
        .args(words)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    (output.status.code().unwrap(), said)
}

#[tokio::test]
async fn a_strand_holds_its_checkpoint_and_a_fork_and_a_rewound_strand_are_named() {
    let left = left(7).await;
    let vkey = left.key.verifier().to_string();
    let (code, said) = left.compared(&left.checkpoint, &vkey);
    assert_eq!(code, 0, "{said}");
    let held =
        "ok: the strand holds the 7 records of the checkpoint of boboyka.sapixdb.com/strands/";
    assert!(said.contains(held), "{said}");
    let root = TreeHash::of_leaf(b"another");
    let faults = [
        (
            left.signed(7, root),
            "FORKED: the first 7 records have the root",
        ),
        (
            left.signed(3, root),
            "FORKED: the first 3 records have the root",
        ),
        (
            left.signed(9, root),
            "REWOUND: the checkpoint has 9 records, the strand 7",
        ),
        (Log::of(7).checkpoint(7), "no known key of the log"),
    ];
    for (checkpoint, expected) in faults {
        let (code, said) = left.compared(&checkpoint, &vkey);
        assert_eq!(code, 1, "{said}");
        assert!(
            said.contains("DOES NOT HOLD: ") && said.contains(expected),
            "{said}"
        );
    }
    let (code, said) = verify(
        &left.data_dir,
        &["--checkpoint", "missing", "--vkey", &vkey],
    );
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("cannot read missing"), "{said}");
}
