//! How long to wait for the API server after a failure. Short, because an edit that was made meanwhile waits for it;
//! jittered, because a whole fleet does.

use std::time::Duration;

use boboyka_mirror::Schedule;

const API_SERVER: Schedule = Schedule {
    first: Duration::from_millis(500),
    longest: Duration::from_secs(10),
    shortest_delay: Duration::from_millis(100),
};

/// Counts failures in a row.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait after one more failure.
    pub(crate) fn next(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        API_SERVER.delay(self.failures, fastrand::f64())
    }

    /// Forgets the failures.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{API_SERVER, Backoff};

    #[test]
    fn the_window_doubles_up_to_ten_seconds() {
        let windows: Vec<_> = (1..=7)
            .map(|n| API_SERVER.delay(n, 1.0).as_millis())
            .collect();
        assert_eq!(windows, [500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
    }

    #[test]
    fn every_wait_is_bounded_and_a_success_begins_again() {
        let mut backoff = Backoff::default();
        let bounds = API_SERVER.shortest_delay..=API_SERVER.longest;
        assert!((0..100).all(|_| bounds.contains(&backoff.next())));
        backoff.reset();
        assert!(backoff.next() <= Duration::from_millis(500));
    }
}
