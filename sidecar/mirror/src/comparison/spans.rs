//! Which span of a lane is compared next: new records first, the newest again soon, old ones seldom. Pure: the
//! time is an argument.

use std::sync::Arc;
use std::time::{Duration, Instant};

use boboyka_strand::Seq;

use super::reach::Reach;
use crate::parity::{Difference, LaneParity, Tally};

/// New records are compared this long after the last ones were.
const NEW_AFTER: Duration = Duration::from_secs(5);

/// The newest span is compared again after this time.
const NEWEST_AFTER: Duration = Duration::from_mins(1);

/// Every span is compared again after this time.
const OLD_AFTER: Duration = Duration::from_hours(1);

/// Differences of a lane that are kept one by one; more are only counted.
const DIFFERENCES_MAX: usize = 10_000;

/// Differences that are shown of a lane.
const DIFFERENCES_SHOWN: usize = 100;

/// A span of the strand that was compared: the records after `after` up to `to`.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) after: Seq,
    pub(crate) to: Seq,
    /// Whether it holds as many records as one comparison takes.
    pub(crate) full: bool,
    pub(crate) at: Instant,
    pub(crate) at_ms: u64,
    pub(crate) tally: Tally,
    pub(crate) differences: Vec<Difference>,
    /// If it came to the end of what can be compared: the rows at places that the strand has not come to.
    pub(crate) beyond: Option<Vec<Difference>>,
}

/// A comparison to make: from here on, at most up to `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Job {
    pub(crate) after: Seq,
    pub(crate) to: Seq,
}

/// What was compared of a lane, oldest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spans {
    all: Vec<Span>,
    /// The rows at places that the strand has not come to: they are of no span.
    beyond: Vec<Difference>,
    /// Somebody asked then for everything up to there.
    asked: Option<(Instant, Seq)>,
    /// Whether the newest span ended where the lane was settled.
    whole: bool,
}

impl Spans {
    /// Asks for everything that is settled to be compared from now on.
    pub(crate) fn ask(&mut self, now: Instant, up_to: Seq) {
        self.asked = Some((now, up_to));
    }

    /// Forgets what was compared, and not that somebody asked: the table is another one now.
    pub(crate) fn begin_anew(&mut self) {
        *self = Self {
            asked: self.asked,
            ..Self::default()
        };
    }

    /// Whether somebody waits for a comparison.
    pub(crate) fn is_asked(&self) -> bool {
        self.asked.is_some()
    }

    /// Forgets what retention took.
    pub(crate) fn prune(&mut self, floor: Seq) {
        self.all.retain(|span| span.to > floor || floor == 0);
    }

    /// What to compare next, and when.
    pub(crate) fn next(&mut self, floor: Seq, reach: Reach, now: Instant) -> (Instant, Job) {
        let up_to = reach.up_to.max(floor);
        if let Some(after) = self.gap(floor) {
            return (now, Job { after, to: up_to });
        }
        let Some(newest) = self.all.last() else {
            return (
                now,
                Job {
                    after: floor,
                    to: up_to,
                },
            );
        };
        // New records join the newest span until it is full.
        let after = if newest.full { newest.to } else { newest.after };
        let new = Job {
            after: after.max(floor),
            to: up_to,
        };
        if let Some((asked, wanted)) = self.asked {
            if let Some(span) = self.all.iter().find(|span| span.at < asked) {
                return (now, again(span, floor));
            }
            if newest.to < wanted.min(up_to) {
                return (now, new);
            }
            self.asked = None;
        }
        // The first comparison of a long strand goes on until it has come to the end.
        let new_at = if self.whole {
            newest.at + NEW_AFTER
        } else {
            now
        };
        let new = (up_to > newest.to).then_some((new_at, new));
        let newest = (newest.at + NEWEST_AFTER, again(newest, floor));
        let oldest = self.all.iter().min_by_key(|span| span.at);
        let oldest = oldest.map(|span| (span.at + OLD_AFTER, again(span, floor)));
        let later = [new, oldest].into_iter().flatten();
        later.fold(
            newest,
            |first, other| if other.0 < first.0 { other } else { first },
        )
    }

    /// Where a part begins that was not compared although a later one was.
    fn gap(&self, floor: Seq) -> Option<Seq> {
        let mut to = floor;
        for span in &self.all {
            if span.after > to {
                return Some(to);
            }
            to = span.to;
        }
        None
    }

    /// Takes over the result of a job. `settled` is up to where the lane could be compared then.
    pub(crate) fn compared(&mut self, mut span: Span, up_to: Seq) {
        // A span may be empty, and one of the same place is replaced like any other.
        self.all.retain(|known| {
            let before = known.to <= span.after && known.after < span.after;
            before || (known.after >= span.to && known.to > span.to)
        });
        if let Some(beyond) = span.beyond.take() {
            self.beyond = beyond;
        }
        let kept = self.differences().count();
        span.differences
            .truncate(DIFFERENCES_MAX.saturating_sub(kept));
        let (place, to) = (
            self.all.partition_point(|known| known.to <= span.after),
            span.to,
        );
        self.all.insert(place, span);
        if self.all.len() == place + 1 {
            self.whole |= to >= up_to;
        }
    }

    /// The records and rows that differ.
    pub(crate) fn differences(&self) -> impl Iterator<Item = Difference> {
        let spans = self.all.iter().flat_map(|span| &span.differences);
        spans.chain(&self.beyond).copied()
    }

    /// What is known, once all that was settled has been compared. `list_since` is the list of legacy projects in force.
    pub(crate) fn parity(
        &self,
        floor: Seq,
        list_since: Seq,
        unchecked: &[Arc<str>],
    ) -> Option<LaneParity> {
        let newest = self.all.last()?;
        if !self.whole || self.gap(floor).is_some() {
            return None;
        }
        let mut tally = Tally::default();
        self.all.iter().for_each(|span| tally.add(span.tally));
        let beyond = self.beyond.iter();
        beyond.for_each(|difference| tally.count(difference.kind));
        let oldest_ms = self.all.iter().map(|span| span.at_ms).min();
        let oldest = self.all.iter().map(|span| span.at).min();
        Some(LaneParity {
            up_to: newest.to,
            checked_at_ms: oldest_ms.unwrap_or(newest.at_ms),
            checked: oldest.unwrap_or(newest.at),
            list_since,
            missing: tally.missing,
            changed: tally.changed,
            extra: tally.extra,
            doubled: tally.doubled,
            differences: self.differences().take(DIFFERENCES_SHOWN).collect(),
            unchecked_columns: unchecked.to_vec(),
        })
    }
}

fn again(span: &Span, floor: Seq) -> Job {
    Job {
        after: span.after.max(floor),
        to: span.to,
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Difference, Job, NEW_AFTER, NEWEST_AFTER, OLD_AFTER, Reach, Span, Spans, Tally};
    use crate::parity::DifferenceKind;

    const RECORDS: u64 = 10;

    fn reach(to: u64) -> Reach {
        Reach {
            settled: to,
            up_to: to,
        }
    }

    /// Does a job as a comparison would that takes ten records at a time.
    fn compare(spans: &mut Spans, job: Job, up_to: u64, at: Instant, at_ms: u64) {
        let to = job.to.min(job.after + RECORDS);
        let span = Span {
            after: job.after,
            to,
            full: to == job.after + RECORDS,
            at,
            at_ms,
            tally: Tally::default(),
            differences: Vec::new(),
            beyond: None,
        };
        spans.compared(span, up_to);
    }

    /// Does everything that is due; how many jobs that were.
    fn catch_up(spans: &mut Spans, floor: u64, up_to: u64, now: Instant, ms: u64) -> usize {
        let mut jobs = 0;
        loop {
            let (at, job) = spans.next(floor, reach(up_to), now);
            if at > now {
                return jobs;
            }
            compare(spans, job, up_to, now, ms);
            jobs += 1;
            assert!(jobs < 100, "it turns without resting");
        }
    }

    #[test]
    fn a_long_strand_is_compared_in_spans_and_known_only_when_all_of_it_was() {
        let (mut spans, now) = (Spans::default(), Instant::now());
        let (_, job) = spans.next(0, reach(35), now);
        compare(&mut spans, job, 35, now, 1);
        assert_eq!(spans.parity(0, 0, &[]), None, "the rest was not compared");
        assert_eq!(catch_up(&mut spans, 0, 35, now, 2), 3);
        let known = spans.parity(0, 0, &[]).unwrap();
        assert_eq!((known.up_to, known.checked_at_ms), (35, 1));
    }

    #[test]
    fn new_records_come_soon_the_newest_again_later_and_old_ones_seldom() {
        let (mut spans, now) = (Spans::default(), Instant::now());
        catch_up(&mut spans, 0, 35, now, 1);
        assert_eq!(
            spans.next(0, reach(36), now),
            (now + NEW_AFTER, Job { after: 30, to: 36 })
        );
        assert_eq!(
            spans.next(0, reach(35), now),
            (now + NEWEST_AFTER, Job { after: 30, to: 35 })
        );
        let later = now + OLD_AFTER;
        catch_up(&mut spans, 0, 35, later, 9);
        assert_eq!(spans.parity(0, 0, &[]).unwrap().checked_at_ms, 9);
    }

    #[test]
    fn who_asks_gets_everything_compared_again_also_while_new_records_come() {
        let (mut spans, now) = (Spans::default(), Instant::now());
        catch_up(&mut spans, 0, 35, now, 1);
        let later = now + Duration::from_secs(1);
        spans.ask(later, 40);
        let mut up_to = 40;
        while spans.is_asked() {
            let (at, job) = spans.next(0, reach(up_to), later);
            if spans.is_asked() {
                assert_eq!(at, later);
                compare(&mut spans, job, up_to, later, 2);
                up_to += 1;
            }
        }
        let known = spans.parity(0, 0, &[]).unwrap();
        assert!(known.checked_at_ms == 2 && known.up_to >= 40, "{known:?}");
    }

    #[test]
    fn an_empty_lane_is_compared_too_and_again_when_somebody_asks() {
        let (mut spans, now) = (Spans::default(), Instant::now());
        catch_up(&mut spans, 0, 0, now, 1);
        assert_eq!(spans.parity(0, 0, &[]).unwrap().up_to, 0);
        let later = now + Duration::from_secs(1);
        spans.ask(later, 25);
        catch_up(&mut spans, 0, 25, later, 2);
        let known = spans.parity(0, 0, &[]).unwrap();
        assert_eq!((known.up_to, known.checked_at_ms), (25, 2));
    }

    #[test]
    fn a_row_beyond_the_head_is_told_once_and_no_longer_when_it_has_gone() {
        let (mut spans, now) = (Spans::default(), Instant::now());
        catch_up(&mut spans, 0, 10, now, 1);
        let end = |after, to, rows| Span {
            after,
            to,
            beyond: Some(rows),
            ..spans.all[0].clone()
        };
        let beyond = Difference {
            seq: 900,
            kind: DifferenceKind::Extra,
        };
        let (first, next) = (end(0, 10, vec![beyond]), end(10, 15, vec![beyond]));
        let last = end(10, 16, Vec::new());
        spans.compared(first, 10);
        spans.compared(next, 15);
        let known = spans.parity(0, 0, &[]).unwrap();
        assert_eq!((known.extra, known.differences), (1, vec![beyond]));
        spans.compared(last, 16);
        assert_eq!(spans.parity(0, 0, &[]).unwrap().extra, 0);
    }

    #[test]
    fn what_retention_takes_is_forgotten_and_a_gap_is_compared_before_anything_is_known() {
        let (mut spans, now) = (Spans::default(), Instant::now());
        catch_up(&mut spans, 0, 35, now, 1);
        let mut hurt = spans.all[0].clone();
        hurt.tally.missing = 1;
        hurt.differences = vec![Difference {
            seq: 3,
            kind: DifferenceKind::Missing,
        }];
        spans.compared(hurt, 35);
        assert_eq!(spans.parity(0, 0, &[]).unwrap().missing, 1);
        spans.prune(10);
        assert_eq!(spans.parity(10, 0, &[]).unwrap().missing, 0);
        let shorter = Span {
            to: 15,
            ..spans.all[0].clone()
        };
        spans.compared(shorter, 35);
        assert_eq!(spans.parity(10, 0, &[]), None);
        assert_eq!(spans.next(10, reach(35), now).1.after, 15);
        catch_up(&mut spans, 10, 35, now, 2);
        assert_eq!(spans.parity(10, 0, &[]).unwrap().up_to, 35);
    }
}
