//! The bytes of every form, which disks out there hold: a change of one of these is a change of the format.

use std::fmt::Write as _;

use boboyka_crds::Phase;
use boboyka_strand::{Hash, Head, Hlc, PerType, RecordType};
use uuid::Uuid;

use super::Stored;
use crate::anchor::Anchor;
use crate::binding::Binding;
use crate::floor::Floor;
use crate::lane::{DeadLetter, Mark};
use crate::legacy::{Legacy, Span};
use crate::phase::{PhaseState, RecordedPhase};

const HASH: &str = "c4200101010101010101010101010101010101010101010101010101010101010101";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    })
}

#[track_caller]
fn lies_as<T: Stored + std::fmt::Debug + PartialEq>(value: &T, expected: &str) {
    let bytes = value.to_bytes().unwrap();
    assert_eq!(hex(&bytes), expected);
    assert_eq!(T::from_bytes(&bytes).unwrap(), *value);
    let cut_short = T::from_bytes(&bytes[..bytes.len() - 1]).unwrap_err();
    assert_eq!(cut_short.what, T::NAME);
}

fn floor() -> Floor {
    Floor {
        head: Head {
            seq: 300,
            hash: Hash::from_bytes([1; 32]),
            hlc: Hlc::new(7),
        },
        counts: PerType::from_array([1, 2, 3, 4, 0]),
        unmirrored: PerType::from_array([0, 0, 1, 0, 0]),
    }
}

fn state(phase: Phase, mirror_until: Option<u64>) -> PhaseState {
    PhaseState {
        phase,
        generation: 7,
        mirror_until,
        finalized: false,
        counts: PerType::from_array([5, 6, 7, 8, 0]),
        legacy: None,
    }
}

#[test]
fn legacy_projects_lie_as_names_with_the_spans_in_which_they_were_on_the_list() {
    let span = |first, last| Span { first, last };
    let projects = [
        ("a".into(), vec![span(11, Some(20)), span(31, None)]),
        ("b".into(), vec![span(11, Some(30))]),
    ];
    let legacy = Legacy {
        generation: 4,
        record: Some((31, Hash::from_bytes([1; 32]))),
        shared: vec![span(11, None)],
        projects: projects.into(),
    };
    let spans = "92920b14921fc0";
    lies_as(
        &legacy,
        &format!("9404921f{HASH}91920bc09292a161{spans}92a16291920b1e"),
    );
    lies_as(&Legacy::default(), "9400c09090");
}

#[test]
fn a_binding_lies_as_a_record_and_a_seq_of_which_one_is_nil_at_least() {
    lies_as(&Binding::Nothing, "92c0c0");
    let record = Binding::Record(9, Hash::from_bytes([1; 32]));
    lies_as(&record, &format!("929209{HASH}c0"));
    lies_as(&Binding::Earlier(300), "92c0cd012c");
}

#[test]
fn a_mark_lies_as_three_numbers() {
    let mark = Mark {
        seq: 9,
        mirrored: 5,
        dead_lettered: 1,
    };
    lies_as(&mark, "93090501");
}

#[test]
fn a_dead_letter_lies_as_seven_elements() {
    let letter = DeadLetter {
        record_type: RecordType::AuditLog,
        seq: 3,
        record_hash: Hash::from_bytes([1; 32]),
        code: "23514".to_owned(),
        message: "no".to_owned(),
        attempts: 2,
        since_ms: 1000,
    };
    let expected = format!("97a961756469745f6c6f6703{HASH}a53233353134a26e6f02cd03e8");
    lies_as(&letter, &expected);
}

#[test]
fn a_floor_lies_as_head_and_two_counts() {
    lies_as(
        &floor(),
        &format!("9393cd012c{HASH}07940102030494000001 00").replace(' ', ""),
    );
}

#[test]
fn a_phase_lies_with_its_record_and_the_phase_before() {
    let recorded = RecordedPhase {
        state: state(Phase::CutOver, Some(9)),
        record: Some((10, Hash::from_bytes([1; 32]))),
        before: Some(state(Phase::DualWrite, None)),
    };
    let now = "94a74375744f766572070 99405060708".replace(' ', "");
    let before = "94a94475616c577269746507c09405060708";
    lies_as(&recorded, &format!("93{now}920a{HASH}{before}"));
}

#[test]
fn an_anchor_lies_as_strand_floor_and_phase() {
    let anchor = Anchor {
        strand: Uuid::from_u128(5),
        floor: floor(),
        phase: None,
    };
    let expected =
        format!("93c410000000000000000000000000000000059393cd012c{HASH}0794010203049400000100c0");
    lies_as(&anchor, &expected);
}

#[test]
fn a_name_that_nobody_knows_is_an_error_that_says_so() {
    let form = (
        "brand_new".to_owned(),
        1,
        Hash::ZERO,
        String::new(),
        String::new(),
        1,
        1,
    );
    let bytes = rmp_serde::to_vec(&form).unwrap();
    let error = DeadLetter::from_bytes(&bytes).unwrap_err().to_string();
    assert!(
        error.starts_with("the stored dead letter can't be read: its record type must be one of"),
        "{error}"
    );
    let state = ("Sideways".to_owned(), 1_i64, None::<u64>, [0_u64; 4]);
    let bytes = rmp_serde::to_vec(&(state, None::<(u64, Hash)>, None::<u8>)).unwrap();
    let error = RecordedPhase::from_bytes(&bytes).unwrap_err().to_string();
    assert_eq!(
        error,
        "the stored phase can't be read: there is no phase Sideways"
    );
}
