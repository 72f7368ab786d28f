//! Cuts a batch's body into the texts of its records while it arrives, so that no more of it is kept
//! than the record that is not whole yet. It reads the outline only: where a record ends.
//! Whether a record is JSON is for its parser to see.

use super::error::ApiError;

/// How the records of a batch are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// One a line; blank lines are none.
    Lines,
    /// Elements of one array.
    Array,
}

/// Where in an array the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Position {
    Before,
    /// In an element, at this depth of brackets.
    Element {
        depth: u32,
    },
    /// In a text of an element.
    Text {
        depth: u32,
        escaped: bool,
    },
    After,
}

/// A body on its way to being records.
#[derive(Debug)]
pub(super) struct Splitter {
    format: Format,
    /// What there is of the record that is not whole yet.
    pending: Vec<u8>,
    position: Position,
    /// Bytes seen before the current part.
    offset: usize,
    elements: usize,
}

impl Splitter {
    pub(super) fn new(format: Format) -> Self {
        Self {
            format,
            pending: Vec::new(),
            position: Position::Before,
            offset: 0,
            elements: 0,
        }
    }

    /// Takes the next part and gives each record that is whole now.
    ///
    /// # Errors
    /// When the outline is broken, or `take` refuses.
    pub(super) fn push(
        &mut self,
        part: &[u8],
        mut take: impl FnMut(&[u8]) -> Result<(), ApiError>,
    ) -> Result<(), ApiError> {
        let mut rest = part;
        while let Some((end, next)) = self.end_of_record(rest)? {
            let (record, after) = rest.split_at_checked(end).unwrap_or((rest, &[]));
            if self.pending.is_empty() {
                self.give(record, &mut take)?;
            } else {
                let mut whole = std::mem::take(&mut self.pending);
                whole.extend_from_slice(record);
                self.give(&whole, &mut take)?;
            }
            let skipped = after.get(1..).unwrap_or_default();
            self.offset += end + 1;
            self.position = next;
            rest = skipped;
        }
        self.offset += rest.len();
        if matches!(
            self.position,
            Position::Element { .. } | Position::Text { .. }
        ) || self.format == Format::Lines
        {
            self.pending.extend_from_slice(rest);
        }
        Ok(())
    }

    /// Gives the last record, if the body may end here.
    ///
    /// # Errors
    /// When the body ends too early, or `take` refuses.
    pub(super) fn finish(
        self,
        mut take: impl FnMut(&[u8]) -> Result<(), ApiError>,
    ) -> Result<(), ApiError> {
        match (self.format, self.position) {
            (Format::Lines, _) if self.pending.trim_ascii().is_empty() => Ok(()),
            (Format::Lines, _) => take(self.pending.trim_ascii()),
            (Format::Array, Position::After) => Ok(()),
            (Format::Array, _) => Err(broken(self.offset, "the array does not end")),
        }
    }

    fn give(
        &mut self,
        record: &[u8],
        take: &mut impl FnMut(&[u8]) -> Result<(), ApiError>,
    ) -> Result<(), ApiError> {
        let record = record.trim_ascii();
        if record.is_empty() {
            return Ok(());
        }
        self.elements += 1;
        take(record)
    }

    /// Where in `bytes` the current record ends, and the position after the byte that ends it.
    fn end_of_record(&mut self, bytes: &[u8]) -> Result<Option<(usize, Position)>, ApiError> {
        match self.format {
            Format::Lines => {
                let end = bytes.iter().position(|byte| *byte == b'\n');
                Ok(end.map(|end| (end, Position::Before)))
            }
            Format::Array => self.end_of_element(bytes),
        }
    }

    fn end_of_element(&mut self, bytes: &[u8]) -> Result<Option<(usize, Position)>, ApiError> {
        const INSIDE: Position = Position::Element { depth: 0 };
        for (at, byte) in bytes.iter().enumerate() {
            let here = self.offset + at;
            self.position = match self.position {
                position @ (Position::Before | Position::After) if byte.is_ascii_whitespace() => {
                    position
                }
                // The bracket ends a record of no bytes, which is none.
                Position::Before if *byte == b'[' => return Ok(Some((at, INSIDE))),
                Position::Before => return Err(broken(here, "an array of records begins with [")),
                Position::After => return Err(broken(here, "there is more after the array")),
                Position::Text { depth, escaped } => match byte {
                    b'"' if !escaped => Position::Element { depth },
                    byte => Position::Text {
                        depth,
                        escaped: !escaped && *byte == b'\\',
                    },
                },
                Position::Element { depth } => match (byte, depth) {
                    (b',' | b']', 0) => {
                        self.not_blank(bytes, at, *byte)?;
                        let last = *byte == b']';
                        return Ok(Some((at, if last { Position::After } else { INSIDE })));
                    }
                    (b'}', 0) => return Err(broken(here, "a bracket closes what none opened")),
                    (b'"', depth) => Position::Text {
                        depth,
                        escaped: false,
                    },
                    (b'[' | b'{', depth) => Position::Element { depth: depth + 1 },
                    (b']' | b'}', depth) => Position::Element { depth: depth - 1 },
                    (_, depth) => Position::Element { depth },
                },
            };
        }
        Ok(None)
    }

    /// An element has something in it; only an array without elements has nothing.
    fn not_blank(&self, bytes: &[u8], at: usize, end: u8) -> Result<(), ApiError> {
        let here = bytes.get(..at).unwrap_or_default();
        let blank = self.pending.trim_ascii().is_empty() && here.trim_ascii().is_empty();
        if blank && !(end == b']' && self.elements == 0) {
            return Err(broken(self.offset + at, "a record is missing"));
        }
        Ok(())
    }
}

fn broken(at: usize, why: &str) -> ApiError {
    ApiError::malformed(format!(
        "the body must be a JSON array of records: {why} (byte {at})"
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::{ApiError, Format, Splitter};

    /// Splits a body that arrives in parts of this many bytes.
    fn split(format: Format, body: &[u8], part: usize) -> Result<Vec<String>, ApiError> {
        let mut found = Vec::new();
        let mut splitter = Splitter::new(format);
        let mut take = |record: &[u8]| {
            found.push(String::from_utf8_lossy(record).into_owned());
            Ok(())
        };
        for part in body.chunks(part) {
            splitter.push(part, &mut take)?;
        }
        splitter.finish(&mut take)?;
        Ok(found)
    }

    #[test]
    fn brackets_and_commas_in_texts_do_not_end_a_record() {
        let body = br#" [ {"a":"],[\"}\\"} , [1,{"b":2}],3 ] "#;
        for part in 1..body.len() {
            let found = split(Format::Array, body, part).unwrap();
            assert_eq!(found, [r#"{"a":"],[\"}\\"}"#, r#"[1,{"b":2}]"#, "3"]);
        }
    }

    #[test]
    fn an_array_may_be_empty_and_lines_may_be_blank() {
        assert!(split(Format::Array, b" [ ] ", 2).unwrap().is_empty());
        assert!(split(Format::Lines, b"\n \r\n", 1).unwrap().is_empty());
        assert_eq!(split(Format::Lines, b"1\r\n\n2", 2).unwrap(), ["1", "2"]);
    }

    #[test]
    fn a_broken_outline_is_refused_where_it_breaks() {
        for (body, byte) in [
            ("", 0),
            ("{}", 0),
            ("[{}", 3),
            ("[{\"a\":\"}]", 9),
            ("[,{}]", 1),
            ("[{},]", 4),
            ("[}]", 1),
            ("[] x", 3),
        ] {
            let error = split(Format::Array, body.as_bytes(), 3).unwrap_err();
            assert!(
                error.message.contains(&format!("(byte {byte})")),
                "{body}: {error:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn every_array_is_split_into_its_elements_however_it_arrives(
            texts in proptest::collection::vec("[\\PC\\\\\"\\[\\]{},]{0,12}", 0..6),
            part in 1usize..20,
        ) {
            let elements: Vec<Value> = texts
                .iter()
                .map(|text| serde_json::json!({"t": text, "l": [text, {"n": 1}]}))
                .collect();
            let body = serde_json::to_vec_pretty(&elements).unwrap();
            let found = split(Format::Array, &body, part).unwrap();
            let found: Vec<Value> =
                found.iter().map(|text| serde_json::from_str(text).unwrap()).collect();
            prop_assert_eq!(found, elements);
        }
    }
}
