//! What verifiers and a witness that others wrote make of a real sidecar's log when an older copy of its volume took its place, and
//! when a copy went on beside it: they accept what is ours, and refuse what was altered.

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::{StatusCode, Uri};
use axum::routing::post;
use boboyka_store::{Options, Store};
use boboyka_tests::Sidecar;
use boboyka_tests::follower::{Monitored, next_origin};
use boboyka_tests::process::{GUARD, wait_until};
use boboyka_tests::verifiers::WITNESS_KEY;
use tempfile::{NamedTempFile, TempDir};

use crate::inside::record;
use crate::log_lives::{Files, checked, cosigned_proof, fill, fscked};

/// A sidecar whose log a witness cosigns once it is told of it.
struct Cosigned {
    sidecar: Sidecar,
    policy: NamedTempFile,
}

impl Cosigned {
    async fn start() -> Self {
        let policy = NamedTempFile::new().unwrap();
        std::fs::write(policy.path(), "quorum none\n").unwrap();
        let flags = ["--witnesses", policy.path().to_str().unwrap()];
        let sidecar = Sidecar::start_with(&flags, &[]).await;
        Self { sidecar, policy }
    }

    /// Has the witness cosign from now on.
    async fn tell_of(&mut self, witness: &Monitored) {
        let url = witness.url();
        let policy = format!("witness w {WITNESS_KEY} {url}\nquorum w\n");
        std::fs::write(self.policy.path(), policy).unwrap();
        self.sidecar.restart().await;
    }

    /// Appends records, and has the witness cosign all of them now.
    async fn grow(&mut self, vkey: &str, records: u64) -> String {
        fill(&self.sidecar, records).await;
        let head = self.sidecar.get("/v1/boboyka/status").await["strand"]["head"]["seq"].as_u64();
        self.sidecar
            .log_covers("checkpoint", vkey, head.unwrap())
            .await;
        self.sidecar.restart().await;
        self.sidecar
            .log_covers("cosigned", vkey, head.unwrap())
            .await
    }

    /// Puts a copy of a data folder in the place of its own.
    async fn set_to(&mut self, folder: &Path) {
        assert!(self.sidecar.terminate());
        std::fs::remove_dir_all(self.sidecar.data_dir()).unwrap();
        copy(folder, &self.sidecar.data_dir());
        self.sidecar.restart().await;
    }

    /// Waits for the next incarnation, and gives its key and the checkpoint of the old one that its record names.
    async fn goes_on_after(&self, origin: &str) -> (String, String) {
        let next = next_origin(origin);
        let named = || async { self.sidecar.log_key().await.starts_with(&next) };
        let log = || self.sidecar.log();
        wait_until(GUARD, named, log).await;
        let events = "/v1/boboyka/events?record_type=audit_log&include=data&limit=100";
        let events = self.sidecar.get(events).await;
        let mut events = events["events"].as_array().unwrap().iter();
        let record = events.find(|it| it["data"]["event"] == "log_incarnation");
        let metadata = &record.unwrap()["data"]["metadata"];
        assert_eq!(metadata["old_origin"], origin);
        let checkpoint = metadata["old_checkpoint"].as_str().unwrap();
        (self.sidecar.log_key().await, checkpoint.to_owned())
    }
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").args([from, to]).status();
    assert!(copied.unwrap().success());
}

fn origin(vkey: &str) -> &str {
    vkey.split('+').next().unwrap()
}

#[test]
fn the_next_origin_is_of_the_same_strand_whatever_its_id_begins_with() {
    let strand = "1d83c93a-5a5c-422f-9406-da2ec8fdece4";
    let origin = |number| format!("log.example/{strand}/{number}");
    assert_eq!(next_origin(&origin(1)), origin(2));
    assert_eq!(next_origin(&origin(19)), origin(20));
}

/// A log that a witness has cosigned, and the data folder as it was at 300 records.
async fn cosigned() -> (Cosigned, Monitored, String, TempDir) {
    let mut ours = Cosigned::start().await;
    let vkey = ours.sidecar.log_key().await;
    let witness = Monitored::start(&[&vkey]).await;
    ours.tell_of(&witness).await;
    ours.grow(&vkey, 300).await;
    assert!(ours.sidecar.terminate());
    let backup = tempfile::tempdir().unwrap();
    copy(&ours.sidecar.data_dir(), &backup.path().join("data"));
    ours.sidecar.restart().await;
    (ours, witness, vkey, backup)
}

#[tokio::test(flavor = "multi_thread")]
async fn they_accept_the_next_incarnation_of_a_volume_that_was_set_back_and_nothing_of_the_old_one_under_it()
 {
    let (mut ours, witness, first, backup) = cosigned().await;
    let (files, lost) = (Files::new(), Files::new());
    let newest = ours.grow(&first, 100).await;
    ours.sidecar.copy_log(lost.path(), 0, &newest).await;
    let hash_of_newest = ours.sidecar.get("/v1/boboyka/events?limit=1").await;
    let hash_of_newest = hash_of_newest["events"][0]["record_hash"].as_str().unwrap();
    let proof = files.write(
        "proof",
        &cosigned_proof(&ours.sidecar, hash_of_newest).await,
    );
    let newest = files.write("newest", &newest);

    ours.set_to(&backup.path().join("data")).await;
    let (second, named) = ours.goes_on_after(origin(&first)).await;
    witness.witness.trust(&second);
    let cosigned = ours.grow(&second, 50).await;
    let cosigned = files.write("cosigned", &cosigned);
    let hash = fill(&ours.sidecar, 50).await;
    let good = files.write("good", &proof_of(&ours.sidecar, &hash).await);
    let url = ours.sidecar.log_url();
    assert_eq!(
        checked(&url, &second, &["-old", &cosigned, "-proof", &good]),
        Ok(())
    );
    assert_eq!(fscked(&url, &second), Ok(()));
    assert!(checked(&url, &first, &[]).is_err(), "it is another log");
    for [flag, file] in [["-old", &newest], ["-proof", &proof]] {
        assert!(checked(&url, &second, &[flag, file]).is_err(), "{flag}");
    }
    // What the record names is the end of the history that is lost here, and that others still have.
    let named = files.write("named", &named);
    let path = lost.path().to_str().unwrap();
    let more = ["-old", &named, "-proof", &proof, "-witness", WITNESS_KEY];
    assert_eq!(checked(path, &first, &more), Ok(()));
    ours.sidecar.restart().await;
    assert_eq!(ours.sidecar.log_key().await, second);
    assert_eq!(checked(&url, &second, &["-old", &cosigned]), Ok(()));
}

/// The proof of a record under the newest checkpoint.
async fn proof_of(sidecar: &Sidecar, hash: &str) -> String {
    let proof = sidecar.get(&format!("/v1/boboyka/proof/{hash}")).await;
    proof.as_str().unwrap().to_owned()
}

/// Shows what a witness has cosigned, and looks before that at what the log shows; it cosigns nothing.
async fn curious(witness: &Monitored, log: &Sidecar) -> (String, Arc<Mutex<Vec<u16>>>) {
    let (of_witness, of_log) = (witness.url().to_owned(), log.log_url());
    let seen = Arc::<Mutex<Vec<u16>>>::default();
    let looks = Arc::clone(&seen);
    let show = move |uri: Uri| async move {
        let (status, _) = answer(&format!("{of_log}checkpoint")).await;
        looks.lock().unwrap().push(status.as_u16());
        answer(&format!("{of_witness}{}", uri.path())).await
    };
    let router = Router::new()
        .route(
            "/add-checkpoint",
            post(|| async { StatusCode::BAD_GATEWAY }),
        )
        .fallback(show);
    (
        format!("http://{}", boboyka_tests::serve(router).await),
        seen,
    )
}

async fn answer(url: &str) -> (StatusCode, String) {
    let answer = boboyka_tests::client().get(url).send().await.unwrap();
    let status = StatusCode::from_u16(answer.status().as_u16()).unwrap();
    (status, answer.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_that_was_set_back_is_not_signed_again_before_its_witness_was_asked() {
    let (mut ours, witness, first, backup) = cosigned().await;
    let newest = ours.grow(&first, 100).await;
    let folder = backup.path().join("data");
    let store = Store::open(Options::new(&folder)).unwrap();
    let unsigned: Vec<_> = (0..50).map(|n| record(n, "")).collect();
    let appended = store.append(unsigned).await.unwrap();
    assert_eq!(appended.len(), 50);
    tokio::task::spawn_blocking(move || store.close())
        .await
        .unwrap();

    let (url, seen) = curious(&witness, &ours.sidecar).await;
    let policy = format!("witness w {WITNESS_KEY} {url}\nquorum w\n");
    std::fs::write(ours.policy.path(), policy).unwrap();
    ours.set_to(&folder).await;
    let (_, named) = ours.goes_on_after(origin(&first)).await;
    assert_eq!(
        named.lines().take(3).collect::<Vec<_>>(),
        newest.lines().take(3).collect::<Vec<_>>()
    );
    let seen = seen.lock().unwrap().clone();
    assert_eq!(seen[0], 503, "nothing is signed yet: {seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn they_tell_a_copy_that_went_on_from_the_original_and_accept_both_once_it_has_a_name_of_its_own()
 {
    let (mut ours, witness, first, backup) = cosigned().await;
    let files = Files::new();
    let common = ours.sidecar.log_covers("checkpoint", &first, 300).await;
    let common = files.write("common", &common);
    let mut fork = Cosigned::start().await;
    fork.set_to(&backup.path().join("data")).await;
    let original = ours.grow(&first, 100).await;
    let original = files.write("original", &original);
    fill(&fork.sidecar, 150).await;
    let forked = fork.sidecar.log_covers("checkpoint", &first, 450).await;
    let forked = files.write("forked", &forked);
    let (our_url, their_url) = (ours.sidecar.log_url(), fork.sidecar.log_url());
    for (url, own, other) in [
        (&our_url, &original, &forked),
        (&their_url, &forked, &original),
    ] {
        let good = ["-old", common.as_str(), "-old", own.as_str()];
        assert_eq!(checked(url, &first, &good), Ok(()), "alone nobody can tell");
        assert!(checked(url, &first, &["-old", other]).is_err());
    }

    fork.tell_of(&witness).await;
    let (second, named) = fork.goes_on_after(origin(&first)).await;
    let named = files.write("named", &named);
    assert_eq!(checked(&our_url, &first, &["-old", &named]), Ok(()));
    witness.witness.trust(&second);
    let cosigned = fork.grow(&second, 50).await;
    let cosigned = files.write("cosigned", &cosigned);
    assert_eq!(checked(&their_url, &second, &["-old", &cosigned]), Ok(()));
    assert_eq!(fscked(&their_url, &second), Ok(()));
    assert!(checked(&their_url, &second, &["-old", &forked]).is_err());
    let ours_too = ours.grow(&first, 50).await;
    let ours_too = files.write("ours", &ours_too);
    let good = ["-old", &common, "-old", &original, "-old", &ours_too];
    assert_eq!(checked(&our_url, &first, &good), Ok(()));
    assert!(checked(&our_url, &first, &["-old", &forked]).is_err());
}
