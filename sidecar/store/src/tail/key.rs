//! Keys of the tail's trees: they sort as what they stand for.

use boboyka_strand::{RecordType, Seq};

use crate::error::TailError;

pub(super) fn read_run_key(key: &[u8]) -> Result<(Seq, u8), TailError> {
    match key.split_first_chunk() {
        Some((seq, [piece])) => Ok((Seq::from_be_bytes(*seq), *piece)),
        _ => Err(misshapen("run")),
    }
}

pub(super) fn letter_key(lane: RecordType, seq: Seq) -> [u8; 9] {
    let mut key = [lane.code(); 9];
    if let Some(place) = key.last_chunk_mut() {
        *place = seq.to_be_bytes();
    }
    key
}

/// The seq in a dead letter's key.
pub(super) fn read_letter_key(key: &[u8]) -> Result<Seq, TailError> {
    match key.split_last_chunk() {
        Some(([_], seq)) => Ok(Seq::from_be_bytes(*seq)),
        _ => Err(misshapen("dead letter")),
    }
}

fn misshapen(what: &'static str) -> TailError {
    let why = "its key has another length".to_owned();
    TailError::Value { what, why }
}
