//! The wall clock, read here and nowhere else, and a moment on both clocks. Code that decides takes the time as an argument.

use std::time::{Duration, Instant};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

/// One moment on both clocks: the wall clock dates what others read, the monotonic clock measures waits.
#[derive(Clone, Debug)]
pub(crate) struct Moment {
    /// By the wall clock.
    pub(crate) time: Time,
    /// By the monotonic clock.
    pub(crate) instant: Instant,
}

impl Moment {
    /// The present moment.
    pub(crate) fn now() -> Self {
        Self {
            time: now(),
            instant: Instant::now(),
        }
    }
}

/// The wall clock.
pub(crate) fn now() -> Time {
    Time(Timestamp::now())
}

/// The time from `since` to `now`; zero when `since` is in the future, as another machine's clock may say.
pub(crate) fn elapsed(since: &Time, now: &Time) -> Duration {
    Duration::try_from(now.0.duration_since(since.0)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_in_the_future_has_no_age() {
        let at = |second| Time(Timestamp::from_second(second).unwrap());
        assert_eq!(elapsed(&at(3), &at(10)), Duration::from_secs(7));
        assert_eq!(elapsed(&at(10), &at(3)), Duration::ZERO);
    }
}
