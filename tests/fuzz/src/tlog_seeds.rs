//! Bytes to begin with for the public formats of logs.

use boboyka_tlog::key::Kind;
use boboyka_tlog::witness::AddCheckpoint;
use boboyka_tlog::{Bundle, Checkpoint, Note, SigningKey, TreeHash};

pub(crate) fn note() -> Vec<Vec<u8>> {
    vec![signed().to_string().into_bytes()]
}

pub(crate) fn bundle() -> Vec<Vec<u8>> {
    let hashes = vec![TreeHash::of_leaf(b"0"); 2];
    let bundles = [None, Some(vec![7; 105])].map(|extra| Bundle {
        extra,
        index: 1,
        hashes: hashes.clone(),
        checkpoint: signed(),
    });
    bundles.map(|bundle| bundle.to_string().into_bytes()).into()
}

pub(crate) fn add_checkpoint() -> Vec<Vec<u8>> {
    let request = AddCheckpoint {
        old: 1,
        proof: vec![TreeHash::of_leaf(b"0")],
        checkpoint: signed(),
    };
    vec![request.to_string().into_bytes()]
}

pub(crate) fn policy() -> Vec<Vec<u8>> {
    let (log, witness) = (key(Kind::Log), key(Kind::Witness));
    let text = format!(
        "# ours\nlog {} https://log.example/\nwitness w {}\ngroup g 1 w\ngroup all all g\nquorum all\n",
        log.verifier(),
        witness.verifier()
    );
    vec![text.into_bytes(), b"quorum none\n".to_vec()]
}

pub(crate) fn key_text() -> Vec<Vec<u8>> {
    let keys = [Kind::Log, Kind::Witness].map(key);
    keys.map(|key| key.verifier().to_string().into_bytes())
        .into()
}

pub(crate) fn path() -> Vec<Vec<u8>> {
    let paths = ["tile/0/x001/234/067", "tile/entries/000.p/17"];
    paths.map(|path| path.as_bytes().to_vec()).into()
}

fn key(kind: Kind) -> SigningKey {
    SigningKey::from_seed("log.example/a", kind, [7; 32]).unwrap()
}

/// A checkpoint with a log's and a witness's signature.
fn signed() -> Note {
    let root = TreeHash::of_leaf(b"1");
    let checkpoint = Checkpoint::new("log.example/a".into(), 2, root).unwrap();
    let mut note = checkpoint.sign(&key(Kind::Log));
    note.sign(&key(Kind::Witness), 1_800_000_000);
    note
}
