//! Keys of the tail's trees: they sort as what they stand for.

use boboyka_strand::{RecordType, Seq};

use crate::error::TailError;

pub(super) fn read_run_key(key: &[u8]) -> Result<(Seq, u8), TailError> {
    match key.split_first_chunk() {
        Some((seq, [piece])) => Ok((Seq::from_be_bytes(*seq), *piece)),
        _ => Err(TailError::Value {
            what: "run",
            why: "its key has another length".to_owned(),
        }),
    }
}

pub(super) fn letter_key(lane: RecordType, seq: Seq) -> [u8; 9] {
    let mut key = [lane.code(); 9];
    if let Some(place) = key.last_chunk_mut() {
        *place = seq.to_be_bytes();
    }
    key
}
