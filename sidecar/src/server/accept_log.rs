//! Logs failed attempts to accept a connection, at most one line a minute, and sets the pause before the
//! next attempt, which grows while attempts fail.

use std::time::Duration;

use boboyka_store::causes;
use tokio::time::Instant;

/// At most one line in this time.
const INTERVAL: Duration = Duration::from_mins(1);
/// The first pause after a failure.
const PAUSE_MIN: Duration = Duration::from_millis(20);
/// The longest: how long a connection may wait after descriptors are free again.
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// The state of accepting.
#[derive(Debug, Default)]
pub(super) struct AcceptLog {
    logged: Option<Instant>,
    not_logged: u64,
    pause: Duration,
}

impl AcceptLog {
    /// A connection was accepted.
    pub(super) fn succeeded(&mut self) {
        self.pause = Duration::ZERO;
    }

    /// An attempt failed. Returns the pause before the next one.
    pub(super) fn failed(&mut self, error: &std::io::Error) -> Duration {
        self.not_logged += 1;
        if self.is_due() {
            tracing::warn!(
                error = causes(error),
                attempts = self.not_logged,
                "could not accept connections; the sidecar closes idle ones and tries again"
            );
            self.not_logged = 0;
        }
        self.pause = (self.pause * 2).clamp(PAUSE_MIN, PAUSE_MAX);
        self.pause
    }

    fn is_due(&mut self) -> bool {
        let due = self
            .logged
            .is_none_or(|logged| logged.elapsed() >= INTERVAL);
        if due {
            self.logged = Some(Instant::now());
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn failures_are_logged_once_a_minute_and_slow_the_attempts_down() {
        let mut log = AcceptLog::default();
        let error = std::io::Error::other("too many open files");
        let begun = Instant::now();
        let (mut lines, mut attempts) = (0, 0);
        while begun.elapsed() < Duration::from_secs(150) {
            let pause = log.failed(&error);
            attempts += 1;
            lines += u32::from(log.not_logged == 0);
            tokio::time::sleep(pause).await;
        }
        assert_eq!(lines, 3, "at 0, 60 and 120 s");
        assert!(attempts < 310, "{attempts} in 150 s");
        log.succeeded();
        assert_eq!(log.failed(&error), PAUSE_MIN);
    }
}
