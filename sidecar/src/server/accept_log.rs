//! What is told of connections that could not be accepted: the first, then one line a minute, however
//! many there are. Between two attempts there is a pause that grows while they fail.

use std::time::Duration;

use boboyka_store::causes;
use tokio::time::Instant;

/// At most one line in this time.
const INTERVAL: Duration = Duration::from_mins(1);
/// The first pause after a failure.
const PAUSE_MIN: Duration = Duration::from_millis(20);
/// The longest: how long a connection may wait after descriptors are free again.
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// How accepting goes.
#[derive(Debug, Default)]
pub(super) struct AcceptLog {
    told: Option<Instant>,
    untold: u64,
    pause: Duration,
}

impl AcceptLog {
    /// A connection was accepted.
    pub(super) fn succeeded(&mut self) {
        self.pause = Duration::ZERO;
    }

    /// None could be; how long to wait before the next attempt.
    pub(super) fn failed(&mut self, error: &std::io::Error) -> Duration {
        self.untold += 1;
        if self.is_due() {
            tracing::warn!(
                error = causes(error),
                attempts = self.untold,
                "could not accept connections; the sidecar closes idle ones and tries again"
            );
            self.untold = 0;
        }
        self.pause = (self.pause * 2).clamp(PAUSE_MIN, PAUSE_MAX);
        self.pause
    }

    fn is_due(&mut self) -> bool {
        let due = self.told.is_none_or(|told| told.elapsed() >= INTERVAL);
        if due {
            self.told = Some(Instant::now());
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn failures_are_told_once_a_minute_and_tried_again_more_slowly() {
        let mut log = AcceptLog::default();
        let error = std::io::Error::other("too many open files");
        let begun = Instant::now();
        let (mut told, mut attempts) = (0, 0);
        while begun.elapsed() < Duration::from_secs(150) {
            let pause = log.failed(&error);
            attempts += 1;
            told += u32::from(log.untold == 0);
            tokio::time::sleep(pause).await;
        }
        assert_eq!(told, 3, "at 0, 60 and 120 s");
        assert!(attempts < 310, "{attempts} in 150 s");
        log.succeeded();
        assert_eq!(log.failed(&error), PAUSE_MIN);
    }
}
