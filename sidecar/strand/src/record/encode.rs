//! JSON text to canonical `MessagePack` in one pass: no tree of values is built. Each map's entries
//! are written as they come and put in order once the map is complete.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::check::{self, Author};
use super::entry::Entry;
use super::error::RecordError;
use super::limits::{DEPTH_MAX, TYPE_TAG};
use super::number;
use crate::record_type::{FieldKind, RecordType};

/// The canonical `MessagePack` of a record's data, with the strand's own keys and texts beside it.
pub(super) fn encode(
    record_type: RecordType,
    data: &str,
    author: Author,
    tags: &[(&str, &str)],
) -> Result<Vec<u8>, RecordError> {
    let mut encoder = Encoder {
        out: Vec::with_capacity(data.len() + 48),
        fault: None,
    };
    let mut json = serde_json::Deserializer::from_str(data);
    let entries = Top {
        encoder: &mut encoder,
    }
    .deserialize(&mut json)
    .and_then(|entries| json.end().map(|()| entries));
    let mut entries = match (encoder.fault.take(), entries) {
        (Some(fault), _) => return Err(fault.into_error()),
        (None, Err(error)) => return Err(syntax_or_number(data, &error)),
        (None, Ok(None)) => return Err(RecordError::NotAnObject),
        (None, Ok(Some(entries))) => entries,
    };
    if let Some((field, fault)) = number::find_fault(data) {
        return Err(RecordError::Number { field, fault });
    }
    encoder.make_whole(record_type, &mut entries);
    check::check(record_type, &encoder.out, &entries, author)?;
    for (key, text) in [(TYPE_TAG, record_type.name())].iter().chain(tags) {
        entries.push(encoder.entry(key, |out| write_text(out, text)));
    }
    encoder
        .assemble(0, &mut entries)
        .map_err(|field| RecordError::DuplicateKey { field })?;
    Ok(encoder.out)
}

/// The parser calls a number out of range a syntax error; the number's own fault says more.
fn syntax_or_number(data: &str, error: &serde_json::Error) -> RecordError {
    match number::find_fault(data) {
        Some((field, fault)) => RecordError::Number { field, fault },
        None => RecordError::Syntax {
            message: error.to_string(),
        },
    }
}

/// What is wrong with a value, and the way to it, innermost step first.
struct Fault {
    what: Wrong,
    path: Vec<Step>,
}

enum Wrong {
    Nul,
    TooDeep,
    Duplicate,
}

enum Step {
    Key(String),
    Index(usize),
}

impl Fault {
    fn into_error(self) -> RecordError {
        let mut field = String::new();
        for step in self.path.iter().rev() {
            match step {
                Step::Key(key) if field.is_empty() => field.push_str(key),
                Step::Key(key) => field.extend([".", key]),
                Step::Index(index) => field.extend(["[", &index.to_string(), "]"]),
            }
        }
        let field = field.replace('\0', "\u{2400}");
        match self.what {
            Wrong::Nul => RecordError::Nul { field },
            Wrong::TooDeep => RecordError::TooDeep { field },
            Wrong::Duplicate => RecordError::DuplicateKey { field },
        }
    }
}

struct Encoder {
    out: Vec<u8>,
    fault: Option<Fault>,
}

impl Encoder {
    /// Notes a fault; the error returned only stops the parser, the fault is what callers get.
    fn fail<E: Error>(&mut self, what: Wrong) -> E {
        self.fault = Some(Fault {
            what,
            path: Vec::new(),
        });
        E::custom("refused")
    }

    /// Adds a step to the way to a fault found further in.
    fn leave(&mut self, step: impl FnOnce() -> Step) {
        if let Some(fault) = &mut self.fault {
            fault.path.push(step());
        }
    }

    fn entry(&mut self, key: &str, value: impl FnOnce(&mut Vec<u8>)) -> Entry {
        let start = self.out.len();
        write_text(&mut self.out, key);
        let at_value = self.out.len();
        value(&mut self.out);
        Entry {
            start,
            key: at_value - key.len(),
            value: at_value,
            end: self.out.len(),
        }
    }

    /// Replaces floats in whole-number fields, such as `1747000000000.0` or `1.747e12`, by the integers
    /// that they are: clients whose only number is a float print them so.
    fn make_whole(&mut self, record_type: RecordType, entries: &mut [Entry]) {
        for field in record_type.fields() {
            if field.kind != FieldKind::Integer {
                continue;
            }
            let named = |entry: &&mut Entry| entry.key(&self.out) == field.name.as_bytes();
            let Some(entry) = entries.iter_mut().find(named) else {
                continue;
            };
            if let Some(whole) = whole_float(entry.value(&self.out)) {
                *entry = self.entry(field.name, |out| {
                    in_memory(rmp::encode::write_sint(out, whole));
                });
            }
        }
    }

    fn text<E: Error>(&mut self, text: &str) -> Result<(), E> {
        if text.bytes().any(|byte| byte == 0) {
            return Err(self.fail(Wrong::Nul));
        }
        write_text(&mut self.out, text);
        Ok(())
    }

    /// Reads a map's entries into the output, where they lie one after the other from its end on.
    fn entries<'de, A: MapAccess<'de>>(
        &mut self,
        depth: usize,
        mut map: A,
    ) -> Result<Vec<Entry>, A::Error> {
        let mut entries = Vec::with_capacity(8);
        while let Some(key) = map.next_key_seed(Key)? {
            let start = self.out.len();
            if let Err(error) = self.text::<A::Error>(&key) {
                self.leave(|| Step::Key(key.into_owned()));
                return Err(error);
            }
            let value = self.out.len();
            if let Err(error) = map.next_value_seed(Value {
                encoder: self,
                depth,
            }) {
                self.leave(|| Step::Key(key.into_owned()));
                return Err(error);
            }
            entries.push(Entry {
                start,
                key: value - key.len(),
                value,
                end: self.out.len(),
            });
        }
        Ok(entries)
    }

    /// Puts the entries, which fill the output from `start` on, in order behind the map's head.
    ///
    /// # Errors
    /// The key that stands there twice.
    fn assemble(&mut self, start: usize, entries: &mut [Entry]) -> Result<(), String> {
        let body = self.out.split_off(start);
        let at = |entry: &Entry| Entry {
            start: entry.start - start,
            key: entry.key - start,
            value: entry.value - start,
            end: entry.end - start,
        };
        entries.sort_unstable_by(|a, b| at(a).key(&body).cmp(at(b).key(&body)));
        for (a, b) in entries.iter().zip(entries.iter().skip(1)) {
            if at(a).key(&body) == at(b).key(&body) {
                return Err(String::from_utf8_lossy(at(a).key(&body)).into_owned());
            }
        }
        write_map_len(&mut self.out, entries.len());
        for entry in entries.iter().map(at) {
            self.out
                .extend_from_slice(body.get(entry.start..entry.end).unwrap_or_default());
        }
        Ok(())
    }
}

/// The whole of a record's data: its entries, or `None` when it is no object.
struct Top<'a> {
    encoder: &'a mut Encoder,
}

impl<'de> DeserializeSeed<'de> for Top<'_> {
    type Value = Option<Vec<Entry>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Top<'_> {
    type Value = Option<Vec<Entry>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        self.encoder.entries(1, map).map(Some)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<serde::de::IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }
}

/// A key, borrowed from the text unless it has escapes.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(key))
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(key.to_owned()))
    }
}

/// A value inside a record, written to the output as it is met.
struct Value<'a> {
    encoder: &'a mut Encoder,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.encoder.out.push(rmp::Marker::Null.to_u8());
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        let marker = if value {
            rmp::Marker::True
        } else {
            rmp::Marker::False
        };
        self.encoder.out.push(marker.to_u8());
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        in_memory(rmp::encode::write_uint(&mut self.encoder.out, value));
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        in_memory(rmp::encode::write_sint(&mut self.encoder.out, value));
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        in_memory(rmp::encode::write_f64(&mut self.encoder.out, value));
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.encoder.text(text)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Self { encoder, depth } = self;
        if depth >= DEPTH_MAX {
            return Err(encoder.fail(Wrong::TooDeep));
        }
        let start = encoder.out.len();
        let mut len = 0;
        loop {
            match seq.next_element_seed(Value {
                encoder,
                depth: depth + 1,
            }) {
                Ok(Some(())) => len += 1,
                Ok(None) => break,
                Err(error) => {
                    encoder.leave(|| Step::Index(len));
                    return Err(error);
                }
            }
        }
        let body = encoder.out.split_off(start);
        write_array_len(&mut encoder.out, len);
        encoder.out.extend_from_slice(&body);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let Self { encoder, depth } = self;
        if depth >= DEPTH_MAX {
            return Err(encoder.fail(Wrong::TooDeep));
        }
        let start = encoder.out.len();
        let mut entries = encoder.entries(depth + 1, map)?;
        encoder.assemble(start, &mut entries).map_err(|key| {
            let error = encoder.fail(Wrong::Duplicate);
            encoder.leave(|| Step::Key(key));
            error
        })
    }
}

/// The integer that equals an encoded float, if there is one.
fn whole_float(mut value: &[u8]) -> Option<i64> {
    let float = rmp::decode::read_f64(&mut value).ok()?;
    // The text has no exponent, and no point if the number is whole.
    float.to_string().parse().ok()
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    in_memory(rmp::encode::write_str(out, text));
}

/// Lengths beyond 32 bits can't occur: bodies are bounded far below.
fn write_map_len(out: &mut Vec<u8>, len: usize) {
    in_memory(rmp::encode::write_map_len(
        out,
        u32::try_from(len).unwrap_or(u32::MAX),
    ));
}

fn write_array_len(out: &mut Vec<u8>, len: usize) {
    in_memory(rmp::encode::write_array_len(
        out,
        u32::try_from(len).unwrap_or(u32::MAX),
    ));
}

/// Writing to a `Vec` can't fail; the library's signature does not know that.
fn in_memory<T, E>(written: Result<T, E>) {
    debug_assert!(written.is_ok(), "a Vec takes every byte");
    drop(written);
}
