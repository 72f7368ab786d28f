//! For what others can make happen at any rate: at most one line a minute, which tells how often it happened.

use std::time::Duration;

use tokio::time::Instant;

/// At most one line in this time.
const INTERVAL: Duration = Duration::from_mins(1);

/// When a line was logged, and what happened since.
#[derive(Debug)]
pub(crate) struct Seldom {
    logged: Option<Instant>,
    not_logged: u64,
}

impl Seldom {
    /// Nothing has happened yet.
    pub(crate) const fn new() -> Self {
        Self {
            logged: None,
            not_logged: 0,
        }
    }

    /// It happened. How often since the last line, this time included, if a line is due.
    pub(crate) fn count(&mut self) -> Option<u64> {
        self.not_logged += 1;
        let due = self
            .logged
            .is_none_or(|logged| logged.elapsed() >= INTERVAL);
        due.then(|| {
            self.logged = Some(Instant::now());
            std::mem::take(&mut self.not_logged)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_line_a_minute_counts_all_that_happened() {
        let mut seldom = Seldom::new();
        assert_eq!(seldom.count(), Some(1));
        assert_eq!([seldom.count(), seldom.count()], [None, None]);
        tokio::time::advance(INTERVAL).await;
        assert_eq!(seldom.count(), Some(3));
        assert_eq!(seldom.count(), None);
    }
}
