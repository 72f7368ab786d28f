//! Walking a payload without a reader of whole values: each append asks for one of its texts.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "every other marker begins another kind of value"
)]

use rmp::Marker;

/// How many entries the map has that stands here; the first one is here then.
pub(super) fn map(rest: &mut &[u8]) -> Option<u64> {
    match marker(rest)? {
        Marker::FixMap(len) => Some(u64::from(len)),
        Marker::Map16 => number(rest, 2),
        Marker::Map32 => number(rest, 4),
        _ => None,
    }
}

/// Takes a text.
pub(super) fn text<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = match marker(rest)? {
        Marker::FixStr(len) => u64::from(len),
        Marker::Str8 => number(rest, 1)?,
        Marker::Str16 => number(rest, 2)?,
        Marker::Str32 => number(rest, 4)?,
        _ => return None,
    };
    take(rest, len)
}

/// Passes a value, with all that is in it.
pub(super) fn value(rest: &mut &[u8]) -> Option<()> {
    let mut values = 1u64;
    while values > 0 {
        let (bytes, inside) = parts(marker(rest)?, rest)?;
        take(rest, bytes)?;
        values = values - 1 + inside;
    }
    Some(())
}

/// How many bytes, and then values, stand behind a marker.
fn parts(marker: Marker, rest: &mut &[u8]) -> Option<(u64, u64)> {
    Some(match marker {
        Marker::Null | Marker::True | Marker::False | Marker::FixPos(_) | Marker::FixNeg(_) => {
            (0, 0)
        }
        Marker::U8 | Marker::I8 => (1, 0),
        Marker::U16 | Marker::I16 => (2, 0),
        Marker::U32 | Marker::I32 | Marker::F32 => (4, 0),
        Marker::U64 | Marker::I64 | Marker::F64 => (8, 0),
        Marker::FixStr(len) => (u64::from(len), 0),
        Marker::Str8 | Marker::Bin8 => (number(rest, 1)?, 0),
        Marker::Str16 | Marker::Bin16 => (number(rest, 2)?, 0),
        Marker::Str32 | Marker::Bin32 => (number(rest, 4)?, 0),
        Marker::FixArray(len) => (0, u64::from(len)),
        Marker::Array16 => (0, number(rest, 2)?),
        Marker::Array32 => (0, number(rest, 4)?),
        Marker::FixMap(len) => (0, 2 * u64::from(len)),
        Marker::Map16 => (0, 2 * number(rest, 2)?),
        Marker::Map32 => (0, 2 * number(rest, 4)?),
        // No payload has others.
        _ => return None,
    })
}

fn marker(rest: &mut &[u8]) -> Option<Marker> {
    let (first, after) = rest.split_first()?;
    *rest = after;
    Some(Marker::from_u8(*first))
}

/// Takes a big-endian number of some bytes.
fn number(rest: &mut &[u8], bytes: u64) -> Option<u64> {
    let bytes = take(rest, bytes)?;
    Some(
        bytes
            .iter()
            .fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
    )
}

fn take<'a>(rest: &mut &'a [u8], len: u64) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(usize::try_from(len).ok()?)?;
    *rest = after;
    Some(taken)
}
