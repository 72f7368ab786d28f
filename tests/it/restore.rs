//! A lost strand is rebuilt from its archive, verified, and goes on; what does not hold is named, and leaves nothing behind.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use boboyka_tests::objects::SECRET;
use boboyka_tests::process::{GUARD, wait_until};
use boboyka_tests::{Objects, Sidecar};
use serde_json::{Value, json};

use crate::archive::{archiving, holds, ingest, objects, segments, strand};

/// Runs the command.
fn restore(from: &str, data: &Path, variables: &[(String, String)], more: &[&str]) -> Output {
    Command::new(boboyka_tests::sidecar::binary())
        .args(["restore", "--from", from, "--data-dir"])
        .arg(data)
        .args(more)
        .envs(variables.iter().cloned())
        .output()
        .unwrap()
}

/// What it says, and its exit code.
fn said(output: &Output) -> (Option<i32>, String) {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    (
        output.status.code(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

/// A strand of three segments in a folder, and the sidecar that archived it, which has ended.
async fn archived(folder: &Path) -> (Sidecar, PathBuf, u64) {
    let url = format!("file://{}", folder.display());
    let mut sidecar = archiving(&url, &[]).await;
    let mut head = 0;
    for round in 0..3 {
        head = ingest(&sidecar, round * 4, 4).await;
        holds(&sidecar, head).await;
    }
    let objects = folder.join(strand(&sidecar).await);
    assert!(sidecar.terminate());
    (sidecar, objects, head)
}

/// A strand whose volume is lost, and what is known of it.
struct Lost {
    store: Objects,
    sidecar: Sidecar,
    id: String,
    /// Hashes of records that were archived.
    hashes: Vec<String>,
    /// The last archived seq.
    archived: u64,
    /// The newest checkpoint, and the log's key.
    checkpoint: String,
    vkey: String,
}

/// Loses a volume while an upload is under way: more is signed than the archive has.
async fn lose() -> Lost {
    let store = Objects::start().await;
    let mut sidecar = archiving(&store.url(), &store.variables(SECRET)).await;
    let head = ingest(&sidecar, 0, 6).await;
    holds(&sidecar, head).await;
    let page = sidecar.get("/v1/boboyka/events").await;
    let hash = |event: &Value| event["record_hash"].as_str().unwrap().to_owned();
    let hashes = page["events"].as_array().unwrap().iter().map(hash);
    let vkey = sidecar.get("/v1/boboyka/log/vkey").await;
    store.hold(true);
    let uploads = store.uploads();
    ingest(&sidecar, 6, 6).await;
    store.uploaded(uploads + 1).await;
    let signed = ingest(&sidecar, 12, 3).await;
    let covers = || async {
        let status = sidecar.get("/v1/boboyka/status").await;
        status["log"]["size"].as_u64() >= Some(signed)
    };
    wait_until(GUARD, covers, || "the log does not grow".to_owned()).await;
    let checkpoint = sidecar.get("/v1/boboyka/log/checkpoint").await;
    sidecar.kill_9();
    store.hold(false);
    fs::remove_dir_all(sidecar.data_dir()).unwrap();
    let id = strand_in(&store);
    let newest = segments(&store.folder(&id)).into_keys().next_back();
    let archived: u64 = newest.unwrap()[21..41].parse().unwrap();
    assert!(archived < signed);
    Lost {
        store,
        sidecar,
        id,
        hashes: hashes.collect(),
        archived,
        checkpoint: checkpoint.as_str().unwrap().to_owned(),
        vkey: vkey.as_str().unwrap().trim().to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_says_what_a_checkpoint_proves_and_what_is_missing_behind_the_archive() {
    let lost = lose().await;
    let (url, variables) = (lost.store.url(), lost.store.variables(SECRET));
    let folder = tempfile::tempdir().unwrap();
    let [policy, checkpoint] = ["policy", "checkpoint"].map(|name| folder.path().join(name));
    let trusted = ["--policy", policy.to_str().unwrap(), "--strand", &lost.id];
    let named = ["--checkpoint", checkpoint.to_str().unwrap()];
    let data = folder.path().join("data");

    // A policy that wants a witness, which there was not.
    let witness = boboyka_tests::verifiers::WITNESS_KEY;
    let wants = format!("log {}\nwitness w {witness}\nquorum w\n", lost.vkey);
    fs::write(&policy, wants).unwrap();
    let (code, text) = said(&restore(&url, &data, &variables, &trusted));
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("DOES NOT HOLD"), "{text}");

    fs::write(&policy, format!("log {}\nquorum none\n", lost.vkey)).unwrap();
    fs::write(&checkpoint, &lost.checkpoint).unwrap();
    let more = [&trusted[..], &named].concat();
    let (code, text) = said(&restore(&url, &data, &variables, &more));
    assert_eq!(code, Some(0), "{text}");
    let missing = format!("MISSING: the records {} to ", lost.archived + 1);
    assert!(text.contains(&missing), "{text}");
    assert!(text.contains("signed by the log's key"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_strand_is_rebuilt_and_goes_on_as_the_next_incarnation_behind_its_archive() {
    let mut lost = lose().await;
    let data = lost.sidecar.data_dir();
    let output = restore(&lost.store.url(), &data, &lost.store.variables(SECRET), &[]);
    let (code, text) = said(&output);
    assert_eq!(code, Some(0), "{text}");
    let whole = format!(
        "the records 1 to {} of the strand {}",
        lost.archived, lost.id
    );
    assert!(text.contains(&whole), "{text}");
    assert!(text.contains("goes on as incarnation 2"), "{text}");

    lost.sidecar.restart().await;
    let sidecar = &lost.sidecar;
    let verdict = sidecar.get("/v1/boboyka/verify").await;
    assert_eq!(verdict["ok"], true, "{verdict}");
    for hash in &lost.hashes {
        sidecar.get(&format!("/v1/boboyka/records/{hash}")).await;
    }
    let status = sidecar.get("/v1/boboyka/status").await;
    assert_eq!(status["strand"]["gaps"], json!([]));
    assert_eq!(status["strand"]["quarantined"], json!([]));
    let folder = lost.store.folder(&lost.id);
    let before = segments(&folder);
    let head = ingest(sidecar, 20, 5).await;
    let archive = holds(sidecar, head).await;
    assert_eq!(archive["error"], Value::Null);
    let log = sidecar.get("/v1/boboyka/status").await["log"].clone();
    assert_eq!(log["incarnation"], 2, "{log}");
    let after = segments(&folder);
    for (name, object) in &before {
        assert!(after[name] == *object, "{name} was written again");
    }
    let checkpoint = String::from_utf8(objects(&folder)["checkpoint"].0.clone()).unwrap();
    let origin = checkpoint.lines().next().unwrap();
    assert!(origin.ends_with(&format!("{}/2", lost.id)), "{origin}");
}

/// The one strand in a store.
fn strand_in(store: &Objects) -> String {
    let folder = store.folder("x");
    let mut strands = fs::read_dir(folder.parent().unwrap()).unwrap();
    let only = strands.next().unwrap().unwrap().file_name();
    only.to_string_lossy().into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_was_altered_or_is_missing_is_named_and_nothing_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let (_sidecar, objects, head) = archived(folder.path()).await;
    let url = format!("file://{}", folder.path().display());
    let target = tempfile::tempdir().unwrap();
    let data = target.path().join("data");
    let names: Vec<_> = segments(&objects).into_keys().collect();
    assert!(names.len() >= 3, "{names:?}");
    let name = &names[1];
    let path = objects.join(name);
    let whole = fs::read(&path).unwrap();

    for at in [30, whole.len() / 2, whole.len() - 1] {
        let mut altered = whole.clone();
        altered[at] ^= 1;
        fs::write(&path, &altered).unwrap();
        let (code, text) = said(&restore(&url, &data, &[], &[]));
        assert_eq!(code, Some(1), "{text}");
        assert!(
            text.contains(name) && text.contains("DOES NOT HOLD"),
            "{text}"
        );
        assert_eq!(fs::read_dir(&data).unwrap().count(), 0);
    }
    fs::remove_file(&path).unwrap();
    let (code, text) = said(&restore(&url, &data, &[], &[]));
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("are missing"), "{text}");
    // A part of it under another name is another history.
    fs::write(&path, &whole).unwrap();
    let other = format!("{}-{:020}.seg", &name[..20], head + 9);
    fs::copy(&path, objects.join(&other)).unwrap();
    let (code, text) = said(&restore(&url, &data, &[], &[]));
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("two histories") && text.contains(&other),
        "{text}"
    );
    fs::remove_file(objects.join(&other)).unwrap();
    // A checkpoint that signs another tree.
    let consistency = fs::read_to_string(objects.join("consistency")).unwrap();
    let checkpoint = fs::read_to_string(objects.join("checkpoint")).unwrap();
    let root = checkpoint.lines().nth(2).unwrap();
    let altered = root.replacen(&root[..1], if root.starts_with('A') { "B" } else { "A" }, 1);
    fs::write(
        objects.join("consistency"),
        consistency.replace(root, &altered),
    )
    .unwrap();
    let (code, text) = said(&restore(&url, &data, &[], &[]));
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("FORKED"), "{text}");
    fs::write(objects.join("consistency"), &consistency).unwrap();

    let (code, text) = said(&restore(&url, &data, &[], &[]));
    assert_eq!(code, Some(0), "{text}");
    let verified = Command::new(boboyka_tests::sidecar::binary())
        .args(["verify", "--data-dir"])
        .arg(&data)
        .output()
        .unwrap();
    assert_eq!(said(&verified).0, Some(0), "{verified:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_with_something_in_it_is_refused_and_an_unfinished_restore_is_never_served() {
    let folder = tempfile::tempdir().unwrap();
    let (mut sidecar, _, _) = archived(folder.path()).await;
    let url = format!("file://{}", folder.path().display());
    let (code, text) = said(&restore(&url, &sidecar.data_dir(), &[], &[]));
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("is not empty"), "{text}");
    sidecar.restart().await;
    assert!(sidecar.terminate());

    let data = tempfile::tempdir().unwrap();
    fs::create_dir(data.path().join("restore-unfinished")).unwrap();
    let output = Command::new(boboyka_tests::sidecar::binary())
        .arg("--data-dir")
        .arg(data.path())
        .output()
        .unwrap();
    let (code, text) = said(&output);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("did not finish"), "{text}");

    let empty = tempfile::tempdir().unwrap();
    let nowhere = format!("file://{}", empty.path().display());
    let (code, text) = said(&restore(&nowhere, &empty.path().join("data"), &[], &[]));
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("has no strand"), "{text}");
}
