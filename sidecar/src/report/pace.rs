//! When to report: a change of health after a moment, figures at the integration's pace, and a sign of life now and
//! then. Pure: time and luck are arguments.

use std::time::{Duration, Instant};

use boboyka_crds::StrandStatus;

use super::status::{health, same};
use crate::integration::Pace;

/// What changes together is reported together.
const DEBOUNCE: Duration = Duration::from_millis(200);
/// A report that says nothing new comes with every sixth interval, so that silence means something.
const HEARTBEAT_INTERVALS: u32 = 6;
/// Changes of health that are reported as they come; when health flaps, two in an interval after that.
const BURST: u32 = 6;

/// Knows what was reported, and when.
#[derive(Debug, Default)]
pub(super) struct Pacer {
    sent: Option<(StrandStatus, Instant)>,
    /// When a change of health that was seen is reported.
    urgent_at: Option<Instant>,
    /// When changes of health that were reported are paid for, at two in an interval.
    paid_at: Option<Instant>,
}

impl Pacer {
    /// Whether to report this now. `luck` is drawn evenly from 0 to 1.
    pub(super) fn is_due(
        &mut self,
        status: &StrandStatus,
        pace: Pace,
        now: Instant,
        luck: f64,
    ) -> bool {
        let Some((sent, at)) = self.same_health(status) else {
            let wait = pace.spread.mul_f64(luck).max(DEBOUNCE);
            let at = *self.urgent_at.get_or_insert(now + wait);
            let credit = pace.interval / 2 * BURST;
            return now >= at && self.paid_at.is_none_or(|paid_at| paid_at <= now + credit);
        };
        let wait = if same(sent, status) {
            pace.interval * HEARTBEAT_INTERVALS
        } else {
            pace.interval
        };
        let due = now.saturating_duration_since(*at) >= wait;
        self.urgent_at = None;
        due
    }

    /// It was reported.
    pub(super) fn sent(&mut self, status: StrandStatus, pace: Pace, now: Instant) {
        if self.same_health(&status).is_none() {
            let from = self.paid_at.map_or(now, |paid_at| paid_at.max(now));
            self.paid_at = Some(from + pace.interval / 2);
        }
        self.sent = Some((status, now));
        self.urgent_at = None;
    }

    /// What was reported does not count any more: another one reports, or reported.
    pub(super) fn forget(&mut self) {
        self.sent = None;
        self.urgent_at = None;
    }

    fn same_health(&self, status: &StrandStatus) -> Option<&(StrandStatus, Instant)> {
        let sent = self.sent.as_ref();
        sent.filter(|(sent, _)| health(sent) == health(status))
    }
}
