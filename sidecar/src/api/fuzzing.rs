//! Readers of callers' bytes, for the fuzz targets: each takes any bytes, and panics when an answer contradicts itself.

#![allow(
    clippy::missing_panics_doc,
    reason = "a target that panics has found something"
)]

use super::ingest::parse;
use super::splitter::{Format, Splitter};
use super::{ApiError, cursor};

/// A body of one record.
pub fn ingest(bytes: &[u8]) {
    if let Err(error) = parse(bytes) {
        assert!(!error.message.is_empty());
    }
}

/// A batch as an array: cut anywhere, it has the same records.
pub fn array(bytes: &[u8]) {
    batch(bytes, Format::Array);
}

/// A batch as JSON lines.
pub fn lines(bytes: &[u8]) {
    batch(bytes, Format::Lines);
}

/// The text of a cursor: what is taken for one is what the feed gives.
pub fn cursor(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Some(seq) = cursor::decode(&text, "") {
        assert_eq!(cursor::encode(seq, ""), text);
    }
    if let Some(at) = cursor::At::decode(&text, "") {
        assert_eq!(at.encode(""), text);
    }
}

fn batch(bytes: &[u8], format: Format) {
    let whole = split(&[bytes], format);
    for text in whole.iter().flatten() {
        ingest(text);
    }
    let middle = bytes.first().map_or(0, |byte| usize::from(*byte));
    let (begin, end) = bytes.split_at(middle.min(bytes.len()));
    assert_eq!(split(&[begin, end], format), whole);
}

fn split(parts: &[&[u8]], format: Format) -> Result<Vec<Vec<u8>>, ApiError> {
    let (mut texts, mut splitter) = (Vec::new(), Splitter::new(format));
    let mut take = |text: &[u8]| {
        texts.push(text.to_vec());
        Ok(())
    };
    for part in parts {
        splitter.push(part, &mut take)?;
    }
    splitter.finish(&mut take)?;
    Ok(texts)
}
