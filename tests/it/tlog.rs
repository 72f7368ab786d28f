//! The transparency log of a running sidecar: signed while the strand grows, and accepted by verifiers that others wrote.

use std::process::{Command, Output};

use boboyka_tests::Sidecar;
use boboyka_tests::process::{GUARD, wait_until};
use boboyka_tests::verifiers::{check, fsck};
use serde_json::json;

fn event(n: u64) -> serde_json::Value {
    json!({"agent_id": "a", "event": "e", "n": n})
}

/// What the sidecar's program says to these arguments.
fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(boboyka_tests::sidecar::binary());
    command.args(arguments).output().unwrap()
}

async fn text(sidecar: &Sidecar, path: &str) -> String {
    let url = sidecar.url(&format!("/v1/boboyka/log/{path}"));
    let answer = boboyka_tests::client().get(url).send().await.unwrap();
    answer.text().await.unwrap()
}

/// Waits until the newest checkpoint covers this many records, and gives it.
async fn covering(sidecar: &Sidecar, size: u64) -> String {
    let covers = || async {
        let newest = text(sidecar, "checkpoint").await;
        newest.lines().nth(1).and_then(|size| size.parse().ok()) >= Some(size)
    };
    wait_until(GUARD, covers, || sidecar.log()).await;
    text(sidecar, "checkpoint").await
}

#[tokio::test(flavor = "multi_thread")]
async fn others_verify_what_is_signed_by_itself_before_and_after_a_kill() {
    let mut sidecar = Sidecar::start().await;
    for n in 0..300 {
        sidecar.ingest("audit_log", &event(n)).await;
    }
    let old = covering(&sidecar, 300).await;
    let vkey = text(&sidecar, "vkey").await.trim_end().to_owned();
    sidecar.kill_9();
    sidecar.restart().await;
    let receipt = sidecar.ingest("audit_log", &event(300)).await;
    covering(&sidecar, 301).await;
    assert_eq!(text(&sidecar, "vkey").await.trim_end(), vkey);

    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let hash = receipt["record_hash"].as_str().unwrap();
    let address = sidecar.url("").replace("http://", "");
    let proof = run(&["prove", hash, "--listen", &address]);
    assert!(proof.status.success(), "{proof:?}");
    let (old, proof) = (file("old", old.as_bytes()), file("proof", &proof.stdout));
    let prefix = sidecar.url("/v1/boboyka/log/");
    let more = ["-old", &old, "-proof", &proof];
    assert_eq!(check(&prefix, &vkey, &more), Ok(()));
    assert_eq!(fsck(&prefix, &vkey), Ok(()));

    let data = sidecar.data_dir().to_str().unwrap().to_owned();
    assert!(sidecar.terminate());
    let offline = run(&["prove", hash, "--data-dir", &data]);
    assert_eq!(offline.stdout, std::fs::read(&proof).unwrap());
    let unknown = run(&["prove", &"0".repeat(64), "--data-dir", &data]);
    let said = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert!(
        !unknown.status.success() && said.contains("has no record"),
        "{said}"
    );
}

#[test]
fn a_key_file_that_holds_no_key_is_named_before_anything_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("log-key");
    std::fs::write(&key, "PRIVATE+KEY+x+00000000+topsecret").unwrap();
    let data = folder.path().join("data");
    let paths = [&data, &key].map(|path| path.to_str().unwrap().to_owned());
    let ended = run(&["--data-dir", &paths[0], "--log-key-file", &paths[1]]);
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(
        !ended.status.success() && said.contains(&paths[1]),
        "{said}"
    );
    assert!(!said.contains("topsecret") && !data.exists(), "{said}");
}
