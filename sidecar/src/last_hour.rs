//! The last hour in figures, in memory: records, how long their commits took, and the mirror's lag. Only what happens is
//! noted, so a sidecar with nothing to do notes nothing and wakes for nothing.

mod commits;

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use self::commits::Commits;

/// What one figure is of.
pub(crate) const SLOT: Duration = Duration::from_secs(10);
/// Slots of an hour.
const SLOTS: u64 = 360;

/// The last hour; shared by those who note and those who read.
#[derive(Debug)]
pub(crate) struct LastHour {
    begun: Instant,
    slots: Mutex<VecDeque<Slot>>,
}

/// What happened in [`SLOT`].
#[derive(Clone, Debug)]
struct Slot {
    /// Slots since the sidecar started.
    number: u64,
    records: u64,
    commits: Commits,
    lag_ms: u64,
}

/// What is told of a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Figures {
    /// How long ago the slot began.
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
            slots: Mutex::default(),
        }
    }
}

impl LastHour {
    /// Notes that records were appended, and how long their caller waited for the disk.
    pub(crate) fn committed(&self, records: usize, took: Duration) {
        self.note(|slot| {
            slot.records += records as u64;
            slot.commits.add(took);
        });
    }

    /// Notes how long the oldest record has waited for the mirror.
    pub(crate) fn lagged(&self, lag_ms: u64) {
        self.note(|slot| slot.lag_ms = slot.lag_ms.max(lag_ms));
    }

    /// The slots in which something happened, oldest first.
    pub(crate) fn figures(&self) -> Vec<Figures> {
        let elapsed = self.begun.elapsed();
        let oldest = number(elapsed).saturating_sub(SLOTS - 1);
        let slots = self.lock();
        let recent = slots.iter().filter(|slot| slot.number >= oldest);
        let figures = recent.map(|slot| Figures {
            age: elapsed.saturating_sub(start(slot.number)),
            records: slot.records,
            commit_p99: slot.commits.p99(),
            lag_ms: slot.lag_ms,
        });
        figures.collect()
    }

    fn note(&self, note: impl FnOnce(&mut Slot)) {
        let number = number(self.begun.elapsed());
        let mut slots = self.lock();
        if slots.back().is_none_or(|newest| newest.number < number) {
            slots.retain(|slot| slot.number + SLOTS > number);
            slots.push_back(Slot {
                number,
                records: 0,
                commits: Commits::default(),
                lag_ms: 0,
            });
        }
        if let Some(newest) = slots.back_mut() {
            note(newest);
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn number(since_begun: Duration) -> u64 {
    since_begun.as_secs() / SLOT.as_secs()
}

fn start(number: u64) -> Duration {
    Duration::from_secs(number.saturating_mul(SLOT.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_hour_is_kept_and_what_is_older_is_not() {
        let hour = LastHour::default();
        hour.committed(3, Duration::from_millis(1));
        for _ in 0..2 * SLOTS {
            tokio::time::advance(SLOT).await;
            hour.committed(1, Duration::from_millis(1));
            hour.lagged(7);
            hour.lagged(5);
        }
        assert_eq!(hour.lock().len() as u64, SLOTS);
        let figures = hour.figures();
        assert_eq!(figures.len() as u64, SLOTS);
        assert!(figures.iter().all(|f| f.records == 1 && f.lag_ms == 7));
        assert!(figures.iter().all(|f| f.age < SLOT * 360));
        // Nothing is noted for an hour: nothing is told, though nothing cleared it away.
        tokio::time::advance(SLOT * 360).await;
        assert_eq!(hour.figures(), []);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slot_adds_up_what_happens_in_it() {
        let hour = LastHour::default();
        assert_eq!(hour.figures(), []);
        hour.committed(2, Duration::from_micros(900));
        hour.committed(5, Duration::from_millis(40));
        tokio::time::advance(SLOT).await;
        hour.lagged(1_500);
        let [first, second] = &hour.figures()[..] else {
            panic!("two slots");
        };
        assert_eq!((first.records, first.age, first.lag_ms), (7, SLOT, 0));
        assert!(first.commit_p99.unwrap() >= Duration::from_millis(40));
        assert_eq!((second.records, second.commit_p99), (0, None));
        assert_eq!(second.lag_ms, 1_500);
    }
}
