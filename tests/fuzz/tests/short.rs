//! A short run of every target: its seeds, and what becomes of them by small changes. The same for every run, as far as
//! the machine gets in the time.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that panics says where"
)]

use std::panic::catch_unwind;
use std::time::{Duration, Instant};

use boboyka_fuzz_targets::{TARGETS, Target};
use fastrand::Rng;

/// For each target.
const TIME: Duration = Duration::from_secs(4);
/// A machine that gets no further than this in the time goes on.
const INPUTS_MIN: u32 = 300;
/// Changes of one input.
const CHANGES_MAX: usize = 6;
/// Bytes with a meaning in one of the formats.
const TELLING: &[u8] =
    b"\0\x01\x7f\x80\xff\xc0\xc1\x90\x9f\xdc\xdd{}[]\",:\\eE.-09\n\r \xef\xbb\xbf";

#[test]
fn every_target_takes_any_bytes() {
    for target in &TARGETS {
        let seeds = (target.seeds)();
        assert!(!seeds.is_empty(), "{}", target.name);
        for seed in &seeds {
            feed(target, seed);
        }
        let (begun, mut rng, mut inputs) = (Instant::now(), Rng::with_seed(1), 0);
        while inputs < INPUTS_MIN || begun.elapsed() < TIME {
            feed(target, &changed(&seeds, &mut rng));
            inputs += 1;
        }
    }
}

#[test]
fn every_target_has_its_program_for_cargo_fuzz() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/fuzz_targets");
    let files = std::fs::read_dir(folder).unwrap();
    let mut programs: Vec<String> = files
        .map(|file| {
            file.unwrap()
                .path()
                .file_stem()
                .unwrap()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    let mut targets: Vec<String> = TARGETS
        .iter()
        .map(|target| target.name.to_owned())
        .collect();
    programs.sort();
    targets.sort();
    assert_eq!(programs, targets);
}

fn feed(target: &Target, bytes: &[u8]) {
    let run = target.run;
    let owned = bytes.to_vec();
    assert!(
        catch_unwind(move || run(&owned)).is_ok(),
        "the target {} panics with {bytes:?}",
        target.name
    );
}

fn changed(seeds: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let mut bytes = seeds[rng.usize(..seeds.len())].clone();
    for _ in 0..rng.usize(1..=CHANGES_MAX) {
        let at = rng.usize(..=bytes.len());
        match rng.u8(..7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << rng.u8(..8),
            1 if at < bytes.len() => bytes[at] = TELLING[rng.usize(..TELLING.len())],
            2 => bytes.insert(at, TELLING[rng.usize(..TELLING.len())]),
            3 if at < bytes.len() => drop(bytes.remove(at)),
            4 => bytes.truncate(at),
            5 => {
                let piece = bytes[at..bytes.len().min(at + rng.usize(..64))].to_vec();
                let to = rng.usize(..=bytes.len());
                drop(bytes.splice(to..to, piece));
            }
            _ => {
                let other = &seeds[rng.usize(..seeds.len())];
                let from = rng.usize(..=other.len());
                bytes.splice(at.., other[from..].iter().copied());
            }
        }
    }
    bytes
}
