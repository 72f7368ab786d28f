//! A strand that was appended holds; whatever is altered in it, verification names the first seq that
//! does not hold any more. And the bytes stay what they are: others have written verifiers for them.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::format_push_string,
    clippy::format_collect,
    reason = "a test that panics says where"
)]

use boboyka_strand::chain::{Break, verify};
use boboyka_strand::record_id::RecordIds;
use boboyka_strand::run::{self, RunError};
use boboyka_strand::{Block, Flags, Hash, Head, Hlc, Record, RecordType};
use proptest::prelude::*;

fn record(n: usize) -> Record {
    let kind = RecordType::MIRRORED[n % 4];
    let data = match kind {
        RecordType::ProjectBuild => {
            format!(r#"{{"project_id":"p","build_id":"b{n}","status":"queued"}}"#)
        }
        RecordType::BuildQueueItem => {
            format!(r#"{{"queue_id":"q{n}","project_id":"p","status":"done","priority":{n}}}"#)
        }
        RecordType::AgentHealth => {
            format!(r#"{{"agent_id":"a{n}","status":"healthy","cpu_pct":{n}.5}}"#)
        }
        RecordType::AuditLog => {
            format!(r#"{{"agent_id":"a","event":"e{n}","metadata":{{"n":{n}}}}}"#)
        }
        RecordType::Document => unreachable!("no other type is asked for"),
    };
    Record::from_json(kind, &data).unwrap()
}

fn strand(len: usize, from: Head, clock: impl Fn(usize) -> u64) -> Vec<Block> {
    let mut head = from;
    let mut ids = RecordIds::starting_at(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
    (0..len)
        .map(|n| {
            let block = head.link(record(n), |ms| ids.next(ms), clock(n));
            head = Head::of(&block);
            block
        })
        .collect()
}

fn head_of(blocks: &[Block]) -> Head {
    blocks.last().map_or(Head::EMPTY, Head::of)
}

fn steady(n: usize) -> u64 {
    1_747_000_000_000 + n as u64 / 3
}

/// The bytes of a strand of two blocks: headers, payloads, hashes, and both as a run. The format's
/// document walks through them; for version 1 they never change.
const GOLDEN: &str = include_str!("golden/strand-v1.txt");

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_bytes_of_blocks_and_runs_are_the_golden_ones() {
    let blocks = strand(2, Head::EMPTY, steady);
    let mut text = String::new();
    for block in &blocks {
        let seq = block.header.seq;
        text += &format!("header {seq}: {}\n", hex(&block.header.encode()));
        text += &format!("payload {seq}: {}\n", hex(&block.payload));
        text += &format!("hash {seq}: {}\n", block.hash);
    }
    text += &format!("run 1-2: {}\n", hex(&run::encode(&Head::EMPTY, &blocks)));
    assert_eq!(text, GOLDEN);
}

#[test]
fn equal_records_have_different_hashes() {
    let first = Head::EMPTY.link(record(0), |_| uuid::Uuid::nil(), 5);
    let second = Head::of(&first).link(record(0), |_| uuid::Uuid::nil(), 5);
    assert_eq!(first.header.payload_hash, second.header.payload_hash);
    assert_ne!(first.hash, second.hash);
}

#[test]
fn a_run_cut_anywhere_or_with_a_foreign_version_is_refused() {
    let blocks = strand(5, Head::EMPTY, steady);
    for blocks in [blocks.clone(), without_payloads(blocks, |n| n % 2 == 0)] {
        let bytes = run::encode(&Head::EMPTY, &blocks);
        for len in 0..bytes.len() {
            assert!(run::decode(&bytes[..len]).is_err(), "cut at {len}");
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert_eq!(run::decode(&longer), Err(RunError::Malformed("end")));
        let mut foreign = bytes;
        foreign[0] = 3;
        assert_eq!(run::decode(&foreign), Err(RunError::Version(3)));
    }
}

/// The same blocks after retention let some payloads go.
fn without_payloads(mut blocks: Vec<Block>, goes: impl Fn(usize) -> bool) -> Vec<Block> {
    for (n, block) in blocks.iter_mut().enumerate() {
        if goes(n) {
            block.payload = Vec::new();
        }
    }
    blocks
}

/// One way to tamper with a strand.
#[derive(Clone, Debug)]
enum Tamper {
    Drop,
    SwapWithNext,
    TruncateFromHere,
    Payload(usize, u8),
    Field(u8),
}

fn tampers() -> impl Strategy<Value = Tamper> {
    prop_oneof![
        Just(Tamper::Drop),
        Just(Tamper::SwapWithNext),
        Just(Tamper::TruncateFromHere),
        (any::<usize>(), 1..=255u8).prop_map(|(at, flip)| Tamper::Payload(at, flip)),
        (0..8u8).prop_map(Tamper::Field),
    ]
}

fn flip(hash: Hash) -> Hash {
    let mut bytes = *hash.as_bytes();
    bytes[7] ^= 1;
    Hash::from_bytes(bytes)
}

/// Alters one field of a header and recomputes the block's own hash, as a forger would.
fn forge(block: &mut Block, field: u8) {
    let header = &mut block.header;
    match field {
        0 => header.flags = header.flags.with(Flags::TOMBSTONE),
        1 => header.schema_version ^= 1,
        2 => {
            let other = RecordType::MIRRORED
                .into_iter()
                .find(|kind| *kind != header.record_type);
            header.record_type = other.unwrap();
        }
        3 => header.seq += 1,
        4 => header.record_id = uuid::Uuid::from_u128(header.record_id.as_u128() ^ 1),
        5 => header.timestamp_hlc = Hlc::new(header.timestamp_hlc.get() + 1),
        6 => header.parent_hash = flip(header.parent_hash),
        _ => header.payload_hash = flip(header.payload_hash),
    }
    block.hash = header.hash();
}

/// Tampers at `at` and says which seq is the first that can't hold.
fn tamper(blocks: &mut Vec<Block>, at: usize, how: &Tamper) -> u64 {
    let here = at as u64 + 1;
    match how {
        Tamper::SwapWithNext if at + 1 < blocks.len() => blocks.swap(at, at + 1),
        Tamper::Drop | Tamper::SwapWithNext => drop(blocks.remove(at)),
        Tamper::TruncateFromHere => blocks.truncate(at),
        Tamper::Payload(byte, flip) => {
            let payload = &mut blocks[at].payload;
            let byte = byte % payload.len();
            payload[byte] ^= flip;
        }
        Tamper::Field(field) => {
            forge(&mut blocks[at], *field);
            // A forged hash is only given away by the next block's parent, or by the head.
            let own = matches!(field, 3 | 6 | 7);
            return if own || at + 1 == blocks.len() {
                here
            } else {
                here + 1
            };
        }
    }
    here
}

proptest! {
    #[test]
    fn what_was_appended_holds_whatever_the_clock_did(
        clock in prop::collection::vec(0..4_000u64, 1..60),
    ) {
        let blocks = strand(clock.len(), Head::EMPTY, |n| clock[n]);
        prop_assert_eq!(verify(Head::EMPTY, &blocks, head_of(&blocks)), Ok(()));
        prop_assert_eq!(run::decode(&run::encode(&Head::EMPTY, &blocks)), Ok(blocks));
    }

    #[test]
    fn a_chain_holds_without_payloads_and_its_run_has_the_same_headers(
        gone in prop::collection::vec(any::<bool>(), 1..60),
    ) {
        let whole = strand(gone.len(), Head::EMPTY, steady);
        let blocks = without_payloads(whole.clone(), |n| gone[n]);
        prop_assert_eq!(verify(Head::EMPTY, &blocks, head_of(&whole)), Ok(()));
        let read = run::decode(&run::encode(&Head::EMPTY, &blocks)).unwrap();
        for ((read, whole), gone) in read.iter().zip(&whole).zip(&gone) {
            prop_assert_eq!((read.header, read.hash), (whole.header, whole.hash));
            prop_assert_eq!(read.is_gone(), *gone);
        }
        prop_assert_eq!(read, blocks);
    }

    #[test]
    fn a_run_without_payloads_that_was_altered_does_not_lead_to_its_last_hash(
        at in any::<prop::sample::Index>(), flip in 1..=u8::MAX,
    ) {
        let blocks = without_payloads(strand(5, Head::EMPTY, steady), |n| n % 2 == 0);
        let mut bytes = run::encode(&Head::EMPTY, &blocks);
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        // A payload may turn into a hash of the same place, which is then another one.
        prop_assert_ne!(run::decode(&bytes).ok(), Some(blocks));
    }

    #[test]
    fn a_run_from_the_middle_comes_back(skip in 0..20usize, len in 1..40usize) {
        let all = strand(skip + len, Head::EMPTY, steady);
        let (before, blocks) = all.split_at(skip);
        let bytes = run::encode(&head_of(before), blocks);
        prop_assert_eq!(run::decode(&bytes), Ok(blocks.to_vec()));
    }

    #[test]
    fn verification_names_the_first_broken_seq(
        len in 2..30usize, at in any::<prop::sample::Index>(), how in tampers(),
    ) {
        let mut blocks = strand(len, Head::EMPTY, steady);
        let head = head_of(&blocks);
        let first = tamper(&mut blocks, at.index(len), &how);
        let error = verify(Head::EMPTY, &blocks, head).unwrap_err();
        prop_assert_eq!(error.seq, first, "{:?}: {}", how, error);
    }

    #[test]
    fn a_flipped_header_byte_breaks_the_hash(at in 0..boboyka_strand::block::HEADER_LEN) {
        let block = &strand(1, Head::EMPTY, steady)[0];
        let mut header = block.header.encode();
        header[at] ^= 1;
        let mut hasher = blake3::Hasher::new_derive_key(boboyka_strand::hash::HEADER_CONTEXT);
        let hash = Hash::from_bytes(*hasher.update(&header).finalize().as_bytes());
        prop_assert_ne!(hash, block.hash);
    }

    #[test]
    fn no_flipped_byte_of_a_run_goes_unseen(at in any::<prop::sample::Index>(), flip in 1..=255u8) {
        let blocks = strand(40, Head::EMPTY, steady);
        let mut bytes = run::encode(&Head::EMPTY, &blocks);
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        prop_assert_ne!(run::decode(&bytes).ok(), Some(blocks.clone()));
        // Only the last hash itself may decode to other blocks' hash; the chain then breaks at it.
        if let Ok(read) = run::decode(&bytes) {
            prop_assert!(verify(Head::EMPTY, &read, head_of(&blocks)).is_err());
        }
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut bytes = bytes;
        if let Some(first) = bytes.first_mut() {
            *first = run::RUN_VERSION;
        }
        let _ = run::decode(&bytes);
    }
}

#[test]
fn a_chain_longer_than_its_head_or_empty_where_blocks_should_be_is_broken() {
    let blocks = strand(3, Head::EMPTY, steady);
    let error = verify(Head::EMPTY, &blocks, Head::of(&blocks[1])).unwrap_err();
    assert_eq!((error.seq, error.reason), (3, Break::Seq { found: 3 }));
    let error = verify(Head::EMPTY, &[], Head::of(&blocks[1])).unwrap_err();
    assert_eq!((error.seq, error.reason), (1, Break::Missing));
}
