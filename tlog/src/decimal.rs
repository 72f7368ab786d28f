//! Decimal numbers as the formats have them: digits only, no leading zero.

/// The largest number: Go's tools hold sizes in 63 bits.
const MAX: u64 = i64::MAX.cast_unsigned();

/// A size or an index; `None` when the text has another spelling than the number's own, or is above 2^63 − 1.
pub(crate) fn parse(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number <= MAX && number.to_string() == text).then_some(number)
}
