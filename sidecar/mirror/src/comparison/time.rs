//! A time as its distance from 1970, as `extract(epoch from …)` of Postgres tells it. Pure.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::temporal::Pieces;
use jiff::tz::TimeZone;

/// The type of a column of times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Time {
    /// With a time zone.
    Timestamptz,
    /// Without one: Postgres ignores the one that is written.
    Timestamp,
    /// A day.
    Date,
}

impl Time {
    /// The name that `schema.sql` knows.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Timestamptz => "timestamptz",
            Self::Timestamp => "timestamp",
            Self::Date => "date",
        }
    }

    /// Microseconds since 1970; none for a text that is not in the form of RFC 3339, and for a leap second, which Postgres takes
    /// for the next one.
    pub(crate) fn reading(self, text: &str) -> Option<String> {
        if text.contains(":60") {
            return None;
        }
        let moment = match self {
            Self::Timestamptz => TimeZone::UTC.to_datetime(text.parse::<Timestamp>().ok()?),
            Self::Timestamp => civil(text)?,
            Self::Date => civil(text)?
                .date()
                .to_datetime(jiff::civil::Time::midnight()),
        };
        Some(micros(moment)?.to_string())
    }
}

/// The date and time as they are written; the time zone is left out.
fn civil(text: &str) -> Option<DateTime> {
    let pieces = Pieces::parse(text).ok()?;
    let time = pieces.time().unwrap_or(jiff::civil::Time::midnight());
    Some(pieces.date().to_datetime(time))
}

/// Microseconds since 1970, rounded as Postgres rounds what it reads: the fraction of the second as a float, halves to even.
fn micros(moment: DateTime) -> Option<i64> {
    let nanos = moment.subsec_nanosecond();
    let fraction: f64 = format!("0.{nanos:09}").parse().ok()?;
    let whole = moment.to_zoned(TimeZone::UTC).ok()?.timestamp();
    let whole = whole.as_nanosecond() - i128::from(nanos);
    #[expect(clippy::cast_possible_truncation, reason = "at most a million")]
    let micros = (fraction * 1e6).round_ties_even() as i64;
    Some(i64::try_from(whole / 1000).ok()? + micros)
}

#[cfg(test)]
mod tests {
    use super::Time;

    #[test]
    fn equal_times_read_the_same_however_they_are_written() {
        let read = |time: Time, text: &str| time.reading(text).unwrap_or_default();
        for (time, text, micros) in [
            (Time::Timestamptz, "1970-01-01T00:00:01Z", "1000000"),
            (Time::Timestamptz, "1970-01-01 02:00:01.5+02:00", "1500000"),
            (Time::Timestamptz, "1970-01-01T00:00:00.0000015Z", "2"),
            // As Postgres 15 reads these.
            (Time::Timestamptz, "1970-01-01T00:00:00.000000500Z", "0"),
            (Time::Timestamptz, "1970-01-01T00:00:00.000002500Z", "2"),
            (Time::Timestamptz, "1969-12-31T23:59:59.0000025Z", "-999998"),
            (Time::Timestamp, "1970-01-01T00:00:00.9999995", "1000000"),
            (Time::Timestamptz, "1969-12-31T23:59:59+00:00", "-1000000"),
            (Time::Timestamp, "1970-01-01T00:00:01", "1000000"),
            (Time::Timestamp, "1970-01-01T00:00:01+02:00", "1000000"),
            (Time::Date, "1970-01-02", "86400000000"),
            (Time::Date, "1970-01-02T23:00:00Z", "86400000000"),
        ] {
            assert_eq!(read(time, text), micros, "{text}");
        }
    }

    #[test]
    fn a_time_that_depends_on_the_database_is_not_read() {
        for text in [
            "now",
            "infinity",
            "1970-01-01T00:00:00",
            "8 Jan 1999",
            "",
            "2016-12-31T23:59:60Z",
        ] {
            assert_eq!(Time::Timestamptz.reading(text), None, "{text}");
        }
    }
}
