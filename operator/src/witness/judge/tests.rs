use boboyka_tlog::{SigningKey, TreeHash};

use super::*;
use crate::witness::memory::tests::{STRAND, cosigned, log_key};

fn leaf(text: &str) -> TreeHash {
    TreeHash::of_leaf(text.as_bytes())
}

fn request(key: &SigningKey, old: u64, size: u64, root: TreeHash) -> AddCheckpoint {
    let checkpoint = Checkpoint::new(key.verifier().name().to_owned(), size, root).unwrap();
    AddCheckpoint {
        old,
        proof: Vec::new(),
        checkpoint: checkpoint.sign(key),
    }
}

fn origin(number: u64) -> Origin {
    Origin {
        strand: STRAND,
        number,
    }
}

fn reported(number: u64, earlier: &[(u64, i64, TreeHash, Held)]) -> Reported {
    let earlier = earlier.iter().map(|(number, size, root, held)| EarlierLog {
        origin: origin(*number).to_string(),
        size: *size,
        root: root.to_string(),
        held: *held,
    });
    Reported {
        origin: origin(number).to_string(),
        key: log_key(number, 7).verifier().clone(),
        earlier: earlier.collect(),
    }
}

fn memory(all: &[(u64, u64, TreeHash)]) -> Memory {
    Memory(
        all.iter()
            .map(|(number, size, root)| cosigned(*number, *size, *root))
            .collect(),
    )
}

fn status(judged: &Judged) -> u16 {
    judged.0.as_ref().map_or_else(No::status, |_| 200)
}

#[test]
fn a_log_is_trusted_by_the_key_that_its_sidecar_reported_and_by_no_other_after_that() {
    let (none, one) = (Memory::default(), memory(&[(1, 1, leaf("a"))]));
    let ask = |seed, memory: &Memory, reported: Option<&Reported>| {
        let request = request(&log_key(1, seed), memory.0.len() as u64, 1, leaf("a"));
        status(&judge(&request, origin(1), memory, reported))
    };
    let known = reported(1, &[]);
    assert_eq!(ask(7, &none, None), 404);
    assert_eq!(ask(7, &none, Some(&reported(2, &[]))), 404);
    assert_eq!(ask(7, &none, Some(&known)), 200);
    assert_eq!(ask(8, &none, Some(&known)), 403);
    let mut other = known.clone();
    other.key = log_key(1, 8).verifier().clone();
    assert_eq!(ask(8, &one, Some(&other)), 403);
    assert_eq!(ask(7, &one, None), 200);
}

#[test]
fn two_signed_trees_of_one_size_are_a_fork_and_a_wrong_proof_is_none() {
    let memory = memory(&[(1, 2, leaf("a"))]);
    let fork = request(&log_key(1, 7), 2, 2, leaf("b"));
    let judged = judge(&fork, origin(1), &memory, None);
    assert_eq!(status(&judged), 422);
    let found = judged.1.unwrap();
    assert_eq!((found.kind, found.size), (ContradictionKind::Forked, 2));
    let unproven = request(&log_key(1, 7), 2, 3, leaf("b"));
    let judged = judge(&unproven, origin(1), &memory, None);
    assert_eq!((status(&judged), judged.1), (422, None));
    let forged = request(&log_key(1, 8), 2, 2, leaf("b"));
    let judged = judge(&forged, origin(1), &memory, None);
    assert_eq!((status(&judged), judged.1), (403, None));
}

#[test]
fn an_incarnation_must_name_its_predecessor_and_says_what_it_lost() {
    let known = memory(&[(1, 5, leaf("a"))]);
    let ask = |earlier: &[(u64, i64, TreeHash, Held)]| {
        let request = request(&log_key(2, 7), 0, 3, leaf("c"));
        let judged = judge(&request, origin(2), &known, Some(&reported(2, earlier)));
        (status(&judged), judged.1.map(|found| found.kind))
    };
    let (whole, fewer, others) = (Held::Whole, Held::Fewer, Held::Others);
    let (a, b) = (leaf("a"), leaf("b"));
    let (rewound, forked) = (ContradictionKind::Rewound, ContradictionKind::Forked);
    assert_eq!(ask(&[]), (403, None));
    assert_eq!(ask(&[(1, 5, a, whole)]), (200, None));
    assert_eq!(ask(&[(1, 6, b, whole)]), (200, None));
    assert_eq!(ask(&[(1, 5, a, fewer)]), (200, Some(rewound)));
    assert_eq!(ask(&[(1, 5, a, others)]), (200, Some(forked)));
    assert_eq!(ask(&[(1, 4, a, whole)]), (200, Some(rewound)));
    assert_eq!(ask(&[(1, 5, b, whole)]), (200, Some(forked)));
}

#[test]
fn an_older_incarnation_begins_no_more() {
    let known = memory(&[(3, 5, leaf("a"))]);
    let asked = request(&log_key(2, 7), 0, 1, leaf("c"));
    let judged = judge(&asked, origin(2), &known, Some(&reported(2, &[])));
    assert_eq!((status(&judged), judged.1), (403, None));
    let many: Vec<_> = (1..=INCARNATIONS_MAX as u64)
        .map(|number| (number, 1, leaf("a")))
        .collect();
    let next = INCARNATIONS_MAX as u64 + 1;
    let last = [(next - 1, 1, leaf("a"), Held::Whole)];
    let asked = request(&log_key(next, 7), 0, 1, leaf("c"));
    let judged = judge(
        &asked,
        origin(next),
        &memory(&many),
        Some(&reported(next, &last)),
    );
    assert!(matches!(judged.0, Err(No::Incarnations)), "{judged:?}");
}
