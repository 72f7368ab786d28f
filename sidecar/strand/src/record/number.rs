//! Numbers that would not survive: JSON allows any digits, a strand holds 64-bit integers and doubles.
//!
//! Whole numbers must fit into 64 bits, signed or unsigned. Every other number is kept as the double
//! nearest to it and comes back as that double's shortest decimal form; where the two differ as decimal
//! numbers, the number is refused instead of rounded. The parser hands over doubles only, so the text is
//! looked at; short numbers, which a double always keeps, are passed over.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::value::RawValue;

/// Every decimal number of this many significant digits survives the way through a double and back.
const DIGITS_KEPT: usize = 15;

/// Why a number can't be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumberFault {
    /// A whole number outside the range of 64-bit integers.
    WholeOutOfRange,
    /// Larger than the largest double.
    TooLarge,
    /// Not zero, but nearer to it than the smallest double.
    TooSmall,
    /// The nearest double, written in decimal, is another number.
    TooManyDigits,
}

impl fmt::Display for NumberFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self {
            Self::WholeOutOfRange => "is a whole number that does not fit into 64 bits",
            Self::TooLarge => "is a number beyond the range of a 64-bit float",
            Self::TooSmall => "is a number too close to zero for a 64-bit float",
            Self::TooManyDigits => "is a number with more digits than a 64-bit float keeps",
        };
        write!(f, "{what}; send it as text")
    }
}

/// Where in `json` a number stands that can't be kept, with its path; `None` when there is none or
/// when the text is no JSON.
pub(super) fn find_fault(json: &str) -> Option<(String, NumberFault)> {
    if !has_faulty_number(json) {
        return None;
    }
    let root: &RawValue = serde_json::from_str(json).ok()?;
    let mut path = String::new();
    let fault = locate(root, &mut path)?;
    Some((path, fault))
}

/// Whether a number outside of strings is faulty. Cheap, since almost no number needs a second look.
fn has_faulty_number(json: &str) -> bool {
    let mut rest = json.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        match byte {
            b'"' => rest = after_string(after),
            b'-' | b'0'..=b'9' => {
                let len = rest.iter().take_while(|byte| is_of_number(**byte)).count();
                let (token, after) = rest.split_at(len);
                if std::str::from_utf8(token).is_ok_and(|token| fault_of(token).is_some()) {
                    return true;
                }
                rest = after;
            }
            _ => rest = after,
        }
    }
    false
}

/// What follows a string whose opening quote has been taken.
fn after_string(mut rest: &[u8]) -> &[u8] {
    while let Some((&byte, after)) = rest.split_first() {
        match byte {
            b'"' => return after,
            b'\\' => rest = after.get(1..).unwrap_or_default(),
            _ => rest = after,
        }
    }
    rest
}

fn is_of_number(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')
}

/// What is wrong with a number, given as its text.
fn fault_of(token: &str) -> Option<NumberFault> {
    let has_exponent = token.contains(['e', 'E']);
    if token.len() <= DIGITS_KEPT && !has_exponent {
        return None;
    }
    if !has_exponent && !token.contains('.') {
        let fits = token.parse::<i64>().is_ok() || token.parse::<u64>().is_ok();
        return (!fits).then_some(NumberFault::WholeOutOfRange);
    }
    let value: f64 = token.parse().ok()?;
    if value.is_infinite() {
        return Some(NumberFault::TooLarge);
    }
    if value == 0.0 {
        let mantissa = token.split(['e', 'E']).next().unwrap_or_default();
        let is_zero = !mantissa.contains(|digit| matches!(digit, '1'..='9'));
        return (!is_zero).then_some(NumberFault::TooSmall);
    }
    // If two shortest forms are equally near, programs differ; answers are written by this one.
    let kept = Decimal::parse(&serde_json::to_string(&value).ok()?);
    (kept != Decimal::parse(token)).then_some(NumberFault::TooManyDigits)
}

/// A number as decimal digits, without zeros at either end, times a power of ten: equal numbers are
/// equal in this form, however they were written.
#[derive(Debug, PartialEq, Eq)]
struct Decimal {
    is_negative: bool,
    digits: Vec<u8>,
    exponent: i64,
}

impl Decimal {
    /// `None` when the exponent does not fit, which no number but 0 within a double's range has.
    fn parse(token: &str) -> Option<Self> {
        let (mantissa, exponent) = token.split_once(['e', 'E']).unwrap_or((token, "0"));
        let unsigned = mantissa.trim_start_matches('-');
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let mut exponent = exponent
            .parse::<i64>()
            .ok()?
            .checked_sub(i64::try_from(fraction.len()).ok()?)?;
        let digits = whole.bytes().chain(fraction.bytes());
        let mut digits: Vec<u8> = digits.skip_while(|digit| *digit == b'0').collect();
        while digits.pop_if(|digit| *digit == b'0').is_some() {
            exponent += 1;
        }
        Some(Self {
            is_negative: unsigned.len() < mantissa.len(),
            digits,
            exponent,
        })
    }
}

/// Walks down to the faulty number; only called when there is one.
fn locate(value: &RawValue, path: &mut String) -> Option<NumberFault> {
    let text = value.get();
    let len = path.len();
    if let Ok(members) = serde_json::from_str::<BTreeMap<String, &RawValue>>(text) {
        for (key, member) in members {
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(&key);
            if let Some(fault) = locate(member, path) {
                return Some(fault);
            }
            path.truncate(len);
        }
        None
    } else if let Ok(elements) = serde_json::from_str::<Vec<&RawValue>>(text) {
        for (index, element) in elements.into_iter().enumerate() {
            path.extend(["[", &index.to_string(), "]"]);
            if let Some(fault) = locate(element, path) {
                return Some(fault);
            }
            path.truncate(len);
        }
        None
    } else {
        text.starts_with(|first: char| first == '-' || first.is_ascii_digit())
            .then(|| fault_of(text))?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_double_or_64_bits_can_hold_is_kept() {
        for token in [
            "0",
            "-0",
            "-0.0",
            "0.1",
            "1e2",
            "9007199254740993",
            "18446744073709551615",
            "-9223372036854775808",
            "0.1000000000000000",
            "23.400000000000002",
            "8999999999999999.0",
            "1E+2",
            "0e99999999999999999999",
            "1.7976931348623157e308",
            "5e-324",
            "100000000000000000000.0",
        ] {
            assert_eq!(fault_of(token), None, "{token}");
        }
    }

    #[test]
    fn what_would_be_rounded_is_found() {
        let faults = [
            ("1e400", NumberFault::TooLarge),
            ("-1e400", NumberFault::TooLarge),
            ("1e-400", NumberFault::TooSmall),
            ("18446744073709551616", NumberFault::WholeOutOfRange),
            ("-9223372036854775809", NumberFault::WholeOutOfRange),
            ("0.1234567890123456789", NumberFault::TooManyDigits),
            ("9007199254740993.0", NumberFault::TooManyDigits),
            ("1234567890123456.7", NumberFault::TooManyDigits),
            ("8.9999999999999999", NumberFault::TooManyDigits),
            ("900719925474099.3", NumberFault::TooManyDigits),
            ("0.10000000000000001", NumberFault::TooManyDigits),
            ("-4.9e-324", NumberFault::TooManyDigits),
        ];
        for (token, fault) in faults {
            assert_eq!(fault_of(token), Some(fault), "{token}");
        }
    }

    #[test]
    fn the_path_leads_to_the_number() {
        let json = r#"{"a":"1e400","b":{"c":[1,{"d":1e400}]}}"#;
        assert_eq!(
            find_fault(json),
            Some(("b.c[1].d".to_owned(), NumberFault::TooLarge))
        );
        assert_eq!(find_fault(r#"{"a":"9 \" 1e400"}"#), None);
    }
}
