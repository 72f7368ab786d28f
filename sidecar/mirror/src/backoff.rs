//! How long to wait after a failure: full jitter over a window that doubles from half a second to a
//! minute, and `Retry-After` where the server names a time. Pure: randomness and the time of day are
//! arguments.

use std::time::{Duration, SystemTime};

/// The first window: long enough for a connection pool to turn over, short enough to go unnoticed.
pub const WINDOW_MIN: Duration = Duration::from_millis(500);

/// The last window: a lane that waits longer would look dead after Supabase is back.
pub const WINDOW_MAX: Duration = Duration::from_mins(1);

/// No wait is shorter, so that an unlucky draw is not a busy loop.
const DELAY_MIN: Duration = Duration::from_millis(50);

/// The longest `Retry-After` that is obeyed: a wrong clock somewhere must not stop a lane for a day.
pub const RETRY_AFTER_MAX: Duration = Duration::from_mins(5);

/// The wait before the next attempt. `failures` counts the attempts that failed in a row (from 1),
/// `jitter` is drawn evenly from 0 to 1, `retry_after` is what the server asked for.
pub fn delay(failures: u32, jitter: f64, retry_after: Option<Duration>) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let window = WINDOW_MIN.saturating_mul(1 << doublings).min(WINDOW_MAX);
    let drawn = window.mul_f64(jitter.clamp(0.0, 1.0)).max(DELAY_MIN);
    match retry_after {
        // Also `Retry-After: 0`, seen with Postgres down, has to respect our own floor.
        Some(asked) => drawn.max(asked.min(RETRY_AFTER_MAX)).max(WINDOW_MIN),
        None => drawn,
    }
}

/// A wait that doubles with every try, from `min` (at the first) to `max`; half of it is drawn, so that
/// a fleet does not come back in step.
pub fn growing(min: Duration, max: Duration, tries: u32, jitter: f64) -> Duration {
    let doublings = tries.saturating_sub(1).min(16);
    let whole = min.saturating_mul(1 << doublings).min(max);
    whole.mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0))
}

/// Reads a `Retry-After` header: seconds or an HTTP date. A date in the past is zero seconds; what
/// can't be read is none.
pub fn retry_after(header: &str, now: SystemTime) -> Option<Duration> {
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

    use super::{RETRY_AFTER_MAX, WINDOW_MAX, WINDOW_MIN, delay, retry_after};

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
        assert_eq!(delay(1, 0.0, Some(Duration::ZERO)), WINDOW_MIN);
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
            let longest = if asked.is_some() { RETRY_AFTER_MAX } else { WINDOW_MAX };
            prop_assert!(waited <= longest);
        }
    }
}
