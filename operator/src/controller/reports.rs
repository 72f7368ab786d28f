//! How old reports are, by the operator's own clock: it counts from when a report was seen to change. Pure.
//!
//! The clocks of nodes may be ahead or behind, so the time in a report is believed only about a report that was there
//! before this replica looked.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use boboyka_crds::BoboykaStrand;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;

use crate::clock::{Moment, elapsed};

/// A report that is there at the first look, and from further in the future, is no sign of life until it changes.
const SKEW_MAX: Duration = Duration::from_mins(1);

/// The last report of each strand, by the strand's name.
#[derive(Clone, Debug, Default)]
pub(super) struct Reports(HashMap<String, Report>);

#[derive(Clone, Debug)]
struct Report {
    at: Time,
    /// When it was new; `None`: nobody knows.
    since: Option<Instant>,
}

impl Reports {
    /// Notes which reports changed.
    pub(super) fn note(&mut self, strands: &[Arc<BoboykaStrand>], now: &Moment) {
        let mut before = std::mem::take(&mut self.0);
        let reports = strands.iter().filter_map(|strand| {
            let name = strand.name_any();
            let at = strand.report()?.reported_at.clone()?;
            let since = match before.remove(&name) {
                Some(report) if report.at == at => report.since,
                Some(_) => Some(now.instant),
                None => first_seen(&at, now),
            };
            Some((name, Report { at, since }))
        });
        self.0 = reports.collect();
    }

    /// The age of a strand's last report; `None` if there is none, or nobody knows its age.
    pub(super) fn age(&self, strand: &str, now: &Moment) -> Option<Duration> {
        let since = self.0.get(strand)?.since?;
        Some(now.instant.saturating_duration_since(since))
    }
}

/// When a report that was there already was new, as far as its own time can be believed.
fn first_seen(at: &Time, now: &Moment) -> Option<Instant> {
    let ahead = elapsed(&now.time, at);
    (ahead <= SKEW_MAX).then(|| now.instant.checked_sub(elapsed(at, &now.time)))?
}

#[cfg(test)]
mod tests {
    use boboyka_crds::{BoboykaStrandSpec, StrandStatus};
    use k8s_openapi::jiff::Timestamp;

    use super::*;

    fn at(second: i64) -> Time {
        Time(Timestamp::from_second(1_800_000_000 + second).unwrap())
    }

    fn reporting(second: i64) -> Vec<Arc<BoboykaStrand>> {
        let mut strand = BoboykaStrand::new("i-0", BoboykaStrandSpec::default());
        strand.status = Some(StrandStatus {
            reported_at: Some(at(second)),
            ..StrandStatus::default()
        });
        vec![Arc::new(strand)]
    }

    /// The age after looks at these moments, each at a report of this time.
    fn age(looks: &[(u64, i64)], now: u64) -> Option<u64> {
        let begin = Instant::now() + Duration::from_hours(1);
        let moment = |second: u64| Moment {
            time: at(i64::try_from(second).unwrap()),
            instant: begin + Duration::from_secs(second),
        };
        let mut reports = Reports::default();
        for (second, reported) in looks {
            reports.note(&reporting(*reported), &moment(*second));
        }
        reports.age("i-0", &moment(now)).map(|age| age.as_secs())
    }

    #[test]
    fn a_report_ages_from_when_it_was_seen_to_change() {
        for (what, looks, now, expected) in [
            ("seen at first", vec![(10, 7)], 12, Some(5)),
            (
                "a node whose clock is behind",
                vec![(10, -80), (20, -70)],
                25,
                Some(5),
            ),
            (
                "a node whose clock is ahead",
                vec![(10, 700), (20, 710)],
                125,
                Some(105),
            ),
            (
                "from far in the future",
                vec![(10, 700), (20, 700)],
                25,
                None,
            ),
            ("a little ahead", vec![(10, 12)], 15, Some(5)),
            (
                "no change",
                vec![(10, 10), (20, 10), (30, 10)],
                40,
                Some(30),
            ),
        ] {
            assert_eq!(age(&looks, now), expected, "{what}");
        }
        assert_eq!(Reports::default().age("i-0", &Moment::now()), None);
    }
}
