//! Bytes that Go's public libraries made (`golang.org/x/mod/sumdb`, `transparency-dev/formats`): ours are the same.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that panics says where"
)]

use boboyka_tlog::key::Kind;
use boboyka_tlog::note::Signature;
use boboyka_tlog::witness::AddCheckpoint;
use boboyka_tlog::{Bundle, Checkpoint, CompactRange, Note, SigningKey, TreeHash, VerifierKey};
use boboyka_tlog::{proof, tile::Tile, tree};

const ORIGIN: &str = "strand.example/0196c150";
const LOG_KEY: &str =
    "strand.example/0196c150+30429e24+AepKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs";
const WITNESS_KEY: &str =
    "witness.example/w1+24b5d9fe+BP0XJDhaoMdbZPt4zWAvodmR/ev3axPFjtcC6sg16fYY";
const FIRST: &str = "\
strand.example/0196c150
1
9vQdwrqEkZFMv/Q2rLNxTDlhyL0cL26cMZLg0U/ktFI=

\u{2014} strand.example/0196c150 MEKeJGAQNXa9zMoz9qRvO45rQOAI09vk+Grc16EAfT881aGqAJhFF9EUkqP16OxrDpeGONKNxIMgAOiwTDv9amZyqQo=
";
const SECOND: &str = "\
strand.example/0196c150
2
5RUO6CMNBqMfTevB//E87zOSs6p9z6cP3ZlXQHWfCS0=

\u{2014} strand.example/0196c150 MEKeJDqCg0L+EAOwUcmVLf8ZMVsO8CVUfPAOJvfy3odwoPVL/tERwvvYkqgZcj3kwAfDAAW4H/Nr0XJo4LZ4HqQ0Lwc=
";
const COSIGNATURE: &str = "\u{2014} witness.example/w1 JLXZ/gAAAABrSdIA55DiQ+MbiaRHiQooQ8zAW4bp/6e2YMPFD0kTBrzv/h30v7a8siHc5tYd+EnjuBkW8fBr8/pudRknHzpAWmHjBQ==";

/// The leaf hashes of the entries "0" to "6".
fn digits() -> Vec<TreeHash> {
    (b'0'..=b'6')
        .map(|digit| TreeHash::of_leaf(&[digit]))
        .collect()
}

fn bytes_of(hex: &str) -> Vec<u8> {
    let digits = (0..hex.len()).step_by(2);
    digits
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect()
}

fn hash(hex: &str) -> TreeHash {
    TreeHash::from_bytes(bytes_of(hex).try_into().unwrap())
}

/// The headers 1 and 2 of the strand that another implementation made.
fn headers() -> [Vec<u8>; 2] {
    let golden = include_str!("../../sidecar/strand/tests/golden/strand-v1.txt");
    [1, 2].map(|seq| {
        let prefix = format!("header {seq}: ");
        let line = golden.lines().find_map(|line| line.strip_prefix(&prefix));
        bytes_of(line.unwrap())
    })
}

fn log_key() -> SigningKey {
    SigningKey::from_seed(ORIGIN, Kind::Log, [7; 32]).unwrap()
}

struct Leaves(Vec<TreeHash>);

impl proof::Tiles for Leaves {
    type Error = String;

    fn tile(&mut self, tile: Tile) -> Result<Vec<TreeHash>, String> {
        assert_eq!((tile.level, tile.index), (0, 0));
        Ok(self.0[..usize::from(tile.width)].to_vec())
    }
}

#[test]
fn seven_entries_have_the_roots_and_proofs_of_go() {
    let root = |size| tree::root_of(&digits()[..size]);
    let expected = [
        (
            1,
            "db3426e878068d28d269b6c87172322ce5372b65756d0789001d34835f601c03",
        ),
        (
            3,
            "725d5230db68f557470dc35f1d8865813acd7ebb07ad152774141decbae71327",
        ),
        (
            6,
            "32805cc5e94134743d0aa580ef2ee332687b687fc2e4e2f72fee1cc712e0ba0c",
        ),
        (
            7,
            "a3e23b32ccb6bf96d092d165d8aa546e09829de8f03b0e8957581d1e16b92bdf",
        ),
    ];
    for (size, hex) in expected {
        assert_eq!(root(size), hash(hex), "size {size}");
    }
    let two = hash("fa61e3dec3439589f4784c893bf321d0084f04c572c7af2b68e3f3360a35b486");
    let three = hash("906c5d2485cae722073a430f4d04fe1767507592cef226629aeadb85a2ec909d");
    let first_two = hash("cb00989d94a569c0a678ae042b63dcd4625db96440517f37a6eb7976ea24ed4b");
    let last_three = hash("973f083957c7359fb1943acf9e6689bca6ca5ea7197d808aad3c14498689efe0");
    let mut leaves = Leaves(digits());
    let subtrees = proof::inclusion_subtrees(3, 7).unwrap();
    let inclusion = proof::roots(&subtrees, 7, &mut leaves).unwrap();
    assert_eq!(inclusion, [two, first_two, last_three]);
    let subtrees = proof::consistency_subtrees(3, 7).unwrap();
    let consistency = proof::roots(&subtrees, 7, &mut leaves).unwrap();
    assert_eq!(consistency, [two, three, first_two, last_three]);
}

#[test]
fn the_log_of_two_headers_has_the_checkpoints_of_go() {
    let key = log_key();
    assert_eq!(key.verifier().to_string(), LOG_KEY);
    let mut tree = CompactRange::new();
    for (header, expected) in headers().iter().zip([FIRST, SECOND]) {
        tree.push(TreeHash::of_leaf(header));
        let checkpoint = Checkpoint::new(ORIGIN.into(), tree.size(), tree.root()).unwrap();
        assert_eq!(checkpoint.sign(&key).to_string(), expected);
    }
    let leaves = headers().map(|header| TreeHash::of_leaf(&header));
    let expected = [
        "f6f41dc2ba8491914cbff436acb3714c3961c8bd1c2f6e9c3192e0d14fe4b452",
        "892a8b9089d42ddb51f50998311bbcc534dfc3acc1bf94a1db6362394678c786",
    ];
    assert_eq!(leaves, expected.map(hash));
}

#[test]
fn a_witness_cosigns_as_go_does() {
    let key = SigningKey::from_seed("witness.example/w1", Kind::Witness, [9; 32]).unwrap();
    assert_eq!(key.verifier().to_string(), WITNESS_KEY);
    let mut note: Note = SECOND.parse().unwrap();
    let signature = Signature::of(&key, note.text(), 1_800_000_000);
    assert_eq!(signature.to_string(), COSIGNATURE);
    note.push(signature);
    let keys: [VerifierKey; 2] = [LOG_KEY, WITNESS_KEY].map(|key| key.parse().unwrap());
    let signed = note.verify(&keys).unwrap();
    let times: Vec<_> = signed.iter().map(|signed| signed.seconds).collect();
    assert_eq!(times, [None, Some(1_800_000_000)]);
}

#[test]
fn the_proof_of_the_second_header_is_that_of_go() {
    let text = format!(
        "c2sp.org/tlog-proof@v1\nindex 1\n9vQdwrqEkZFMv/Q2rLNxTDlhyL0cL26cMZLg0U/ktFI=\n\n{SECOND}"
    );
    let bundle: Bundle = text.parse().unwrap();
    assert_eq!(bundle.to_string(), text);
    let leaf = TreeHash::of_leaf(&headers()[1]);
    assert_eq!(bundle.verify(leaf).unwrap().size(), 2);
    let mut leaves = Leaves(headers().map(|header| TreeHash::of_leaf(&header)).into());
    let subtrees = proof::inclusion_subtrees(1, 2).unwrap();
    assert_eq!(
        proof::roots(&subtrees, 2, &mut leaves).unwrap(),
        bundle.hashes
    );
}

#[test]
fn the_request_to_a_witness_is_that_of_go() {
    let text = format!("old 1\niSqLkInULdtR9QmYMRu8xTTfw6zBv5Sh22NiOUZ4x4Y=\n\n{SECOND}");
    let request: AddCheckpoint = text.parse().unwrap();
    assert_eq!(request.to_string(), text);
    let first: Checkpoint = Checkpoint::of_note(&FIRST.parse().unwrap()).unwrap();
    let last = Some((first.size(), first.root()));
    let keys = [LOG_KEY.parse().unwrap()];
    let decided = boboyka_tlog::witness::decide(&request, &keys, last).unwrap();
    assert_eq!(decided.size(), 2);
}
