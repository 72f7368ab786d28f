//! A record's fields against the table of its type, on the encoded values.

use rmp::Marker;

use super::entry::Entry;
use super::error::RecordError;
use super::limits::TYPE_TAG;
use crate::record_type::{Field, FieldKind, RecordType};

/// Checks the fields that the type knows; all others are let through.
pub(super) fn check(
    record_type: RecordType,
    out: &[u8],
    entries: &[Entry],
) -> Result<(), RecordError> {
    if entries
        .iter()
        .any(|entry| entry.key(out) == TYPE_TAG.as_bytes())
    {
        return Err(RecordError::Reserved);
    }
    for field in record_type.fields() {
        let value = entries
            .iter()
            .find(|entry| entry.key(out) == field.name.as_bytes())
            .map(|entry| entry.value(out))
            .filter(|value| !matches!(marker(value), Marker::Null));
        match value {
            Some(value) => check_value(field, value)?,
            None if field.required => return Err(RecordError::Missing { field: field.name }),
            None => {}
        }
    }
    Ok(())
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
