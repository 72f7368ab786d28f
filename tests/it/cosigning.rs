//! A log is cosigned by a real litewitness, as it grows, after a restart, and no more after a fork.

use std::sync::Arc;

use boboyka_cosigning::{Cosigned, Cosigner, Fault};
use boboyka_tests::process::{GUARD, ends, wait_until};
use boboyka_tests::verifiers::{Litewitness, WITNESS_KEY};
use boboyka_tests::{Log, Sidecar};
use boboyka_tlog::policy::Party;
use boboyka_tlog::{Bundle, Checkpoint, Note, Policy, TreeHash};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// A log that shows its checkpoints one after the other.
struct Shown {
    log: Arc<Log>,
    checkpoints: watch::Receiver<Option<Arc<Note>>>,
}

impl boboyka_cosigning::Log for Shown {
    type Checkpoint = Note;

    fn note(note: &Note) -> &Note {
        note
    }

    fn checkpoints(&self) -> watch::Receiver<Option<Arc<Note>>> {
        self.checkpoints.clone()
    }

    async fn consistency(&self, old: u64, new: u64) -> Result<Vec<TreeHash>, String> {
        Ok(self.log.consistency(old, new))
    }

    async fn cosigned(&self, _witness: &str, _size: u64) {}

    async fn shown(&self, _witness: &str, _note: Note) {}
}

/// A cosigner at work on a log, until it is dropped.
struct Cosigning {
    log: Arc<Log>,
    show: watch::Sender<Option<Arc<Note>>>,
    cosigned: watch::Receiver<Cosigned>,
    stop: CancellationToken,
}

impl Drop for Cosigning {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Cosigning {
    fn of(log: Log, witness: &Litewitness) -> Self {
        let (log, stop) = (Arc::new(log), CancellationToken::new());
        let (show, checkpoints) = watch::channel(None);
        let shown = Shown {
            log: Arc::clone(&log),
            checkpoints,
        };
        let party = Party {
            key: WITNESS_KEY.parse().unwrap(),
            url: Some(witness.url("")),
        };
        let cosigner = Cosigner::new(shown, &[party]).unwrap();
        let watched = cosigner.watch();
        tokio::spawn(cosigner.run(stop.clone()));
        Self {
            log,
            show,
            cosigned: watched,
            stop,
        }
    }

    /// Shows the checkpoint of a size, and waits until this is so of what is published.
    async fn until(&mut self, size: u64, is_so: impl Fn(&Cosigned) -> bool) -> Cosigned {
        let note = self.log.checkpoint(size);
        self.show.send_replace(Some(Arc::new(note)));
        let found = self.cosigned.wait_for(|cosigned| is_so(cosigned));
        ends("what is published", found).await.unwrap().clone()
    }

    async fn is_cosigned(&mut self, size: u64) {
        let cosigned = self
            .until(size, |cosigned| size_of(cosigned) == Some(size))
            .await;
        let note = cosigned.note.unwrap();
        let keys = [self.log.vkey(), WITNESS_KEY.to_owned()].map(|key| key.parse().unwrap());
        assert_eq!(note.verify(&keys).unwrap().len(), 2, "{note}");
        assert_eq!(
            (cosigned.witnesses[0].size, &cosigned.witnesses[0].fault),
            (size, &None)
        );
    }
}

fn size_of(cosigned: &Cosigned) -> Option<u64> {
    let note = cosigned.note.as_ref()?;
    Some(Checkpoint::of_note(note).unwrap().size())
}

fn fault_of(cosigned: &Cosigned) -> Option<&Fault> {
    cosigned.witnesses.first()?.fault.as_ref()
}

#[tokio::test]
async fn litewitness_cosigns_each_size_and_names_a_fork_and_a_log_that_went_back() {
    let witness = Litewitness::start(&[&Log::of(1).vkey()]).await;
    Cosigning::of(Log::of(900), &witness).is_cosigned(300).await;
    // A cosigner that begins again learns the size from the witness.
    Cosigning::of(Log::of(900), &witness).is_cosigned(700).await;
    let mut back = Cosigning::of(Log::of(900), &witness);
    let cosigned = back
        .until(600, |cosigned| fault_of(cosigned).is_some())
        .await;
    assert_eq!(
        fault_of(&cosigned),
        Some(&Fault::Ahead {
            last: 700,
            size: 600
        })
    );
    assert_eq!(cosigned.note, None);
    let mut fork = Cosigning::of(Log::forked(699, 900), &witness);
    let cosigned = fork
        .until(900, |cosigned| fault_of(cosigned).is_some())
        .await;
    let fault = fault_of(&cosigned).unwrap();
    assert!(
        matches!(fault, Fault::Inconsistent { old: 700, .. }) && fault.is_of_log(),
        "{fault}"
    );
}

#[tokio::test]
async fn a_sidecar_has_its_log_cosigned_and_says_how_its_witnesses_stand() {
    let policy = tempfile::NamedTempFile::new().unwrap();
    let write = |text: &str| std::fs::write(policy.path(), text).unwrap();
    write("quorum none\n");
    let arguments = ["--witnesses", policy.path().to_str().unwrap()];
    let mut sidecar = Sidecar::start_with(&arguments, &[]).await;
    assert_eq!(sidecar.try_get("/v1/boboyka/log/cosigned").await.0, 404);
    let has_key = || async { sidecar.try_get("/v1/boboyka/log/vkey").await.0 == 200 };
    wait_until(GUARD, has_key, || "the log did not begin".to_owned()).await;
    let vkey = sidecar.get("/v1/boboyka/log/vkey").await;
    let vkey = vkey.as_str().unwrap().trim();
    let witness = Litewitness::start(&[vkey]).await;
    write(&format!(
        "witness w {WITNESS_KEY} {}\nquorum w\n",
        witness.url("")
    ));
    sidecar.restart().await;
    let data = serde_json::json!({"agent_id": "a", "event": "e"});
    sidecar.ingest("audit_log", &data).await;
    let size = || async {
        let status = sidecar.get("/v1/boboyka/status").await;
        status["log"]["witnesses"][0]["size"].as_u64()
    };
    let cosigned = || async { size().await == Some(1) };
    wait_until(GUARD, cosigned, || "no witness cosigned the log".to_owned()).await;
    let note = sidecar.get("/v1/boboyka/log/cosigned").await;
    let note: Note = note.as_str().unwrap().parse().unwrap();
    let keys = [vkey, WITNESS_KEY].map(|key| key.parse().unwrap());
    assert_eq!(note.verify(&keys).unwrap().len(), 2, "{note}");
    let events = sidecar.get("/v1/boboyka/events?limit=1").await;
    let hash = events["events"][0]["record_hash"].as_str().unwrap();
    let proof = sidecar
        .get(&format!("/v1/boboyka/proof/{hash}?cosigned=true"))
        .await;
    let bundle: Bundle = proof.as_str().unwrap().parse().unwrap();
    let policy: Policy = format!("log {vkey}\nwitness w {WITNESS_KEY}\nquorum w\n")
        .parse()
        .unwrap();
    let leaf = TreeHash::of_leaf(bundle.extra.as_deref().unwrap());
    assert_eq!(
        bundle.verify(leaf).unwrap(),
        policy.verify(&bundle.checkpoint).unwrap().0
    );
    let (status, error) = sidecar
        .try_get(&format!("/v1/boboyka/proof/{hash}?cosigned=1"))
        .await;
    assert_eq!(
        (status, &error["field"]),
        (400, &"cosigned".into()),
        "{error}"
    );
}

#[tokio::test]
async fn a_witness_that_is_down_is_asked_again() {
    let mut witness = Litewitness::start(&[&Log::of(1).vkey()]).await;
    witness.stop();
    let mut cosigning = Cosigning::of(Log::of(20), &witness);
    let cosigned = cosigning
        .until(10, |cosigned| fault_of(cosigned).is_some())
        .await;
    assert!(matches!(fault_of(&cosigned), Some(Fault::Failed(_))));
    witness.restart().await;
    cosigning.is_cosigned(10).await;
}
