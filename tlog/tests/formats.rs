//! Notes, keys, checkpoints and proofs as text: what is accepted, and what is refused for which reason.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that panics says where"
)]

use boboyka_tlog::bundle::BundleError;
use boboyka_tlog::checkpoint::CheckpointError;
use boboyka_tlog::key::{KeyError, Kind};
use boboyka_tlog::note::{NoteError, SIGNATURES_MAX};
use boboyka_tlog::{Bundle, Checkpoint, Note, SigningKey, TreeHash, VerifierKey};

fn key(name: &str, kind: Kind, seed: u8) -> SigningKey {
    SigningKey::from_seed(name, kind, [seed; 32]).unwrap()
}

fn log() -> SigningKey {
    key("log.example/a", Kind::Log, 1)
}

/// A checkpoint of one entry, signed by the log.
fn signed() -> Note {
    let root = TreeHash::of_leaf(b"entry");
    Checkpoint::new("log.example/a".into(), 1, root)
        .unwrap()
        .sign(&log())
}

#[test]
fn a_key_survives_its_text_and_a_secret_shows_in_no_debug_output() {
    for kind in [Kind::Log, Kind::Witness] {
        let key = key("name.example", kind, 5);
        let text = key.verifier().to_string();
        assert_eq!(&text.parse::<VerifierKey>().unwrap(), key.verifier());
        let secret = key.to_secret_text();
        let again = SigningKey::from_secret_text(&format!("{secret}\n"), kind).unwrap();
        assert_eq!(again.verifier(), key.verifier());
        assert_eq!(format!("{key:?}"), format!("SigningKey({text})"));
    }
}

#[test]
fn a_text_that_is_no_key_is_refused_for_its_reason() {
    let error = |text: &str| text.parse::<VerifierKey>().unwrap_err();
    let good = log().verifier().to_string();
    assert_eq!(error(""), KeyError::Form);
    assert_eq!(
        error(&good.replace("log.example/a+", "+")),
        KeyError::Name(String::new())
    );
    assert_eq!(
        error(&good.replace("log.example/a", "a b")),
        KeyError::Name("a b".into())
    );
    assert_eq!(error(&good.to_uppercase()), KeyError::Form);
    let other = error(&good.replace("log.example/a", "log.example/b"));
    assert!(matches!(other, KeyError::Id { .. }), "{other}");
    assert_eq!(error("n+00000000+BgAA"), KeyError::Type(6));
    assert_eq!(error("n+00000000+AQAA"), KeyError::Length(2));
    let secret = |text: &str| SigningKey::from_secret_text(text, Kind::Log).unwrap_err();
    assert_eq!(secret(&good), KeyError::NotPrivate);
    let forged = log()
        .to_secret_text()
        .replace("log.example/a", "log.example/b");
    assert!(matches!(secret(&forged), KeyError::Id { .. }));
}

#[test]
fn a_note_takes_a_hundred_signatures_of_strangers_and_checks_the_known_ones() {
    let mut note = signed();
    for seed in 2..=SIGNATURES_MAX {
        let seed = u8::try_from(seed).unwrap();
        note.sign(&key(&format!("w{seed}"), Kind::Witness, seed), 7);
    }
    let text = note.to_string();
    let known = [
        log().verifier().clone(),
        key("w40", Kind::Witness, 40).verifier().clone(),
    ];
    let signed = text.parse::<Note>().unwrap().verify(&known).unwrap();
    assert_eq!(signed.len(), 2);
    note.sign(&key("more", Kind::Log, 9), 0);
    assert_eq!(note.to_string().parse::<Note>(), Err(NoteError::Many));
}

#[test]
fn a_bad_signature_of_a_known_key_refuses_the_note_and_one_of_an_unknown_key_does_not() {
    let mut note = signed();
    note.sign(&key("w", Kind::Witness, 2), 7);
    let spoilt = note.to_string().replace("\n1\n", "\n2\n");
    let note: Note = spoilt.parse().unwrap();
    let log = log().verifier().clone();
    let bad = NoteError::Bad {
        name: "log.example/a".into(),
        id: log.id(),
    };
    assert_eq!(note.verify(std::slice::from_ref(&log)), Err(bad));
    let stranger = key("log.example/a", Kind::Log, 77).verifier().clone();
    assert_eq!(note.verify(&[stranger]), Ok(vec![]));
}

#[test]
fn the_time_of_a_cosignature_is_signed() {
    let witness = key("w", Kind::Witness, 2);
    let bytes = witness.sign("text\n", 7);
    assert_eq!(witness.verifier().verify("text\n", &bytes), Ok(Some(7)));
    let mut later = bytes.clone();
    later[7] += 1;
    assert!(witness.verifier().verify("text\n", &later).is_err());
    assert!(witness.verifier().verify("text\n", &bytes[..7]).is_err());
    assert!(witness.verifier().verify("other\n", &bytes).is_err());
}

#[test]
fn what_is_no_note_is_refused_for_its_reason() {
    let good = signed().to_string();
    let error = |text: &str| text.parse::<Note>().unwrap_err();
    assert_eq!(error(""), NoteError::Form);
    assert_eq!(error("text\n\n"), NoteError::Form);
    assert_eq!(error(good.trim_end()), NoteError::Form);
    assert_eq!(error(&format!("{good}\n")), NoteError::Form);
    assert_eq!(error(&format!("{good}x\n")), NoteError::Line(2));
    assert_eq!(error(&good.replace('\u{2014}', "-")), NoteError::Line(1));
    assert_eq!(error(&good.replace('\n', "\r\n")), NoteError::Control('\r'));
    assert_eq!(error(&"x".repeat(1_000_001)), NoteError::Long);
    assert_eq!(Note::from_bytes(b"\xff\n\n\xff"), Err(NoteError::Utf8));
}

#[test]
fn a_checkpoint_is_three_lines_and_nothing_else() {
    let root = TreeHash::of_leaf(b"entry");
    let error = |text: &str| text.parse::<Checkpoint>().unwrap_err();
    assert_eq!(
        error(&format!("a\n1\n{root}\nextension\n")),
        CheckpointError::Lines(4)
    );
    assert_eq!(error(&format!("a\n1\n{root}")), CheckpointError::Lines(3));
    assert_eq!(
        error(&format!("a b\n1\n{root}\n")),
        CheckpointError::Origin("a b".into())
    );
    for size in ["01", "-1", "+1", "", " 1", "9223372036854775808"] {
        let text = format!("a\n{size}\n{root}\n");
        assert_eq!(error(&text), CheckpointError::Size(size.into()));
    }
    assert!(matches!(error("a\n1\nAAAA\n"), CheckpointError::Root(_)));
    let unpadded = format!("a\n1\n{root}\n").replace('=', "");
    assert!(matches!(error(&unpadded), CheckpointError::Root(_)));
    assert_eq!(
        error(&format!("a\n0\n{root}\n")),
        CheckpointError::Empty(root)
    );
    assert!(
        format!("a\n0\n{}\n", TreeHash::EMPTY)
            .parse::<Checkpoint>()
            .is_ok()
    );
}

#[test]
fn a_checkpoint_counts_as_signed_only_by_a_logs_key_with_the_origin_as_its_name() {
    let known = |keys: &[&SigningKey]| {
        let keys: Vec<_> = keys.iter().map(|key| key.verifier().clone()).collect();
        let mut note = signed();
        note.sign(&key("log.example/b", Kind::Log, 3), 0);
        note.sign(&key("log.example/a", Kind::Witness, 4), 7);
        Checkpoint::verify(&note, &keys).map(|(_, signed)| signed.len())
    };
    let (other, witness) = (
        key("log.example/b", Kind::Log, 3),
        key("log.example/a", Kind::Witness, 4),
    );
    assert_eq!(known(&[&log(), &other, &witness]), Ok(3));
    let unsigned = Err(CheckpointError::Unsigned("log.example/a".into()));
    assert_eq!(known(&[&other, &witness]), unsigned);
}

#[test]
fn a_proof_survives_its_text_with_and_without_extra() {
    for extra in [None, Some(vec![]), Some(vec![0, 255, 7])] {
        let hashes = vec![TreeHash::EMPTY; 3];
        let bundle = Bundle {
            extra,
            index: 5,
            hashes,
            checkpoint: signed(),
        };
        assert_eq!(bundle.to_string().parse(), Ok(bundle));
    }
}

#[test]
fn what_is_no_proof_is_refused_for_its_reason() {
    let good = Bundle {
        extra: Some(vec![1]),
        index: 0,
        hashes: vec![],
        checkpoint: signed(),
    };
    let good = good.to_string();
    let error = |text: &str| text.parse::<Bundle>().unwrap_err();
    assert_eq!(error("index 0\n\nx"), BundleError::FirstLine);
    assert_eq!(
        error("c2sp.org/tlog-proof@v1\nindex 0\n"),
        BundleError::Form
    );
    assert_eq!(
        error(&good.replace("extra AQ==", "extra AQ")),
        BundleError::Extra
    );
    assert_eq!(
        error(&good.replace("index 0", "index 00")),
        BundleError::Index("index 00".into())
    );
    let hash = TreeHash::EMPTY.to_string();
    let with = |lines: &str| good.replace("index 0\n", &format!("index 0\n{lines}"));
    let wrong = error(&with(&format!("{hash}\nx\n"))).to_string();
    assert!(wrong.starts_with("line 2 of the proof: "), "{wrong}");
    let many = error(&with(&format!("{hash}\n").repeat(64))).to_string();
    assert_eq!(many, "the proof has more than 63 hashes");
    assert!(matches!(
        error(&format!("{good}\n")),
        BundleError::Note(NoteError::Form)
    ));
}

#[test]
fn no_changed_bit_of_a_proof_with_its_checkpoint_is_accepted() {
    let leaf = TreeHash::of_leaf(b"entry");
    let bundle = Bundle {
        extra: None,
        index: 0,
        hashes: vec![],
        checkpoint: signed(),
    };
    let keys = [log().verifier().clone()];
    let accepted = |bytes: &[u8]| {
        Bundle::from_bytes(bytes).is_ok_and(|bundle| {
            bundle.verify(leaf).is_ok() && Checkpoint::verify(&bundle.checkpoint, &keys).is_ok()
        })
    };
    let good = bundle.to_string().into_bytes();
    assert!(accepted(&good));
    for bit in 0..good.len() * 8 {
        let mut other = good.clone();
        other[bit / 8] ^= 1 << (bit % 8);
        assert!(
            !accepted(&other),
            "bit {bit}: {:?}",
            String::from_utf8_lossy(&other)
        );
    }
}
