//! Base64 as all C2SP formats have it: the standard alphabet, padded, no other spelling of the same bytes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Bytes as text.
pub(crate) fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Text as bytes; `None` when it is not canonical.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}
