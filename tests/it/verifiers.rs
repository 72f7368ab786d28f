//! Verifiers that others wrote accept our logs and refuse altered ones; a witness that others wrote cosigns ours.

use std::path::Path;

use boboyka_tests::Log;
use boboyka_tests::log::ORIGIN;
use boboyka_tests::verifiers::{Litewitness, WITNESS_KEY, check, fsck, serve};
use boboyka_tlog::key::Kind;
use boboyka_tlog::witness::{AddCheckpoint, Answer};
use boboyka_tlog::{Checkpoint, Note, SigningKey, TreeHash, VerifierKey};
use tempfile::TempDir;

/// More than one full tile of level 0, and a partial one of level 1.
const SIZE: u64 = 700;
/// A full tile of level 1, and a partial one of level 2.
const LARGE: u64 = 66_000;

/// A log in a folder, with the name of one of its files at hand.
struct Published {
    log: Log,
    folder: TempDir,
}

impl Published {
    fn of(size: u64) -> Self {
        Self::log(Log::of(size))
    }

    fn log(log: Log) -> Self {
        let folder = tempfile::tempdir().unwrap();
        log.publish(folder.path());
        Self { log, folder }
    }

    fn path(&self) -> &str {
        self.folder.path().to_str().unwrap()
    }

    /// Both verifiers' answers.
    fn checked(&self) -> [Result<(), String>; 2] {
        let vkey = self.log.vkey();
        [check(self.path(), &vkey, &[]), fsck(self.path(), &vkey)]
    }

    /// Writes a file beside the log and gives its path.
    fn file(&self, name: &str, text: &impl ToString) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text.to_string()).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// What the first verifier says of this text as one more argument's file.
    fn with(&self, flag: &str, text: &impl ToString) -> Result<(), String> {
        let path = self.file("argument", text);
        check(self.path(), &self.log.vkey(), &[flag, &path])
    }
}

#[test]
fn they_accept_a_log_of_every_kind_of_tile_with_old_checkpoints_and_proofs() {
    let published = Published::of(LARGE);
    assert_eq!(published.checked(), [Ok(()), Ok(())]);
    for size in [1, 255, 256, 65_536, LARGE] {
        assert_eq!(
            published.with("-old", &published.log.checkpoint(size)),
            Ok(())
        );
    }
    for (index, size) in [
        (0, 1),
        (255, 257),
        (65_535, 65_536),
        (7, LARGE),
        (LARGE - 1, LARGE),
    ] {
        assert_eq!(
            published.with("-proof", &published.log.bundle(index, size)),
            Ok(())
        );
    }
}

#[tokio::test]
async fn they_accept_a_log_over_http() {
    let published = Published::of(SIZE);
    let url = serve(published.folder.path()).await;
    let vkey = published.log.vkey();
    let checked = tokio::task::spawn_blocking(move || [check(&url, &vkey, &[]), fsck(&url, &vkey)]);
    assert_eq!(checked.await.unwrap(), [Ok(()), Ok(())]);
}

#[test]
fn they_refuse_a_log_with_one_bit_changed_in_any_kind_of_file() {
    let files = [
        ("tile/0/000", 33),
        ("tile/0/002.p/188", 5_000),
        ("tile/1/000.p/2", 63),
        ("tile/entries/001", 2 + 80),
        ("tile/entries/000", 2),
        ("tile/entries/002.p/188", 1),
    ];
    for (name, at) in files {
        let published = Published::of(SIZE);
        flip(&published.folder.path().join(name), at);
        for answer in published.checked() {
            assert!(answer.is_err(), "{name}: {answer:?}");
        }
    }
}

#[test]
fn they_refuse_a_log_with_a_missing_file() {
    for name in [
        "checkpoint",
        "tile/0/001",
        "tile/1/000.p/2",
        "tile/entries/002.p/188",
    ] {
        let published = Published::of(SIZE);
        std::fs::remove_file(published.folder.path().join(name)).unwrap();
        for answer in published.checked() {
            assert!(answer.is_err(), "{name}: {answer:?}");
        }
    }
}

#[test]
fn they_refuse_another_size_root_origin_or_key() {
    let key = SigningKey::from_seed(ORIGIN, Kind::Log, [7; 32]).unwrap();
    let stranger = SigningKey::from_seed(ORIGIN, Kind::Log, [8; 32]).unwrap();
    let root = Checkpoint::of_note(&Log::of(SIZE).checkpoint(SIZE))
        .unwrap()
        .root();
    let signed = |origin: &str, size, root, key| {
        Checkpoint::new(origin.into(), size, root)
            .unwrap()
            .sign(key)
    };
    let checkpoints = [
        signed(ORIGIN, SIZE - 1, root, &key),
        signed(ORIGIN, SIZE, TreeHash::of_leaf(b""), &key),
        signed("strand.example/other", SIZE, root, &key),
        signed(ORIGIN, SIZE, root, &stranger),
    ];
    for checkpoint in checkpoints {
        let published = Published::of(SIZE);
        published.file("checkpoint", &checkpoint);
        for answer in published.checked() {
            assert!(answer.is_err(), "{checkpoint}: {answer:?}");
        }
    }
}

#[test]
fn they_refuse_a_fork_and_a_log_that_went_back() {
    let published = Published::of(SIZE);
    let fork = Published::log(Log::forked(300, SIZE));
    assert_eq!(
        fork.checked(),
        [Ok(()), Ok(())],
        "a fork alone can't be told"
    );
    assert_eq!(fork.with("-old", &published.log.checkpoint(300)), Ok(()));
    for size in [301, SIZE, SIZE + 1] {
        let old = Log::of(size).checkpoint(size);
        assert!(fork.with("-old", &old).is_err(), "{size}");
    }
}

#[test]
fn they_refuse_a_proof_with_another_header_index_or_hash_or_with_bytes_behind_it() {
    let published = Published::of(SIZE);
    let good = || published.log.bundle(300, 513);
    assert_eq!(published.with("-proof", &good()), Ok(()));
    let mut altered: Vec<String> = Vec::new();
    let mut change = |change: &dyn Fn(&mut boboyka_tlog::Bundle)| {
        let mut bundle = good();
        change(&mut bundle);
        altered.push(bundle.to_string());
    };
    change(&|bundle| bundle.extra = published.log.bundle(301, 513).extra);
    change(&|bundle| bundle.index = 301);
    change(&|bundle| bundle.hashes.swap(0, 1));
    change(&|bundle| bundle.hashes.truncate(1));
    change(&|bundle| bundle.hashes.push(TreeHash::EMPTY));
    change(&|bundle| bundle.checkpoint = Log::forked(5, 513).checkpoint(513));
    altered.push(format!("{}behind it", good()));
    for text in altered {
        assert!(published.with("-proof", &text).is_err(), "{text}");
    }
}

#[tokio::test]
async fn litewitness_cosigns_what_grows_and_refuses_a_fork() {
    let log = Log::of(SIZE);
    let mut witness = Litewitness::start(&[&log.vkey()]).await;
    let request = |log: &Log, old, new| AddCheckpoint {
        old,
        proof: log.consistency(old, new),
        checkpoint: log.checkpoint(new),
    };
    let (status, answer) = witness.add(&request(&log, 0, 300)).await;
    assert_eq!(status, 200, "{answer:?}");
    witness.restart().await;
    let (_, answer) = witness.add(&request(&log, 0, SIZE)).await;
    assert_eq!(answer, Answer::LastSize(300));
    let mut wrong = request(&log, 300, SIZE);
    wrong.proof.swap(0, 1);
    assert_eq!(witness.add(&wrong).await.0, 422);
    let fork = Log::forked(299, SIZE);
    assert_eq!(witness.add(&request(&fork, 300, SIZE)).await.0, 422);
    let (_, answer) = witness.add(&request(&log, 300, SIZE)).await;
    accepted_with_cosignature(log, answer);
}

/// The cosigned checkpoint satisfies us and the outside verifier; a spoilt one neither.
fn accepted_with_cosignature(log: Log, answer: Answer) {
    let Answer::Cosigned(signatures) = answer else {
        panic!("{answer:?}")
    };
    let mut note = log.checkpoint(SIZE);
    for signature in signatures {
        note.push(signature);
    }
    let key: VerifierKey = WITNESS_KEY.parse().unwrap();
    assert!(
        note.verify(std::slice::from_ref(&key)).unwrap()[0]
            .seconds
            .is_some()
    );
    let published = Published::log(log);
    let checked = |note: &str| {
        published.file("checkpoint", &note);
        let vkey = published.log.vkey();
        check(published.path(), &vkey, &["-witness", WITNESS_KEY])
    };
    assert_eq!(checked(&note.to_string()), Ok(()));
    assert!(checked(&published.log.checkpoint(SIZE).to_string()).is_err());
    let older: Note = published.log.checkpoint(SIZE - 1);
    let spoilt = note.to_string().replace(note.text(), older.text());
    assert!(checked(&spoilt).is_err());
}

fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 4;
    std::fs::write(path, bytes).unwrap();
}
