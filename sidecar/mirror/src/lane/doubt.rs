//! A request of a table with a row for each key whose outcome is not known: it may be carried out after
//! what is sent later, and take a row back in time. So nothing newer is sent until that can't happen any
//! more, while the same rows may be sent again at once. A table with the guard needs none of this. Pure.

use std::time::{Duration, Instant};

use boboyka_strand::Seq;

/// Supabase ends every request after a minute; nothing of one is carried out later.
const REQUEST_MAX: Duration = Duration::from_mins(1);

/// The request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Doubt {
    /// The newest state that it held.
    newest: Seq,
    until: Instant,
}

impl Doubt {
    /// A request sent at `sent`, with rows up to `newest`. An earlier request that is still in doubt stays so.
    pub(super) fn of(earlier: Option<Self>, newest: Seq, sent: Instant) -> Self {
        Self {
            newest: earlier.map_or(newest, |earlier| earlier.newest.min(newest)),
            until: sent + REQUEST_MAX,
        }
    }

    /// Until when rows up to `newest` have to wait.
    pub(super) fn holds(&self, newest: Seq, now: Instant) -> Option<Instant> {
        (newest > self.newest && now < self.until).then_some(self.until)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Doubt, REQUEST_MAX};

    #[test]
    fn newer_rows_wait_until_the_request_can_no_longer_be_carried_out_and_the_same_ones_do_not() {
        let now = Instant::now();
        let doubt = Doubt::of(None, 10, now);
        assert_eq!(doubt.holds(10, now), None);
        assert_eq!(doubt.holds(11, now), Some(now + REQUEST_MAX));
        assert_eq!(doubt.holds(11, now + REQUEST_MAX), None);
        let again = Doubt::of(Some(doubt), 10, now + Duration::from_secs(30));
        assert!(again.holds(11, now + REQUEST_MAX).is_some());
    }
}
