//! Whole numbers in what a caller asks: programs whose only number is a double write 20 as `20.0`.

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::Number;

/// The whole number that a JSON number stands for, if it is one from 0.
pub(super) fn of(number: &Number) -> Option<u64> {
    // A double that is whole is printed without a point; the sum makes 0 of -0.
    let printed = || Some((number.as_f64()? + 0.0).to_string());
    number.as_u64().or_else(|| printed()?.parse().ok())
}

/// A count that may be left out.
pub(super) fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    let Some(number) = Option::<Number>::deserialize(deserializer)? else {
        return Ok(None);
    };
    let count = of(&number).and_then(|count| usize::try_from(count).ok());
    let wrong = || {
        D::Error::custom(format!(
            "limit and offset must be whole numbers, not {number}"
        ))
    };
    count.ok_or_else(wrong).map(Some)
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn a_whole_number_may_have_a_point_and_no_other_is_made_whole() {
        let number = |text: &str| of(&serde_json::from_str(text).unwrap());
        assert_eq!(number("20"), Some(20));
        assert_eq!(number("20.0"), Some(20));
        assert_eq!(number("2e1"), Some(20));
        assert_eq!(number("-0.0"), Some(0));
        assert_eq!(number("18446744073709551615"), Some(u64::MAX));
        for none in ["20.5", "-1", "-1.0", "1e300", "18446744073709551616"] {
            assert_eq!(number(none), None, "{none}");
        }
    }
}
