//! An archive that is down, busy, or refuses the key; a death between upload and mark; another history under the same name.
//! Records are taken whatever the archive does, and nothing in it is overwritten.

use std::fs;

use boboyka_tests::objects::{KEY, SECRET};
use boboyka_tests::process::{GUARD, free_address, wait_until};
use boboyka_tests::{Objects, Sidecar};
use serde_json::Value;

use crate::archive::{archiving, holds, ingest, objects, segments, stands, strand};

/// Waits until the archive says this.
async fn fails_with(sidecar: &Sidecar, code: &str) -> String {
    let so = |archive: &Value| archive["error"]["code"] == code;
    let archive = stands(sidecar, &format!("no error {code}"), so).await;
    archive["error"]["message"].as_str().unwrap().to_owned()
}

/// How often it has failed so.
async fn failures(sidecar: &Sidecar, kind: &str) -> u64 {
    let metrics = sidecar.metrics().await;
    let series = format!("archive_failures_total{{kind=\"{kind}\"}}");
    let line = metrics.lines().find(|line| line.contains(&series));
    let count = line.and_then(|line| line.rsplit(' ').next()?.parse().ok());
    count.unwrap_or_default()
}

/// How often the log says that the strand can't be archived.
fn said(sidecar: &Sidecar) -> usize {
    sidecar
        .log()
        .matches("the strand can't be archived")
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_down_or_busy_costs_no_record_and_is_caught_up_with() {
    let mut store = Objects::start().await;
    store.stop();
    let sidecar = archiving(&store.url(), &store.direct(SECRET)).await;
    ingest(&sidecar, 0, 5).await;
    let message = fails_with(&sidecar, "unreachable").await;
    assert!(message.contains("AWS_ENDPOINT"), "{message}");
    let twice = |archive: &Value| archive["error"] != Value::Null;
    let head = ingest(&sidecar, 5, 5).await;
    stands(&sidecar, "it does not try again", twice).await;
    let failures = || async { failures(&sidecar, "unreachable").await >= 2 };
    wait_until(GUARD, failures, || "it is not counted".to_owned()).await;
    assert_eq!(said(&sidecar), 1, "{}", sidecar.log());
    store.restart().await;
    let archived = holds(&sidecar, head).await;
    assert_eq!(archived["error"], Value::Null);
    assert!(sidecar.log().contains("the strand is archived again"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_answers_503_is_named_busy() {
    let store = Objects::start().await;
    store.answer(Some(503));
    let sidecar = archiving(&store.url(), &store.variables(SECRET)).await;
    let head = ingest(&sidecar, 0, 5).await;
    let message = fails_with(&sidecar, "busy").await;
    assert!(message.contains("503"), "{message}");
    store.answer(None);
    holds(&sidecar, head).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_is_named_and_never_shown_and_a_new_file_is_taken_without_a_restart() {
    let store = Objects::start().await;
    let keys = tempfile::tempdir().unwrap();
    let wrong = "wrong-secret-9876543210";
    fs::write(keys.path().join("AWS_SECRET_ACCESS_KEY"), wrong).unwrap();
    fs::write(keys.path().join("AWS_ACCESS_KEY_ID"), KEY).unwrap();
    let mut variables = store.variables("");
    variables.retain(|(name, _)| !name.contains("KEY"));
    let dir = keys.path().display().to_string();
    variables.push(("BOBOYKA_ARCHIVE_DIR".to_owned(), dir));
    let sidecar = archiving(&store.url(), &variables).await;
    let head = ingest(&sidecar, 0, 5).await;
    let message = fails_with(&sidecar, "refused").await;
    assert!(message.contains("403"), "{message}");
    fs::write(keys.path().join("AWS_SECRET_ACCESS_KEY"), SECRET).unwrap();
    holds(&sidecar, head).await;
    let shown = format!("{}{}", sidecar.log(), sidecar.metrics().await);
    let status = sidecar.get("/v1/boboyka/status").await.to_string();
    for secret in [wrong, SECRET] {
        assert!(!shown.contains(secret) && !status.contains(secret) && !message.contains(secret));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_death_between_upload_and_answer_leaves_an_object_that_is_taken_for_the_strands_own() {
    let store = Objects::start().await;
    store.hold(true);
    let mut sidecar = archiving(&store.url(), &store.variables(SECRET)).await;
    let head = ingest(&sidecar, 0, 5).await;
    store.uploaded(1).await;
    let folder = store.folder(&strand(&sidecar).await);
    let before = segments(&folder);
    assert_eq!(before.len(), 1);
    sidecar.kill_9();
    store.hold(false);
    sidecar.restart().await;
    let archived = holds(&sidecar, head).await;
    assert_eq!(archived["error"], Value::Null);
    let (name, object) = before.iter().next().unwrap();
    assert!(
        segments(&folder)[name] == *object,
        "{name} was written again"
    );
    let uploads = archived["uploaded_segments"].as_u64().unwrap();
    assert_eq!(uploads, segments(&folder).len() as u64 - 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_history_of_the_strand_is_named_and_not_mixed_with_the_first() {
    let store = Objects::start().await;
    let mut sidecar = archiving(&store.url(), &store.variables(SECRET)).await;
    let head = ingest(&sidecar, 0, 5).await;
    holds(&sidecar, head).await;
    assert!(sidecar.terminate());
    let old = tempfile::tempdir().unwrap();
    let copy = old.path().join("data");
    let copied = std::process::Command::new("cp")
        .arg("-r")
        .args([sidecar.data_dir(), copy.clone()])
        .status();
    assert!(copied.unwrap().success());
    sidecar.restart().await;
    let head = ingest(&sidecar, 5, 5).await;
    holds(&sidecar, head).await;
    assert!(sidecar.terminate());
    let folder = store.folder(&strand_of(&store));
    let before = objects(&folder);

    // The volume is set back, and goes on with other records.
    fs::remove_dir_all(sidecar.data_dir()).unwrap();
    fs::rename(copy, sidecar.data_dir()).unwrap();
    sidecar.restart().await;
    let other = ingest(&sidecar, 100, 7).await;
    let message = fails_with(&sidecar, "conflict").await;
    assert!(message.contains("another prefix"), "{message}");
    let (status, _) = sidecar
        .try_ingest(
            "agent_health",
            &serde_json::json!({"agent_id": "a", "status": "healthy"}),
        )
        .await;
    assert_eq!(status, 200);
    let sealed = || async {
        let status = sidecar.get("/v1/boboyka/status").await;
        let strand = &status["strand"];
        let tail = strand["tail_records"].as_u64().unwrap();
        strand["head"]["seq"].as_u64().unwrap() - tail >= other
    };
    wait_until(GUARD, sealed, || "nothing is sealed".to_owned()).await;
    // The second of these began when the new segment was there.
    let so_far = failures(&sidecar, "conflict").await;
    let again = || async { failures(&sidecar, "conflict").await >= so_far + 2 };
    wait_until(GUARD, again, || sidecar.log()).await;
    assert!(objects(&folder) == before, "the first history is as it was");
}

/// The one strand in a store.
fn strand_of(store: &Objects) -> String {
    let folder = store.folder("x");
    let mut strands = fs::read_dir(folder.parent().unwrap()).unwrap();
    let only = strands.next().unwrap().unwrap().file_name();
    only.to_string_lossy().into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_place_ends_the_start_without_repeating_it() {
    let listen = free_address().to_string();
    let output = std::process::Command::new(boboyka_tests::sidecar::binary())
        .args([
            "--listen",
            &listen,
            "--archive-url",
            "s3://key:hidden@bucket",
        ])
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("must have no user, password"), "{said}");
}
