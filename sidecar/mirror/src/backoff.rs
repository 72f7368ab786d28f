//! How long to wait after a failure: full jitter over a window that doubles, and `Retry-After` where the
//! server names a time. Pure: randomness and the time of day are arguments.

use std::time::{Duration, SystemTime};

/// Full jitter over a window that doubles with each failure in a row.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// The window after the first failure.
    pub first: Duration,
    /// The longest window.
    pub longest: Duration,
    /// No delay is shorter, so that an unlucky draw is not a busy loop.
    pub shortest_delay: Duration,
}

/// What a lane keeps to after failures of Supabase: long enough for a connection pool to turn over and short
/// enough to go unnoticed at first, at last so short that a lane does not look dead after Supabase is back.
pub(crate) const SUPABASE: Schedule = Schedule {
    first: Duration::from_millis(500),
    longest: Duration::from_mins(1),
    shortest_delay: Duration::from_millis(50),
};

/// The longest `Retry-After` that is obeyed: a wrong clock somewhere must not stop a lane for a day.
pub(crate) const RETRY_AFTER_MAX: Duration = Duration::from_mins(5);

impl Schedule {
    /// The delay before the next attempt. `failures` counts the attempts that failed in a row (from 1),
    /// `jitter` is drawn evenly from 0 to 1.
    pub fn delay(&self, failures: u32, jitter: f64) -> Duration {
        let doublings = failures.saturating_sub(1).min(16);
        let window = self.first.saturating_mul(1 << doublings);
        let window = window.min(self.longest);
        window
            .mul_f64(jitter.clamp(0.0, 1.0))
            .max(self.shortest_delay)
    }
}

/// The delay before a lane's next attempt; `retry_after` is what the server asked for.
pub(crate) fn delay(failures: u32, jitter: f64, retry_after: Option<Duration>) -> Duration {
    let drawn = SUPABASE.delay(failures, jitter);
    match retry_after {
        // Also `Retry-After: 0`, seen with Postgres down, has to respect our own floor.
        Some(asked) => drawn.max(asked.min(RETRY_AFTER_MAX)).max(SUPABASE.first),
        None => drawn,
    }
}

/// A wait that doubles with every try, from `min` (at the first) to `max`; half of it is drawn, so that
/// a fleet does not come back in step.
pub(crate) fn growing(min: Duration, max: Duration, tries: u32, jitter: f64) -> Duration {
    let doublings = tries.saturating_sub(1).min(16);
    let whole = min.saturating_mul(1 << doublings).min(max);
    whole.mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0))
}

/// Reads a `Retry-After` header: seconds or an HTTP date. A date in the past is zero seconds; what
/// can't be read is none.
pub(crate) fn retry_after(header: &str, now: SystemTime) -> Option<Duration> {
    let header = header.trim();
    if !header.is_empty() && header.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(header.parse().unwrap_or(u64::MAX)));
    }
    let at = httpdate::parse_http_date(header).ok()?;
    Some(at.duration_since(now).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use proptest::prelude::*;

    use super::{RETRY_AFTER_MAX, SUPABASE, delay, retry_after};

    #[test]
    fn the_window_doubles_from_half_a_second_to_a_minute() {
        let longest: Vec<u64> = (1..=9)
            .map(|n| delay(n, 1.0, None).as_millis().try_into().unwrap())
            .collect();
        assert_eq!(
            longest,
            [500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]
        );
    }

    #[test]
    fn a_zero_retry_after_gets_our_own_floor() {
        assert_eq!(delay(1, 0.0, Some(Duration::ZERO)), SUPABASE.first);
    }

    #[test]
    fn a_retry_after_lengthens_the_wait_up_to_a_bound() {
        assert_eq!(
            delay(1, 1.0, Some(Duration::from_secs(7))),
            Duration::from_secs(7)
        );
        assert_eq!(delay(1, 1.0, Some(Duration::MAX)), RETRY_AFTER_MAX);
    }

    #[test]
    fn retry_after_is_read_as_seconds_or_as_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        assert_eq!(retry_after(" 12 ", now), Some(Duration::from_secs(12)));
        assert_eq!(retry_after("0", now), Some(Duration::ZERO));
        assert_eq!(
            retry_after("Sun, 06 Nov 1994 08:50:07 GMT", now),
            Some(Duration::from_secs(30))
        );
        assert_eq!(
            retry_after("Sun, 06 Nov 1994 08:00:00 GMT", now),
            Some(Duration::ZERO)
        );
        assert_eq!(retry_after("soon", now), None);
        assert_eq!(retry_after("", now), None);
        assert_eq!(retry_after("-1", now), None);
        let endless = retry_after("99999999999999999999999999", now);
        assert_eq!(endless, Some(Duration::from_secs(u64::MAX)));
    }

    proptest! {
        #[test]
        fn every_delay_stays_within_its_bounds(
            failures: u32,
            jitter in 0.0_f64..=1.0,
            asked in proptest::option::of(0_u64..1_000_000),
        ) {
            let waited = delay(failures, jitter, asked.map(Duration::from_secs));
            prop_assert!(waited >= Duration::from_millis(50));
            let longest = if asked.is_some() { RETRY_AFTER_MAX } else { SUPABASE.longest };
            prop_assert!(waited <= longest);
        }
    }
}
