//! The pause before sealing is tried again after it failed: a disk that refuses one file refuses the next
//! one too, and an attempt reads and writes megabytes. Pure: the time is an argument.

use std::time::{Duration, Instant};

/// The first pause.
const FIRST: Duration = Duration::from_secs(1);

/// The longest pause.
const LONGEST: Duration = Duration::from_mins(5);

/// When sealing may be tried.
#[derive(Debug, Default)]
pub(crate) struct SealPause {
    failures: u32,
    until: Option<Instant>,
}

impl SealPause {
    /// An attempt failed at `now`; the pause doubles with each one in a row.
    pub(crate) fn failed(&mut self, now: Instant) {
        let pause = FIRST.saturating_mul(1 << self.failures.min(16));
        self.failures = self.failures.saturating_add(1);
        self.until = Some(now + pause.min(LONGEST));
    }

    /// An attempt succeeded.
    pub(crate) fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// Whether the last attempt failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.failures > 0
    }

    /// Whether the next attempt may begin at `now`.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| until <= now)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{LONGEST, SealPause};

    #[test]
    fn each_failure_in_a_row_doubles_the_pause_and_a_success_ends_it() {
        let now = Instant::now();
        let mut pause = SealPause::default();
        assert!(pause.is_over(now));
        pause.failed(now);
        assert!(!pause.is_over(now) && pause.is_over(now + Duration::from_secs(1)));
        pause.failed(now);
        assert!(!pause.is_over(now + Duration::from_secs(1)));
        for _ in 0..40 {
            pause.failed(now);
        }
        assert!(pause.is_over(now + LONGEST));
        pause.succeeded();
        assert!(pause.is_over(now));
    }
}
