//! Refused rows that are sent again by themselves, each after its own growing pause: what they miss may
//! come, and a fault may pass. In the store they are dead letters, so that a mark may pass them and a
//! restart finds them; which of the dead letters they are, the code tells ([`is_final`]).
//!
//! In a table with a row for each key this also knows every other dead letter's key, because the
//! invariant there is: no dead letter is older than a stored state of its key. So sending one again
//! never takes a row back in time.
//!
//! [`is_final`]: crate::classify::is_final

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use boboyka_strand::Seq;

use crate::backoff;
use crate::request::Key;

/// The first pause: what a row misses is often only a moment late.
pub(super) const PAUSE_MIN: Duration = Duration::from_secs(1);

/// The last pause.
const PAUSE_MAX: Duration = Duration::from_mins(5);

/// A refused row.
#[derive(Clone, Debug)]
struct Aside {
    /// When it is sent again by itself; `None` for one whose refusal is final.
    again: Option<Again>,
    /// Its key, in a table with a row for each key.
    key: Option<Key>,
    /// When its record was ingested.
    ms: u64,
}

#[derive(Clone, Copy, Debug)]
struct Again {
    tries: u32,
    at: Instant,
}

/// The refused rows of a lane.
#[derive(Debug, Default)]
pub(super) struct Asides {
    rows: BTreeMap<Seq, Aside>,
}

impl Asides {
    /// Takes a refused row in; `again` tells whether it is to be sent again by itself.
    pub(super) fn add(&mut self, seq: Seq, ms: u64, key: Option<Key>, again: Option<Instant>) {
        if again.is_some() || key.is_some() {
            let again = again.map(|at| Again { tries: 0, at });
            self.rows.insert(seq, Aside { again, key, ms });
        }
    }

    /// It was refused again, for good or not.
    pub(super) fn refused(&mut self, seq: Seq, for_good: bool, now: Instant, jitter: f64) {
        let Some(aside) = self.rows.get_mut(&seq) else {
            return;
        };
        let tries = aside.again.map_or(0, |again| again.tries).saturating_add(1);
        aside.again = (!for_good).then(|| Again {
            tries,
            at: now + backoff::growing(PAUSE_MIN, PAUSE_MAX, tries, jitter),
        });
    }

    /// It is no dead letter any more.
    pub(super) fn remove(&mut self, seq: Seq) {
        self.rows.remove(&seq);
    }

    /// Those to be sent again now, those that wait longest first.
    pub(super) fn due(&self, now: Instant, max: usize) -> Vec<Seq> {
        let again = |(seq, aside): (&Seq, &Aside)| aside.again.map(|again| (again.at, *seq));
        let mut due: Vec<_> = self
            .rows
            .iter()
            .filter_map(again)
            .filter(|it| it.0 <= now)
            .collect();
        due.sort_unstable();
        due.truncate(max);
        // Their order is the strand's: two states of one key may be among them.
        let mut due: Vec<Seq> = due.into_iter().map(|(_, seq)| seq).collect();
        due.sort_unstable();
        due
    }

    /// When the next one is to be sent again.
    pub(super) fn next(&self) -> Option<Instant> {
        let again = self.rows.values().filter_map(|aside| aside.again);
        again.map(|again| again.at).min()
    }

    /// How many are sent again by themselves, and when the oldest of them was ingested.
    pub(super) fn waiting(&self) -> (u64, Option<u64>) {
        let waiting = || self.rows.values().filter(|aside| aside.again.is_some());
        (
            waiting().count() as u64,
            waiting().next().map(|aside| aside.ms),
        )
    }

    /// Those of a key that are older than a state of it that was stored.
    pub(super) fn superseded(&self, key: &str, by: Seq) -> Vec<Seq> {
        let older = self.rows.range(..by);
        let same = older.filter(|(_, aside)| aside.key.as_deref() == Some(key));
        same.map(|(seq, _)| *seq).collect()
    }

    /// Whether none is known.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Asides, PAUSE_MAX};

    #[test]
    fn each_row_waits_longer_after_each_refusal_and_not_for_the_others() {
        let now = Instant::now();
        let mut asides = Asides::default();
        asides.add(3, 30, None, Some(now));
        asides.add(7, 70, None, Some(now));
        assert_eq!(asides.due(now, 10), [3, 7]);
        assert_eq!(asides.waiting(), (2, Some(30)));
        asides.refused(3, false, now, 1.0);
        assert_eq!(asides.due(now, 10), [7]);
        let mut last = Duration::ZERO;
        for _ in 0..12 {
            asides.refused(7, false, now, 1.0);
            let pause = asides.rows[&7].again.unwrap().at - now;
            assert!(pause >= last && pause <= PAUSE_MAX, "{pause:?}");
            last = pause;
        }
        assert_eq!(last, PAUSE_MAX);
        asides.remove(7);
        assert_eq!(asides.due(now + Duration::from_secs(3), 10), [3]);
    }

    #[test]
    fn a_stored_state_makes_the_older_refused_ones_of_its_key_moot() {
        let now = Instant::now();
        let mut asides = Asides::default();
        asides.add(3, 0, Some("b".to_owned()), Some(now));
        asides.add(5, 0, Some("b".to_owned()), None);
        asides.add(6, 0, Some("c".to_owned()), Some(now));
        asides.add(9, 0, Some("b".to_owned()), Some(now));
        assert_eq!(asides.superseded("b", 8), [3, 5]);
        assert_eq!(asides.waiting().0, 3);
    }
}
