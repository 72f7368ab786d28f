//! The breaker of one lane: after five failures in a row it opens, and nothing is sent but one probe
//! each time its wait is over. While it is open an ingest does not wait for the mirror at all. A pure
//! state machine: the time is an argument.

use std::time::{Duration, Instant};

/// Transient failures in a row that open the breaker: fewer are a hiccup.
pub(crate) const FAILURES_TO_OPEN: u32 = 5;

/// The states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed { failures: u32 },
    Open { until: Instant },
    HalfOpen,
}

/// Whether requests may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Breaker(State);

impl Default for Breaker {
    fn default() -> Self {
        Self(State::Closed { failures: 0 })
    }
}

/// What may be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    /// Batches.
    Batches,
    /// One preflight, whose result decides.
    Probe,
    /// Nothing before this time.
    Nothing(Instant),
}

impl Breaker {
    /// What may be sent at `now`. An open breaker whose wait is over becomes half-open.
    pub(crate) fn leave(&mut self, now: Instant) -> Leave {
        match self.0 {
            State::Closed { .. } => Leave::Batches,
            State::HalfOpen => Leave::Probe,
            State::Open { until } if now < until => Leave::Nothing(until),
            State::Open { .. } => {
                self.0 = State::HalfOpen;
                Leave::Probe
            }
        }
    }

    /// A transient failure at `now`; should the breaker be open after it, it stays so for `delay`.
    pub(crate) fn failed(&mut self, now: Instant, delay: Duration) {
        let open = State::Open { until: now + delay };
        self.0 = match self.0 {
            State::Closed { failures } if failures + 1 < FAILURES_TO_OPEN => State::Closed {
                failures: failures + 1,
            },
            State::Closed { .. } | State::HalfOpen | State::Open { .. } => open,
        };
    }

    /// An answer that shows Supabase working, also one that refuses a row.
    pub(crate) fn answered(&mut self) {
        self.0 = State::Closed { failures: 0 };
    }

    /// A caller asks for an attempt now: an open breaker goes half-open ahead of its time.
    pub(crate) fn hurry(&mut self) {
        if let State::Open { .. } = self.0 {
            self.0 = State::HalfOpen;
        }
    }

    /// Whether it is anything but closed.
    pub(crate) fn is_open(&self) -> bool {
        !matches!(self.0, State::Closed { .. })
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::{Breaker, FAILURES_TO_OPEN, Leave};

    const DELAY: Duration = Duration::from_secs(3);

    fn opened(now: Instant) -> Breaker {
        let mut breaker = Breaker::default();
        for _ in 0..FAILURES_TO_OPEN {
            assert!(!breaker.is_open());
            breaker.failed(now, DELAY);
        }
        breaker
    }

    #[test]
    fn five_failures_in_a_row_open_it() {
        let now = Instant::now();
        let mut breaker = opened(now);
        assert!(breaker.is_open());
        assert_eq!(breaker.leave(now), Leave::Nothing(now + DELAY));
    }

    #[test]
    fn an_answer_in_between_starts_the_count_again() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        for _ in 0..FAILURES_TO_OPEN - 1 {
            breaker.failed(now, DELAY);
        }
        breaker.answered();
        breaker.failed(now, DELAY);
        assert_eq!(breaker.leave(now), Leave::Batches);
    }

    #[test]
    fn after_its_wait_it_lets_one_probe_through_and_closes_on_success() {
        let now = Instant::now();
        let mut breaker = opened(now);
        assert_eq!(breaker.leave(now + DELAY), Leave::Probe);
        assert!(breaker.is_open());
        breaker.answered();
        assert_eq!(breaker.leave(now + DELAY), Leave::Batches);
        assert!(!breaker.is_open());
    }

    #[test]
    fn a_failed_probe_opens_it_again_at_once() {
        let now = Instant::now();
        let mut breaker = opened(now);
        let later = now + DELAY;
        assert_eq!(breaker.leave(later), Leave::Probe);
        breaker.failed(later, DELAY);
        assert_eq!(breaker.leave(later), Leave::Nothing(later + DELAY));
    }

    #[test]
    fn a_hurried_breaker_probes_before_its_time() {
        let now = Instant::now();
        let mut breaker = opened(now);
        breaker.hurry();
        assert_eq!(breaker.leave(now), Leave::Probe);
    }

    proptest! {
        #[test]
        fn batches_are_let_through_exactly_while_fewer_than_five_failures_are_unanswered(
            steps in proptest::collection::vec(any::<bool>(), 0..60)
        ) {
            let now = Instant::now();
            let mut breaker = Breaker::default();
            let mut unanswered = 0;
            for failed in steps {
                if failed {
                    breaker.failed(now, DELAY);
                    unanswered += 1;
                } else {
                    breaker.answered();
                    unanswered = 0;
                }
                let batches = breaker.leave(now) == Leave::Batches;
                prop_assert_eq!(batches, unanswered < FAILURES_TO_OPEN);
            }
        }
    }
}
