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

/// Knows what was reported, and when.
#[derive(Debug, Default)]
pub(super) struct Pacer {
    sent: Option<(StrandStatus, Instant)>,
    /// When a change of health that was seen is reported.
    urgent_at: Option<Instant>,
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
        let Some((sent, at)) = self
            .sent
            .as_ref()
            .filter(|(sent, _)| health(sent) == health(status))
        else {
            let wait = pace.spread.mul_f64(luck).max(DEBOUNCE);
            return now >= *self.urgent_at.get_or_insert(now + wait);
        };
        self.urgent_at = None;
        let elapsed = now.saturating_duration_since(*at);
        let wait = if same(sent, status) {
            pace.interval * HEARTBEAT_INTERVALS
        } else {
            pace.interval
        };
        elapsed >= wait
    }

    /// It was reported.
    pub(super) fn sent(&mut self, status: StrandStatus, now: Instant) {
        *self = Self {
            sent: Some((status, now)),
            urgent_at: None,
        };
    }

    /// What was reported does not count any more: another one reports, or reported.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}
