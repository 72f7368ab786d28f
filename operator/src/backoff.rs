//! How long to wait before a failed call is tried again: one schedule for watches, reconciliation and certificates.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use kube::runtime::utils::{Backoff, ResetTimerBackoff};

/// The first and the longest wait of a watch. A replica knows the cluster again within seconds after an API server is
/// back; replicas are few, so the API server needs no more mercy.
const WATCH_FIRST: Duration = Duration::from_millis(800);
const WATCH_MAX: Duration = Duration::from_secs(5);
/// A watch that held this long begins again with the first wait.
const WATCH_HELD: Duration = Duration::from_mins(2);

/// Waits that double, each shortened at random by up to a half, so that callers that failed together spread.
#[derive(Debug)]
pub(crate) struct Waits {
    builder: ExponentialBuilder,
    rest: ExponentialBackoff,
    longest: Duration,
}

impl Waits {
    /// Waits from `first` to `longest`; they never end.
    pub(crate) fn between(first: Duration, longest: Duration) -> Self {
        // The library lengthens waits at random by up to their length.
        let builder = ExponentialBuilder::new()
            .with_min_delay(first / 2)
            .with_max_delay(longest / 2)
            .without_max_times()
            .with_jitter();
        Self {
            builder,
            rest: builder.build(),
            longest,
        }
    }

    /// The waits of a watch.
    pub(crate) fn of_watch() -> ResetTimerBackoff<Self> {
        ResetTimerBackoff::new(Self::between(WATCH_FIRST, WATCH_MAX), WATCH_HELD)
    }

    /// The wait after this many failures in a row.
    pub(crate) fn after(self, failures: u32) -> Duration {
        let (longest, earlier) = (self.longest, failures.saturating_sub(1).min(64));
        let mut waits = self.skip(usize::try_from(earlier).unwrap_or_default());
        waits.next().unwrap_or(longest)
    }
}

impl Iterator for Waits {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.rest.next()
    }
}

impl Backoff for Waits {
    fn reset(&mut self) {
        self.rest = self.builder.build();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_waits_of_a_watch_grow_up_to_five_seconds_and_never_end() {
        let mut waits = Waits::of_watch();
        let first: Vec<_> = waits.by_ref().take(50).collect();
        assert_eq!(first.len(), 50);
        assert!(first.iter().all(|wait| *wait <= WATCH_MAX), "{first:?}");
        assert!(first[0] <= WATCH_FIRST && first[49] >= WATCH_MAX / 2);
    }

    #[test]
    fn waits_begin_again_after_a_success() {
        let mut waits = Waits::between(Duration::from_secs(1), Duration::from_mins(1));
        assert!(waits.nth(5).unwrap() > Duration::from_secs(1));
        waits.reset();
        assert!(waits.next().unwrap() <= Duration::from_secs(1));
    }

    #[test]
    fn the_wait_follows_from_the_number_of_failures() {
        let wait = |failures| {
            let (first, longest) = (Duration::from_secs(1), Duration::from_mins(1));
            Waits::between(first, longest).after(failures).as_secs_f64()
        };
        assert!((0.5..=1.0).contains(&wait(1)), "{}", wait(1));
        assert!((2.0..=4.0).contains(&wait(3)), "{}", wait(3));
        assert!((30.0..=60.0).contains(&wait(u32::MAX)));
    }
}
