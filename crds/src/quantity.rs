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

/// Whether a text is a duration, and none longer than this.
pub(crate) fn lasts_at_most(text: &str, most: Duration) -> bool {
    duration(text).is_some_and(|it| it <= most)
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

/// Parses any Kubernetes quantity, such as `100m`, `0.5`, `1e3` or `64Mi`, in billionths. Returns `None` for any other text,
/// and for amounts beyond 127 bits.
pub fn amount(text: &str) -> Option<i128> {
    const BILLION: i128 = 1_000_000_000;
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = rest
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(rest.len());
    let (number, unit) = rest.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let decimals = 10i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let (times, by) = scale(unit)?;
    let billionths = digits.checked_mul(times)?.checked_mul(BILLION)?;
    // The API server rounds up what is finer than a billionth.
    let part = decimals.checked_mul(by)?;
    let rounded = billionths.checked_add(part - 1)? / part;
    Some(sign * rounded)
}

/// What a unit multiplies and divides by.
fn scale(unit: &str) -> Option<(i128, i128)> {
    if let Some(exponent) = unit
        .strip_prefix(['e', 'E'])
        .filter(|rest| !matches!(*rest, "" | "i"))
    {
        let exponent: i32 = exponent.parse().ok()?;
        let power = 10i128.checked_pow(exponent.unsigned_abs())?;
        return Some(if exponent < 0 { (1, power) } else { (power, 1) });
    }
    Some(match unit {
        "n" => (1, 1_000_000_000),
        "u" => (1, 1_000_000),
        "m" => (1, 1_000),
        "E" => (1_000_000_000_000_000_000, 1),
        "Ei" => (1 << 60, 1),
        _ => (i128::from(bytes(&format!("1{unit}"))?), 1),
    })
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

    #[test]
    fn amounts_are_parsed_in_every_form_that_kubernetes_has() {
        const ONE: i128 = 1_000_000_000;
        for (text, expected) in [
            ("1", ONE),
            ("0.5", ONE / 2),
            (".5", ONE / 2),
            ("5.", 5 * ONE),
            ("500m", ONE / 2),
            ("0.1", ONE / 10),
            ("100m", ONE / 10),
            ("-1", -ONE),
            ("+1", ONE),
            ("1e3", 1000 * ONE),
            ("1E-3", ONE / 1000),
            ("1E", 1_000_000_000_000_000_000 * ONE),
            ("8Ei", (8 << 60) * ONE),
            ("1.5Gi", (3 << 29) * ONE),
            ("250n", 250),
            ("0.1n", 1),
        ] {
            assert_eq!(amount(text), Some(expected), "{text}");
        }
        for wrong in [
            "", "lots", "m", ".", "1.2.3", "1 Gi", "1gi", "1e", "--1", "1GB", "1i",
        ] {
            assert_eq!(amount(wrong), None, "{wrong}");
        }
    }
}
