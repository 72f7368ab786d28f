//! How long commits took, as counts by length: small, and exact enough for a chart.

use std::time::Duration;

/// Upper bound of the first count.
const FIRST_US: u64 = 50;
/// Each bound is a quarter more than the one before; the last is about a minute.
const COUNTS: usize = 64;

/// How many commits took how long.
#[derive(Clone, Debug)]
pub(super) struct Commits([u32; COUNTS]);

impl Default for Commits {
    fn default() -> Self {
        Self([0; COUNTS])
    }
}

impl Commits {
    pub(super) fn add(&mut self, took: Duration) {
        let place = bounds().position(|bound| took <= bound);
        let last = COUNTS - 1;
        if let Some(count) = self.0.get_mut(place.unwrap_or(last).min(last)) {
            *count = count.saturating_add(1);
        }
    }

    /// The bound that 99 of 100 commits keep; at most a quarter too long.
    pub(super) fn p99(&self) -> Option<Duration> {
        let total: u64 = self.0.iter().copied().map(u64::from).sum();
        let enough = total - total / 100;
        let mut passed = 0;
        let mut counts = self.0.iter().copied().map(u64::from).zip(bounds());
        let (_, bound) = counts.find(|(count, _)| {
            passed += count;
            total > 0 && passed >= enough
        })?;
        Some(bound)
    }
}

fn bounds() -> impl Iterator<Item = Duration> {
    let next = |bound: &u64| Some(bound + bound / 4);
    std::iter::successors(Some(FIRST_US), next)
        .take(COUNTS)
        .map(Duration::from_micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slow_commit_of_a_hundred_does_not_count_and_two_do() {
        let mut commits = Commits::default();
        assert_eq!(commits.p99(), None);
        for _ in 0..99 {
            commits.add(Duration::from_millis(1));
        }
        commits.add(Duration::from_millis(800));
        let usual = commits.p99().unwrap();
        assert!(usual >= Duration::from_millis(1), "{usual:?}");
        assert!(usual < Duration::from_micros(1_251), "{usual:?}");
        commits.add(Duration::from_millis(800));
        let slow = commits.p99().unwrap();
        assert!(slow >= Duration::from_millis(800), "{slow:?}");
        assert!(slow < Duration::from_millis(1_001), "{slow:?}");
    }

    #[test]
    fn a_commit_beyond_all_bounds_is_counted() {
        let mut commits = Commits::default();
        commits.add(Duration::from_hours(1));
        assert!(commits.p99().unwrap() > Duration::from_secs(30));
    }
}
