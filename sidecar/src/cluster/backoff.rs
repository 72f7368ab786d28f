//! How long to wait for the API server after a failure: full jitter over a window that doubles from half a second to ten
//! seconds. Short, because an edit that was made meanwhile waits for it; jittered, because a whole fleet does.

use std::time::Duration;

const WINDOW_MIN: Duration = Duration::from_millis(500);
const WINDOW_MAX: Duration = Duration::from_secs(10);
/// No wait is shorter, so that an unlucky draw is not a busy loop.
const DELAY_MIN: Duration = Duration::from_millis(100);

/// Counts failures in a row.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait after one more failure.
    pub(crate) fn next(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        window(self.failures)
            .mul_f64(fastrand::f64())
            .max(DELAY_MIN)
    }

    /// Forgets the failures.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

fn window(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    WINDOW_MIN.saturating_mul(1 << doublings).min(WINDOW_MAX)
}

#[cfg(test)]
mod tests {
    use super::{Backoff, WINDOW_MAX, window};

    #[test]
    fn the_window_doubles_up_to_ten_seconds() {
        let windows: Vec<_> = (1..=7).map(|n| window(n).as_millis()).collect();
        assert_eq!(windows, [500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
    }

    #[test]
    fn no_wait_is_longer_than_the_last_window() {
        let mut backoff = Backoff::default();
        assert!((0..100).all(|_| backoff.next() <= WINDOW_MAX));
    }
}
