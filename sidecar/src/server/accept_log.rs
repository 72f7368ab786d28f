//! Logs failed attempts to accept a connection, at most one line a minute, and sets the pause before the
//! next attempt, which grows while attempts fail.

use std::time::Duration;

use boboyka_store::causes;

use crate::log::Seldom;

/// The first pause after a failure.
const PAUSE_MIN: Duration = Duration::from_millis(20);
/// The longest: how long a connection may wait after descriptors are free again.
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// The state of accepting.
#[derive(Debug)]
pub(super) struct AcceptLog {
    lines: Seldom,
    pause: Duration,
}

impl AcceptLog {
    /// Nothing has failed yet.
    pub(super) const fn new() -> Self {
        Self {
            lines: Seldom::new(),
            pause: Duration::ZERO,
        }
    }

    /// A connection was accepted.
    pub(super) fn succeeded(&mut self) {
        self.pause = Duration::ZERO;
    }

    /// An attempt failed. Returns the pause before the next one.
    pub(super) fn failed(&mut self, error: &std::io::Error) -> Duration {
        if let Some(attempts) = self.lines.count() {
            tracing::warn!(
                error = causes(error),
                attempts,
                "could not accept connections; the sidecar closes idle ones and tries again"
            );
        }
        self.pause = (self.pause * 2).clamp(PAUSE_MIN, PAUSE_MAX);
        self.pause
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn failures_slow_the_attempts_down_until_one_succeeds() {
        let mut log = AcceptLog::new();
        let error = std::io::Error::other("too many open files");
        let begun = Instant::now();
        let mut attempts = 0;
        while begun.elapsed() < Duration::from_secs(150) {
            let pause = log.failed(&error);
            attempts += 1;
            tokio::time::sleep(pause).await;
        }
        assert!(attempts < 310, "{attempts} in 150 s");
        log.succeeded();
        assert_eq!(log.failed(&error), PAUSE_MIN);
    }
}
