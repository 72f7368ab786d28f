//! Parses durations and sizes as resources spell them: `720h`, `1h30m`, `500ms`; `10Gi`, `500M`.

use std::time::Duration;

/// Parses a duration of whole hours, minutes, seconds and milliseconds. Returns `None` for any other text.
///
/// The syntax is a subset of CEL's `duration()`, without fractions and signs.
pub fn duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at(digits);
        let number: u64 = number.parse().ok()?;
        let unit_end = tail
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let part = match unit {
            "h" => Duration::from_secs(number.checked_mul(3600)?),
            "m" => Duration::from_secs(number.checked_mul(60)?),
            "s" => Duration::from_secs(number),
            "ms" => Duration::from_millis(number),
            _ => return None,
        };
        total = total.checked_add(part)?;
        rest = tail;
    }
    Some(total)
}

/// Parses a size in bytes: digits and an optional unit out of `k M G T P Ki Mi Gi Ti Pi`. Returns `None` for any other
/// text, and for sizes beyond 64 bits.
///
/// The syntax is a subset of Kubernetes quantities, without fractions, signs and exponents.
pub fn bytes(text: &str) -> Option<u64> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let factor = match unit {
        "" => 1,
        "k" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "T" => 1_000_000_000_000,
        "P" => 1_000_000_000_000_000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        "Ti" => 1 << 40,
        "Pi" => 1 << 50,
        _ => return None,
    };
    number.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_parsed_as_kubernetes_parses_them() {
        assert_eq!(duration("720h"), Some(Duration::from_hours(720)));
        assert_eq!(duration("1h30m"), Some(Duration::from_mins(90)));
        assert_eq!(duration("500ms"), Some(Duration::from_millis(500)));
        for wrong in ["", "5", "h", "5d", "-1s", "1.5h", "99999999999999999999h"] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn sizes_are_parsed_as_kubernetes_parses_them() {
        assert_eq!(bytes("10Gi"), Some(10 << 30));
        assert_eq!(bytes("500M"), Some(500_000_000));
        assert_eq!(bytes("4096"), Some(4096));
        for wrong in ["", "Gi", "1.5Gi", "10GB", "-1", "10 Gi", "99999999999Pi"] {
            assert_eq!(bytes(wrong), None, "{wrong}");
        }
    }
}
