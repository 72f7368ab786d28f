//! What verifiers and a witness that others wrote make of a real sidecar's log when its strand was pruned: they accept what is
//! ours, and refuse what was altered.

use std::path::Path;

use boboyka_tests::Sidecar;
use boboyka_tests::follower::Monitored;
use boboyka_tests::verifiers::{WITNESS_KEY, check, fsck};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::laptop::Laptop;

/// Appends records of a kilobyte that do not compress, fifty at a time; gives the hash of the newest.
pub(crate) async fn fill(sidecar: &Sidecar, records: u64) -> String {
    let noise = || -> String { (0..1_000).map(|_| fastrand::alphanumeric()).collect() };
    let record =
        || json!({"record_type": "audit_log", "data": {"agent_id": "a", "event": noise()}});
    for _ in 0..records / 50 {
        let batch: Vec<Value> = (0..50).map(|_| record()).collect();
        let body = Value::from(batch).to_string();
        let (status, answer) = sidecar.post("/v1/boboyka/ingest/batch", &body).await;
        assert_eq!(status, 200, "{answer}");
    }
    let newest = sidecar.get("/v1/boboyka/events?limit=1").await;
    let hash = newest["events"][0]["record_hash"].as_str();
    hash.unwrap().to_owned()
}

/// The proof of a record under a cosigned checkpoint.
pub(crate) async fn cosigned_proof(sidecar: &Sidecar, hash: &str) -> String {
    let path = format!("/v1/boboyka/proof/{hash}?cosigned=true");
    sidecar.get(&path).await.as_str().unwrap().to_owned()
}

/// Files for a verifier.
pub(crate) struct Files(TempDir);

impl Files {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

/// Does not block the relay of the witness.
pub(crate) fn checked(prefix: &str, vkey: &str, more: &[&str]) -> Result<(), String> {
    tokio::task::block_in_place(|| check(prefix, vkey, more))
}

pub(crate) fn fscked(prefix: &str, vkey: &str) -> Result<(), String> {
    tokio::task::block_in_place(|| fsck(prefix, vkey))
}

fn flip(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 4;
    std::fs::write(path, bytes).unwrap();
}

async fn minimum(laptop: &Laptop, least: u64) -> u64 {
    let index = |it: &Value| it["log"]["minimum_index"].as_u64().unwrap();
    laptop.shows(|it| index(it) >= least).await;
    // Nothing is pruned any more from here on.
    laptop.edit("hold: false", "hold: true");
    let held = laptop.shows(|it| it["retention"]["hold"] == true).await;
    index(&held)
}

#[tokio::test(flavor = "multi_thread")]
async fn they_accept_a_pruned_log_that_says_so_and_a_witness_that_lagged_goes_on() {
    let mut laptop = Laptop::start(None).await;
    let (vkey, files, whole) = (laptop.sidecar.log_key().await, Files::new(), Files::new());
    let mut witness = Monitored::start(&[&vkey]).await;
    let early = fill(&laptop.sidecar, 300).await;
    laptop.sidecar.log_covers("checkpoint", &vkey, 300).await;
    let audit = format!(
        "\n  retention: {{maxSize: 1Mi, hold: true}}\n  audit: {{witnesses: [{{name: w1, vkey: \"{WITNESS_KEY}\", url: \"{}\"}}], quorum: all}}\n",
        witness.url()
    );
    laptop.edit("# edit this line\n", &audit);
    let old = laptop.sidecar.log_covers("cosigned", &vkey, 300).await;
    witness.witness.stop();
    let proof = cosigned_proof(&laptop.sidecar, &early).await;
    let (old, proof) = (files.write("old", &old), files.write("proof", &proof));

    fill(&laptop.sidecar, 2_000).await;
    let newest = laptop.sidecar.log_covers("checkpoint", &vkey, 2_300).await;
    laptop.sidecar.copy_log(whole.path(), 0, &newest).await;
    laptop.edit("hold: true", "hold: false");
    let least = minimum(&laptop, 512).await;
    let head = laptop.status().await["strand"]["head"]["seq"].as_u64();
    let newest = laptop
        .sidecar
        .log_covers("checkpoint", &vkey, head.unwrap())
        .await;

    let url = laptop.sidecar.log_url();
    let says = least.to_string();
    let good = ["-min", &says, "-old", &old, "-proof", &proof];
    assert_eq!(checked(&url, &vkey, &good), Ok(()));
    laptop.sidecar.kill_9();
    laptop.sidecar.restart().await;
    // A start asks its witnesses before it signs.
    let size = head.unwrap();
    laptop.sidecar.log_covers("checkpoint", &vkey, size).await;
    assert_eq!(checked(&url, &vkey, &good), Ok(()));
    // What is pruned further than is said, is missing.
    for says in [0, least - 256] {
        assert!(checked(&url, &vkey, &["-min", &says.to_string()]).is_err());
    }
    assert!(fscked(&url, &vkey).is_err(), "it knows no pruned log");
    // Who followed the log has all of it.
    laptop.sidecar.copy_log(whole.path(), least, &newest).await;
    let path = whole.path().to_str().unwrap();
    assert_eq!(fscked(path, &vkey), Ok(()));
    assert_eq!(checked(path, &vkey, &["-old", &old]), Ok(()));
    altered_are_refused(&laptop.sidecar, &vkey, least, &newest).await;

    // The way from what it cosigned before the pruning is still there.
    witness.witness.restart().await;
    laptop.sidecar.restart().await;
    let cosigned = laptop
        .sidecar
        .log_covers("cosigned", &vkey, head.unwrap())
        .await;
    let pruned = Files::new();
    laptop
        .sidecar
        .copy_log(pruned.path(), least, &cosigned)
        .await;
    let path = pruned.path().to_str().unwrap();
    let more = ["-min", &says, "-witness", WITNESS_KEY];
    assert_eq!(checked(path, &vkey, &more), Ok(()));
}

/// One bit in any kind of file of a pruned log.
async fn altered_are_refused(sidecar: &Sidecar, vkey: &str, least: u64, newest: &str) {
    let (says, tile) = (least.to_string(), least / 256);
    let pruned = Files::new();
    let kept = || sidecar.copy_log(pruned.path(), least, newest);
    let verdict = || checked(pruned.path().to_str().unwrap(), vkey, &["-min", &says]);
    kept().await;
    assert_eq!(verdict(), Ok(()));
    let roots = std::fs::read_dir(pruned.path().join("tile/1/000.p")).unwrap();
    let roots = roots.map(|file| file.unwrap().path());
    let others =
        ["tile/0", "tile/entries"].map(|kind| pruned.path().join(format!("{kind}/{tile:03}")));
    for altered in roots.chain(others) {
        flip(&altered);
        assert!(verdict().is_err(), "{}", altered.display());
        kept().await;
    }
    // The root of a tile whose entries are gone.
    let size = newest.lines().nth(1).unwrap().parse::<u64>().unwrap();
    let roots = pruned.path().join(format!("tile/1/000.p/{}", size / 256));
    let mut bytes = std::fs::read(&roots).unwrap();
    bytes[0] ^= 1;
    std::fs::write(&roots, bytes).unwrap();
    assert!(verdict().is_err());
}
