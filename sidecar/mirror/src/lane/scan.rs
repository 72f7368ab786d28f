//! How far a lane has looked through the strand for its records. One answer to "is there anything to
//! read, and when" serves both whoever reads and whoever rests: two answers that differ are a lane that
//! turns without ever resting. Pure: the time is an argument.

use std::time::{Duration, Instant};

use boboyka_strand::Seq;

/// How long an idle lane trusts the counts before it looks at the strand itself.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The newest seq that was looked at, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scan {
    to: Seq,
    at: Instant,
}

/// When to read the strand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Now.
    Now,
    /// At this time; it lies in the future.
    At(Instant),
    /// Not before the strand has grown.
    Never,
}

impl Scan {
    pub(super) fn new(now: Instant) -> Self {
        Self { to: 0, at: now }
    }

    /// The strand holds nothing for the lane between its mark and `to`, as was seen at `now`.
    pub(super) fn looked(&mut self, to: Seq, now: Instant) {
        *self = Self { to, at: now };
    }

    /// Where to read on: everything before is settled, or of other lanes.
    pub(super) fn from(&self, mark: Seq) -> Seq {
        mark.max(self.to)
    }

    /// When to read on, up to `end`. `counted` tells whether the counts say that there is something.
    pub(super) fn look(&self, mark: Seq, end: Seq, counted: bool, now: Instant) -> Look {
        let next = self.at + LOOK_INTERVAL;
        if end <= self.from(mark) {
            Look::Never
        } else if counted || next <= now {
            Look::Now
        } else {
            // The counts said that there is nothing; the strand itself has the last word.
            Look::At(next)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::{LOOK_INTERVAL, Look, Scan};

    #[test]
    fn a_lane_that_restarts_with_everything_mirrored_has_nothing_to_look_for() {
        let now = Instant::now();
        let scan = Scan::new(now);
        assert_eq!(
            scan.look(100, 100, false, now + 2 * LOOK_INTERVAL),
            Look::Never
        );
        assert_eq!(
            scan.look(100, 101, false, now),
            Look::At(now + LOOK_INTERVAL)
        );
        assert_eq!(scan.look(100, 101, true, now), Look::Now);
    }

    proptest! {
        #[test]
        fn a_look_is_now_or_later_and_after_it_there_is_nothing_left(
            to in 0_u64..50, mark in 0_u64..50, end in 0_u64..50,
            counted: bool, elapsed_ms in 0_u64..3_000,
        ) {
            let begun = Instant::now();
            let now = begun + Duration::from_millis(elapsed_ms);
            let mut scan = Scan::new(begun);
            scan.looked(to, begun);
            match scan.look(mark, end, counted, now) {
                Look::At(at) => prop_assert!(at > now),
                Look::Now => {
                    scan.looked(end, now);
                    prop_assert_eq!(scan.look(mark, end, false, now), Look::Never);
                }
                Look::Never => {}
            }
        }
    }
}
