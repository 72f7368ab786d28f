//! What a witness signs (<https://c2sp.org/tlog-cosignature>, type 0x04): the checkpoint's text behind a line with the time. The
//! signature's bytes are the time and an Ed25519 signature.

/// Length of the time: seconds since 1970, big-endian.
const TIME_BYTES: usize = 8;

/// The signed bytes, for a time in seconds since 1970.
pub(crate) fn message(seconds: u64, text: &str) -> String {
    format!("cosignature/v1\ntime {seconds}\n{text}")
}

/// The bytes of a cosignature.
pub(crate) fn encode(seconds: u64, signature: &[u8]) -> Vec<u8> {
    [&seconds.to_be_bytes(), signature].concat()
}

/// The time and the Ed25519 signature; `None` when the bytes are too few for both.
pub(crate) fn decode(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (time, signature) = bytes.split_first_chunk::<TIME_BYTES>()?;
    Some((u64::from_be_bytes(*time), signature))
}
