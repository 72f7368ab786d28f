//! Server-sent events as text. JSON has no line breaks, so each event has one line of data.

use std::io::Write as _;

use boboyka_strand::Seq;
use serde::Serialize;

/// How long a reader waits before it comes back, in milliseconds.
const RETRY_MS: u64 = 2_000;

/// What a stream begins with. The id lets a reader come back that was cut off before the first event.
pub(super) fn beginning(after: Seq) -> Vec<u8> {
    format!("retry: {RETRY_MS}\nid: {after}\n\n").into_bytes()
}

/// A sign of life, which also moves the reader on past records that it did not ask for.
pub(super) fn heartbeat(passed: Seq) -> Vec<u8> {
    format!(": heartbeat\nid: {passed}\n\n").into_bytes()
}

/// Adds an event. Its id is the place that a reader comes back with; an event without one leaves the reader where it is.
///
/// # Errors
/// The value can't be written as JSON.
pub(in crate::api) fn event(
    text: &mut Vec<u8>,
    name: &str,
    id: Option<u64>,
    data: &impl Serialize,
) -> serde_json::Result<()> {
    if let Some(id) = id {
        // Writing to memory does not fail.
        let _ = writeln!(text, "id: {id}");
    }
    let _ = write!(text, "event: {name}\ndata: ");
    serde_json::to_writer(&mut *text, data)?;
    text.extend_from_slice(b"\n\n");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::event;

    #[test]
    fn a_value_with_line_breaks_is_one_line_of_data() {
        let mut text = Vec::new();
        event(&mut text, "record", Some(7), &"a\nb\rc\u{2028}").unwrap();
        let text = String::from_utf8(text).unwrap();
        let expected = "id: 7\nevent: record\ndata: \"a\\nb\\rc\u{2028}\"\n\n";
        assert_eq!(text, expected);
    }
}
