//! How a value of a record reads in a column: what a column holds after JSON was stored in it, as one text
//! for equal values. Follows Postgres' rules for its types (`numeric`, `jsonb` and so on; its manual, chapter
//! 8), so that a digest made in the database and one made here are equal. Pure.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::RawValue;
use uuid::Uuid;

use super::time::Time;

/// What a column holds, by the names of `boboyka_columns`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `text`, `varchar`, an enumeration.
    Text,
    /// `int2` to `int8`.
    Integer,
    /// `numeric` without a scale.
    Numeric,
    /// `numeric` of a scale that is not known: the zeros behind the last digit tell nothing.
    Number,
    /// Single precision.
    Float4,
    /// Double precision.
    Float8,
    /// True or false.
    Boolean,
    /// `json`, `jsonb`.
    Json,
    /// `uuid`.
    Uuid,
    /// `timestamptz`, `timestamp` or `date`, as its distance from 1970.
    Time(Time),
    /// Of any other type: equal to what the database makes of the field of the payload, or not.
    Cast,
}

impl Kind {
    /// The kind of this name, if values of it can be compared.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "text" => Self::Text,
            "integer" => Self::Integer,
            "numeric" => Self::Numeric,
            "float4" => Self::Float4,
            "float8" => Self::Float8,
            "boolean" => Self::Boolean,
            "json" => Self::Json,
            "uuid" => Self::Uuid,
            "timestamptz" => Self::Time(Time::Timestamptz),
            "timestamp" => Self::Time(Time::Timestamp),
            "date" => Self::Time(Time::Date),
            "cast" => Self::Cast,
            _ => return None,
        })
    }

    /// The kind of a column by the type that PostgREST's description of the schema names.
    pub(crate) fn of_type(name: &str) -> Option<Self> {
        Some(match name {
            "text" | "character varying" => Self::Text,
            "smallint" | "integer" | "bigint" => Self::Integer,
            "numeric" => Self::Number,
            "real" => Self::Float4,
            "double precision" => Self::Float8,
            "boolean" => Self::Boolean,
            "json" | "jsonb" => Self::Json,
            "uuid" => Self::Uuid,
            "timestamp with time zone" => Self::Time(Time::Timestamptz),
            "timestamp without time zone" => Self::Time(Time::Timestamp),
            "date" => Self::Time(Time::Date),
            _ => return None,
        })
    }

    /// The name that `schema.sql` knows.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Integer => "integer",
            Self::Numeric | Self::Number => "numeric",
            Self::Float4 => "float4",
            Self::Float8 => "float8",
            Self::Boolean => "boolean",
            Self::Json => "json",
            Self::Uuid => "uuid",
            Self::Time(time) => time.name(),
            Self::Cast => "cast",
        }
    }

    /// Whether a value's reading is known here. Postgres knows more forms of a time, some of them by its own time zone.
    pub(crate) fn can_read(self, value: &RawValue) -> bool {
        match self {
            Self::Time(time) => serde_json::from_str::<Cow<'_, str>>(value.get())
                .is_ok_and(|text| time.reading(&text).is_some()),
            Self::Text
            | Self::Integer
            | Self::Numeric
            | Self::Number
            | Self::Float4
            | Self::Float8
            | Self::Boolean
            | Self::Json
            | Self::Uuid
            | Self::Cast => true,
        }
    }

    /// How a value reads; the same for two values that a column of this kind can't tell apart.
    pub(crate) fn reading(self, value: &RawValue) -> Result<String, serde_json::Error> {
        let text = value.get();
        // PostgREST turns rows into `jsonb` before it fills absent columns with their defaults, so that is how a value
        // reads that is no string and comes into a column of text.
        let plain: Cow<'_, str> = if self != Self::Json && text.starts_with('"') {
            serde_json::from_str::<String>(text)?.into()
        } else {
            let mut out = String::new();
            write_json(&mut out, text)?;
            out.into()
        };
        Ok(match self {
            Self::Numeric => numeric(&plain),
            Self::Number => without_zeros(numeric(&plain)),
            Self::Integer => plain
                .parse()
                .map_or(plain, |n: i64| n.to_string().into())
                .into(),
            Self::Float4 => plain
                .parse::<f32>()
                .map_or(plain, |n| format!("{:08x}", n.to_bits()).into())
                .into(),
            Self::Float8 => plain
                .parse::<f64>()
                .map_or(plain, |n| format!("{:016x}", n.to_bits()).into())
                .into(),
            Self::Uuid => plain
                .parse::<Uuid>()
                .map_or(plain, |id| id.hyphenated().to_string().into())
                .into(),
            Self::Time(time) => time.reading(&plain).unwrap_or_else(|| plain.into()),
            Self::Cast => "=".to_owned(),
            Self::Text | Self::Boolean | Self::Json => plain.into(),
        })
    }
}

/// JSON as `jsonb` prints it.
fn write_json(out: &mut String, text: &str) -> Result<(), serde_json::Error> {
    match text.as_bytes().first() {
        Some(b'{') => {
            let members: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(text)?;
            let mut members: Vec<_> = members.into_iter().collect();
            // `jsonb` orders keys by length, then by bytes.
            members.sort_by(|(one, _), (other, _)| {
                (one.len(), one.as_bytes()).cmp(&(other.len(), other.as_bytes()))
            });
            out.push('{');
            for (n, (name, value)) in members.iter().enumerate() {
                out.push_str(if n > 0 { ", " } else { "" });
                write_string(out, name);
                out.push_str(": ");
                write_json(out, value.get())?;
            }
            out.push('}');
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text)?;
            out.push('[');
            for (n, item) in items.iter().enumerate() {
                out.push_str(if n > 0 { ", " } else { "" });
                write_json(out, item.get())?;
            }
            out.push(']');
        }
        Some(b'"') => write_string(out, &serde_json::from_str::<String>(text)?),
        Some(b'-' | b'0'..=b'9') => out.push_str(&numeric(text)),
        _ => out.push_str(text),
    }
    Ok(())
}

fn write_string(out: &mut String, text: &str) {
    use std::fmt::Write as _;
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if control < ' ' => {
                // Writing to a string does not fail.
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

/// Digits that a number may be moved by; what is larger fits no `numeric`.
const EXPONENT_MAX: i64 = 20_000;

/// A number as `numeric` prints it: all digits, no exponent, the scale that it was written with.
fn numeric(text: &str) -> String {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (negative, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, mantissa),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent = exponent.strip_prefix('+').unwrap_or(exponent);
    let (Ok(exponent), true) = (
        exponent.parse::<i64>(),
        whole
            .bytes()
            .chain(fraction.bytes())
            .all(|byte| byte.is_ascii_digit()),
    ) else {
        return text.to_owned();
    };
    if exponent.abs() > EXPONENT_MAX {
        return text.to_owned();
    }
    let mut digits = format!("{whole}{fraction}");
    // The digits behind the point, before zeros are put where there are none.
    let scale = i64::try_from(fraction.len()).unwrap_or(i64::MAX) - exponent;
    let missing = usize::try_from(-scale).unwrap_or(0);
    digits.push_str(&"0".repeat(missing));
    let scale = usize::try_from(scale).unwrap_or(0);
    if digits.len() <= scale {
        digits.insert_str(0, &"0".repeat(scale + 1 - digits.len()));
    }
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let whole = whole.trim_start_matches('0');
    let is_zero = whole.is_empty() && fraction.bytes().all(|byte| byte == b'0');
    let sign = if negative && !is_zero { "-" } else { "" };
    let whole = if whole.is_empty() { "0" } else { whole };
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{whole}{point}{fraction}")
}

/// A number without zeros behind its last digit.
fn without_zeros(number: String) -> String {
    if !number.contains('.') {
        return number;
    }
    let short = number.trim_end_matches('0').trim_end_matches('.');
    if short.is_empty() || short == "-" {
        number
    } else {
        short.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::{Kind, numeric};

    fn reading(kind: Kind, value: &str) -> String {
        let value: &RawValue = serde_json::from_str(value).unwrap();
        kind.reading(value).unwrap()
    }

    #[test]
    fn numbers_read_as_numeric_prints_them() {
        for (written, read) in [
            ("0", "0"),
            ("-0", "0"),
            ("-0.0", "0.0"),
            ("1.50", "1.50"),
            ("1.5e3", "1500"),
            ("1e-3", "0.001"),
            ("-12.5E+1", "-125"),
            ("1.25e1", "12.5"),
            ("0.1e-2", "0.001"),
            ("1e21", "1000000000000000000000"),
            ("18446744073709551615", "18446744073709551615"),
        ] {
            assert_eq!(numeric(written), read, "{written}");
        }
    }

    #[test]
    fn numbers_of_an_unknown_scale_read_without_the_zeros_at_the_end() {
        for (written, read) in [
            ("1.50", "1.5"),
            ("10", "10"),
            ("0.0", "0"),
            ("1e2", "100"),
            ("-2.00", "-2"),
        ] {
            assert_eq!(reading(Kind::Number, written), read, "{written}");
        }
    }

    #[test]
    fn json_reads_as_jsonb_prints_it() {
        assert_eq!(
            reading(
                Kind::Json,
                r#"{"bb":1e2,"a":[1.0,"x\u0001\u007f\n\"é",null,true],"c":{},"a":[ ]}"#
            ),
            r#"{"a": [], "c": {}, "bb": 100}"#
        );
        assert_eq!(
            reading(Kind::Json, r#"[1.0,"x\u0001\u007f\n\"\/é",null,true]"#),
            "[1.0, \"x\\u0001\u{7f}\\n\\\"/é\", null, true]"
        );
    }

    #[test]
    fn values_that_a_column_cannot_tell_apart_read_the_same() {
        assert_eq!(reading(Kind::Float8, "0.1"), reading(Kind::Float8, "1e-1"));
        assert_ne!(
            reading(Kind::Float8, "0.1"),
            reading(Kind::Float8, "0.10000000000000002")
        );
        assert_eq!(
            reading(Kind::Float4, "0.1"),
            reading(Kind::Float4, "0.10000000000000002")
        );
        assert_eq!(
            reading(Kind::Integer, "5"),
            reading(Kind::Integer, "\"05\"")
        );
        assert_eq!(reading(Kind::Text, "1.50"), "1.50");
        assert_eq!(reading(Kind::Text, "[1e2,{}]"), "[100, {}]");
        assert_eq!(reading(Kind::Text, r#""a\"b""#), "a\"b");
        assert_eq!(
            reading(Kind::Uuid, r#""A0EEBC999C0B4EF8BB6D6BB9BD380A11""#),
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
        );
    }
}
