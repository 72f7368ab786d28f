//! The digest of a row, and of many rows in any order: what `boboyka_digest` of `schema.sql` computes. It tells
//! whether both sides hold the same; it is no proof against somebody who searches for a collision. Pure.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt;

use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use super::columns::{Columns, Members};

/// The digest of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RowDigest([u8; 16]);

impl RowDigest {
    /// The digest of a row as it should read.
    pub(crate) fn of(columns: &Columns, row: &Members<'_>) -> Result<Self, serde_json::Error> {
        let payload = columns.payload.as_deref().and_then(|name| row.get(name));
        let fields = payload.map(|payload| fields(payload)).transpose()?;
        let mut text = Vec::new();
        for column in &columns.compared {
            let there = match (&column.field, &fields) {
                (Some(field), Some(fields)) => column.absent || fields.contains(&**field),
                _ => true,
            };
            let value = row.get(&*column.name).filter(|value| value.get() != "null");
            match value {
                _ if !there => text.push(b'-'),
                None => text.push(b'n'),
                Some(value) => {
                    let reading = column.kind.reading(value)?;
                    text.push(b'v');
                    if column.kind == super::kind::Kind::Text {
                        text.extend_from_slice(format!("{}:", reading.len()).as_bytes());
                        text.extend_from_slice(reading.as_bytes());
                    } else {
                        text.extend_from_slice(reading.as_bytes());
                        text.push(1);
                    }
                }
            }
        }
        Ok(Self::start_of(&Sha256::digest(&text)))
    }

    /// The digest in hexadecimal digits, as the functions write it.
    pub(crate) fn parse(digits: &str) -> Option<Self> {
        let mut bytes = [0; 16];
        if digits.len() != 32 || !digits.is_ascii() {
            return None;
        }
        for (n, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(digits.get(2 * n..2 * n + 2)?, 16).ok()?;
        }
        Some(Self(bytes))
    }

    fn start_of(hash: &[u8]) -> Self {
        let mut bytes = [0; 16];
        for (byte, from) in bytes.iter_mut().zip(hash) {
            *byte = *from;
        }
        Self(bytes)
    }

    fn halves(self) -> (i64, i64) {
        let whole = u128::from_be_bytes(self.0);
        // Both halves as the signed numbers that Postgres makes of them.
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the two halves of 128 bits"
        )]
        let halves = ((whole >> 64) as i64, whole as i64);
        halves
    }
}

/// The names of an object's members; none for what is no object.
fn fields(payload: &RawValue) -> Result<HashSet<Cow<'_, str>>, serde_json::Error> {
    if !payload.get().starts_with('{') {
        return Ok(HashSet::new());
    }
    let members: HashMap<Cow<'_, str>, &RawValue> = serde_json::from_str(payload.get())?;
    Ok(members.into_keys().collect())
}

/// The number of rows and the sum of their digests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) rows: u64,
    pub(crate) high: i128,
    pub(crate) low: i128,
}

impl FromIterator<RowDigest> for Sum {
    fn from_iter<T: IntoIterator<Item = RowDigest>>(rows: T) -> Self {
        rows.into_iter().fold(Self::default(), |sum, row| {
            let (high, low) = row.halves();
            Self {
                rows: sum.rows + 1,
                high: sum.high + i128::from(high),
                low: sum.low + i128::from(low),
            }
        })
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rows, {} {}", self.rows, self.high, self.low)
    }
}

#[cfg(test)]
mod tests {
    use super::{RowDigest, Sum};

    #[test]
    fn a_sum_does_not_depend_on_the_order_and_counts_a_row_twice() {
        let row = |digit: &str| RowDigest::parse(&digit.repeat(32)).unwrap();
        let sum = |rows: &[RowDigest]| rows.iter().copied().collect::<Sum>();
        let (a, b) = (row("a"), row("1"));
        assert_eq!(sum(&[a, b]), sum(&[b, a]));
        assert_ne!(sum(&[a, b]), sum(&[a, b, b]));
        assert_eq!(
            sum(&[row("f")]),
            Sum {
                rows: 1,
                high: -1,
                low: -1
            }
        );
        assert_eq!(RowDigest::parse("zz"), None);
    }
}
