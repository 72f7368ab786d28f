//! The last hour in figures, in memory: records, how long their commits took, and the mirror's lag. Only what happens is
//! noted, so a sidecar with nothing to do notes nothing and wakes for nothing.

mod commits;

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use self::commits::Commits;

/// What one figure is of.
pub(crate) const INTERVAL: Duration = Duration::from_secs(10);
/// Intervals of an hour.
const INTERVALS: u64 = 360;

/// The last hour; shared by those who note and those who read.
#[derive(Debug)]
pub(crate) struct LastHour {
    begun: Instant,
    intervals: Mutex<VecDeque<Interval>>,
}

/// What happened in [`INTERVAL`].
#[derive(Clone, Debug)]
struct Interval {
    /// Intervals since the sidecar started.
    number: u64,
    records: u64,
    commits: Commits,
    lag_ms: u64,
}

/// What is told of an interval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Figures {
    /// How long ago the interval began.
    pub(crate) age: Duration,
    pub(crate) records: u64,
    /// 99 of 100 commits took no longer; `None` without a commit.
    pub(crate) commit_p99: Option<Duration>,
    /// The longest that a record waited for the mirror.
    pub(crate) lag_ms: u64,
}

impl Default for LastHour {
    fn default() -> Self {
        Self {
            begun: Instant::now(),
            intervals: Mutex::default(),
        }
    }
}

impl LastHour {
    /// Notes that records were appended, and how long their caller waited for the disk.
    pub(crate) fn committed(&self, records: usize, took: Duration) {
        self.note(|interval| {
            interval.records += records as u64;
            interval.commits.add(took);
        });
    }

    /// Notes how long the oldest record has waited for the mirror.
    pub(crate) fn lagged(&self, lag_ms: u64) {
        self.note(|interval| interval.lag_ms = interval.lag_ms.max(lag_ms));
    }

    /// The intervals in which something happened, oldest first.
    pub(crate) fn figures(&self) -> Vec<Figures> {
        let elapsed = self.begun.elapsed();
        let oldest = number(elapsed).saturating_sub(INTERVALS - 1);
        let intervals = self.lock();
        let recent = intervals
            .iter()
            .filter(|interval| interval.number >= oldest);
        let figures = recent.map(|interval| Figures {
            age: elapsed.saturating_sub(start(interval.number)),
            records: interval.records,
            commit_p99: interval.commits.p99(),
            lag_ms: interval.lag_ms,
        });
        figures.collect()
    }

    fn note(&self, note: impl FnOnce(&mut Interval)) {
        let number = number(self.begun.elapsed());
        let mut intervals = self.lock();
        if intervals.back().is_none_or(|newest| newest.number < number) {
            intervals.retain(|interval| interval.number + INTERVALS > number);
            intervals.push_back(Interval {
                number,
                records: 0,
                commits: Commits::default(),
                lag_ms: 0,
            });
        }
        if let Some(newest) = intervals.back_mut() {
            note(newest);
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Interval>> {
        self.intervals
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn number(since_begun: Duration) -> u64 {
    since_begun.as_secs() / INTERVAL.as_secs()
}

fn start(number: u64) -> Duration {
    Duration::from_secs(number.saturating_mul(INTERVAL.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_hour_is_kept_and_what_is_older_is_not() {
        let hour = LastHour::default();
        hour.committed(3, Duration::from_millis(1));
        for _ in 0..2 * INTERVALS {
            tokio::time::advance(INTERVAL).await;
            hour.committed(1, Duration::from_millis(1));
            hour.lagged(7);
            hour.lagged(5);
        }
        assert_eq!(hour.lock().len() as u64, INTERVALS);
        let figures = hour.figures();
        assert_eq!(figures.len() as u64, INTERVALS);
        assert!(figures.iter().all(|f| f.records == 1 && f.lag_ms == 7));
        assert!(figures.iter().all(|f| f.age < INTERVAL * 360));
        // Nothing is noted for an hour: nothing is told, though nothing cleared it away.
        tokio::time::advance(INTERVAL * 360).await;
        assert_eq!(hour.figures(), []);
    }

    #[tokio::test(start_paused = true)]
    async fn an_interval_adds_up_what_happens_in_it() {
        let hour = LastHour::default();
        assert_eq!(hour.figures(), []);
        hour.committed(2, Duration::from_micros(900));
        hour.committed(5, Duration::from_millis(40));
        tokio::time::advance(INTERVAL).await;
        hour.lagged(1_500);
        let [first, second] = &hour.figures()[..] else {
            panic!("two intervals");
        };
        assert_eq!((first.records, first.age, first.lag_ms), (7, INTERVAL, 0));
        assert!(first.commit_p99.unwrap() >= Duration::from_millis(40));
        assert_eq!((second.records, second.commit_p99), (0, None));
        assert_eq!(second.lag_ms, 1_500);
    }
}
