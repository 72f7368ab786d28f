//! A moment that a caller names: a time as the client packs it, or a date, as the client's README has it.

use boboyka_strand::Hlc;
use k8s_openapi::jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Number;

use super::whole;

/// The years of dates that a moment may have for sure.
const DATES: &str = "^(197[1-9]|19[89][0-9]|[2-8][0-9]{3})-";

/// Everything up to here was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment(pub(super) Hlc);

impl Moment {
    /// A packed time as digits, or a date and time as in RFC 3339.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Ok(packed) = text.parse() {
            return Some(Self(Hlc::new(packed)));
        }
        let ms = text.parse::<Timestamp>().ok()?.as_millisecond();
        let ms = u64::try_from(ms).ok()?;
        // All records of that millisecond were there at its end.
        Some(Self(Hlc::new(Hlc::from_ms(ms).get() | 0xffff)))
    }
}

impl JsonSchema for Moment {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Moment".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A `timestamp_hlc`, also as text, or a date and time as in RFC 3339, from 1970 on.",
            "anyOf": [
                {"type": "integer", "minimum": 0, "maximum": u64::MAX},
                {"type": "string", "pattern": "^[0-9]{1,19}$"},
                {"type": "string", "format": "date-time", "pattern": DATES},
            ],
        })
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(
            untagged,
            expecting = "a packed time as a whole number, or a date and time as in RFC 3339"
        )]
        enum Form {
            Packed(Number),
            Text(String),
        }
        match Form::deserialize(deserializer)? {
            Form::Packed(packed) => whole::of(&packed).map_or_else(
                || {
                    Err(D::Error::custom(format!(
                        "{packed} is no packed time, which is a whole number"
                    )))
                },
                |packed| Ok(Self(Hlc::new(packed))),
            ),
            Form::Text(text) => Self::parse(&text).ok_or_else(|| {
                D::Error::custom(format!(
                    "{text} is neither a packed time nor a date and time as in RFC 3339"
                ))
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_stands_for_the_end_of_its_millisecond() {
        let date = Moment::parse("2025-05-11T21:46:40.005+00:00").unwrap();
        assert_eq!(date.0.get(), (1_747_000_000_005 << 16) | 0xffff);
        let packed = date.0.get().to_string();
        assert_eq!(Moment::parse(&packed), Some(date));
        assert_eq!(Moment::parse("yesterday"), None);
        assert_eq!(Moment::parse("1969-01-01T00:00:00Z"), None);
    }
}
