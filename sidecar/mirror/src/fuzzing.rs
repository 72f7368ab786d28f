//! Readers of Supabase's bytes, for the fuzz targets.

#![allow(
    clippy::missing_panics_doc,
    reason = "a target that panics has found something"
)]

use crate::failure::Failure;

/// An answer of any status with any body. What is logged of it holds no line break, and nothing that it only quotes.
pub fn reply(bytes: &[u8]) {
    let Some((status, body)) = bytes.split_first_chunk() else {
        return;
    };
    let status = 300 + u16::from_be_bytes(*status) % 300;
    let failure = Failure::from_answer("table", status, body, br#"[{"x":"secret"}]"#, None);
    assert!(!failure.code.is_empty() && !failure.message.is_empty());
    let told = format!("{} {}", failure.code, failure.message);
    assert!(!told.contains(char::is_control), "{told:?}");
    assert!(told.len() < 1_000, "{told:?}");
}
