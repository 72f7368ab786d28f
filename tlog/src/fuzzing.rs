//! What reads text of others, for the fuzz targets: what it takes prints as what was read.

#![allow(
    clippy::missing_panics_doc,
    reason = "a target that panics has found something"
)]

use std::fmt::Display;
use std::str::FromStr;

use crate::hash::TreeHash;
use crate::tile::Place;
use crate::{Bundle, Checkpoint, Note, Policy, VerifierKey, witness};

/// A signed note, and a checkpoint.
pub fn note(bytes: &[u8]) {
    let note = round::<Note>(bytes);
    if let Some(note) = note {
        let _ = Checkpoint::of_note(&note).map(|checkpoint| {
            assert_eq!(checkpoint.to_string(), note.text());
        });
    }
}

/// A `.tlog-proof`.
pub fn bundle(bytes: &[u8]) {
    if let Some(bundle) = round::<Bundle>(bytes) {
        let _ = bundle.verify(TreeHash::EMPTY);
    }
}

/// A request to a witness.
pub fn add_checkpoint(bytes: &[u8]) {
    if let Some(request) = round::<witness::AddCheckpoint>(bytes) {
        let _ = witness::decide(&request, &[], None);
    }
}

/// A policy.
pub fn policy(bytes: &[u8]) {
    let _ = std::str::from_utf8(bytes).map(Policy::from_str);
}

/// A verifier key.
pub fn key(bytes: &[u8]) {
    round::<VerifierKey>(bytes);
}

/// The path of a tile or of entries.
pub fn path(bytes: &[u8]) {
    let place = std::str::from_utf8(bytes)
        .ok()
        .and_then(|path| Some((path, Place::from_path(path).ok()?)));
    match place {
        Some((path, Place::Tile(tile))) => assert_eq!(tile.to_string(), path),
        Some((path, Place::Entries(entries))) => assert_eq!(entries.to_string(), path),
        None => {}
    }
}

fn round<T: FromStr + Display>(bytes: &[u8]) -> Option<T> {
    let text = std::str::from_utf8(bytes).ok()?;
    let read = text.parse::<T>().ok()?;
    assert_eq!(read.to_string(), text);
    Some(read)
}
