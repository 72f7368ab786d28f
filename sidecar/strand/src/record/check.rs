//! A record's fields against the table of its type, on the encoded values.

use rmp::Marker;

use super::entry::Entry;
use super::error::RecordError;
use super::limits::{COLLECTION_MAX_BYTES, ORIGIN_TAG, OWN_AGENT, TAG_PREFIX, TYPE_TAG};
use crate::record_type::{Field, FieldKind, RecordType};

/// Whose record it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Author {
    Caller,
    Strand,
}

/// Checks the fields that the type knows; all others are let through.
pub(super) fn check(
    record_type: RecordType,
    out: &[u8],
    entries: &[Entry],
    author: Author,
) -> Result<(), RecordError> {
    let named = |name: &str| {
        let found = entries
            .iter()
            .find(|entry| entry.key(out) == name.as_bytes());
        found.map(|entry| entry.value(out))
    };
    if named(TYPE_TAG).is_some() {
        return Err(RecordError::Reserved);
    }
    if record_type == RecordType::Document {
        check_keys(out, entries)?;
    }
    if named(ORIGIN_TAG).is_some() && author == Author::Caller {
        return Err(RecordError::ReservedKey {
            field: ORIGIN_TAG.to_owned(),
        });
    }
    for field in record_type.fields() {
        let value = named(field.name).filter(|value| !matches!(marker(value), Marker::Null));
        match value {
            Some(value) => check_value(field, value)?,
            None if field.required => return Err(RecordError::Missing { field: field.name }),
            None => {}
        }
    }
    let own =
        record_type == RecordType::AuditLog && named("agent_id").and_then(text) == Some(OWN_AGENT);
    if own && author == Author::Caller {
        return Err(RecordError::ReservedAgent);
    }
    Ok(())
}

/// A document is the caller's own, so all keys of the strand are kept apart from it.
fn check_keys(out: &[u8], entries: &[Entry]) -> Result<(), RecordError> {
    let mut keys = entries.iter().map(|entry| entry.key(out));
    match keys.find(|key| key.starts_with(TAG_PREFIX.as_bytes())) {
        Some(key) => Err(RecordError::ReservedKey {
            field: String::from_utf8_lossy(key).into_owned(),
        }),
        None => Ok(()),
    }
}

/// Whether the text is a collection's name.
pub(super) fn check_collection(name: &str) -> Result<(), RecordError> {
    let is_name = (1..=COLLECTION_MAX_BYTES).contains(&name.len())
        && !name.starts_with(TAG_PREFIX)
        && !name.contains(|c: char| c == '/' || c.is_control());
    is_name.then_some(()).ok_or(RecordError::Collection)
}

fn check_value(field: &Field, value: &[u8]) -> Result<(), RecordError> {
    let fits = match field.kind {
        FieldKind::Text => text(value).is_some_and(|text| !text.is_empty()),
        FieldKind::OneOf(allowed) => text(value).is_some_and(|text| allowed.contains(&text)),
        FieldKind::Integer => rmp::decode::read_int::<i64, _>(&mut &*value).is_ok(),
        FieldKind::Number => is_number(marker(value)),
        FieldKind::Object => {
            matches!(
                marker(value),
                Marker::FixMap(_) | Marker::Map16 | Marker::Map32
            )
        }
    };
    if fits {
        Ok(())
    } else {
        Err(RecordError::WrongKind {
            field: field.name,
            expected: field.kind,
        })
    }
}

fn marker(value: &[u8]) -> Marker {
    value
        .first()
        .map_or(Marker::Reserved, |first| Marker::from_u8(*first))
}

fn text(value: &[u8]) -> Option<&str> {
    rmp::decode::read_str_from_slice(value)
        .ok()
        .map(|(text, _)| text)
}

fn is_number(marker: Marker) -> bool {
    use Marker::{F64, FixNeg, FixPos, I8, I16, I32, I64, U8, U16, U32, U64};
    matches!(
        marker,
        FixPos(_) | FixNeg(_) | F64 | U8 | U16 | U32 | U64 | I8 | I16 | I32 | I64
    )
}
