//! The rules of the Lease: what a record allows at an instant. Pure: no client, and the time is an argument.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease as Record, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use tokio::time::Instant;

/// The Lease's name, in the operator's namespace.
pub(super) const NAME: &str = "boboyka-operator";

/// What the record allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// There is no Lease: create it.
    Create,
    /// The Lease is free, or its holder did not renew it in time: replace it.
    Take,
    /// Another replica holds the Lease: look again at this instant.
    Wait(Instant),
}

/// One replica's view of the Lease.
#[derive(Debug)]
pub(super) struct Terms {
    identity: String,
    duration: Duration,
    /// The version of the record that was last seen (`None`: it was gone), and since when it has not changed.
    seen: Option<(Option<String>, Instant)>,
    /// When the last successful renewal began.
    renewed: Option<Instant>,
}

impl Terms {
    pub(super) fn new(identity: String, duration: Duration) -> Self {
        Self {
            identity,
            duration,
            seen: None,
            renewed: None,
        }
    }

    /// The time between two renewals, and before a retry.
    pub(super) fn pace(&self) -> Duration {
        self.duration / 5
    }

    /// When a holder that could not renew must stop leading.
    pub(super) fn deadline(&self, now: Instant) -> Instant {
        self.renewed.unwrap_or(now) + self.duration * 2 / 3
    }

    /// Notes a successful renewal, which began at this instant.
    pub(super) fn renewed(&mut self, began: Instant) {
        self.renewed = Some(began);
    }

    /// Whether the record says that this replica leads.
    pub(super) fn is_mine(&self, record: Option<&Record>) -> bool {
        record.and_then(holder) == Some(&self.identity)
    }

    /// What a replica that wants to lead may do about the record at this instant.
    pub(super) fn next(&mut self, record: Option<&Record>, now: Instant) -> Step {
        if record.is_none() && self.seen.is_none() {
            return Step::Create;
        }
        let version = record.and_then(|record| record.metadata.resource_version.clone());
        let since = match &self.seen {
            Some((seen, since)) if *seen == version => *since,
            _ => {
                self.seen = Some((version, now));
                now
            }
        };
        let Some(record) = record else {
            // The holder may not know yet that somebody deleted the Lease.
            let until = since + self.duration;
            return if now >= until {
                Step::Create
            } else {
                Step::Wait(until)
            };
        };
        if holder(record).is_none() || self.is_mine(Some(record)) {
            return Step::Take;
        }
        // The holder may be of a version that renews less often.
        let theirs = record
            .spec
            .as_ref()
            .and_then(|spec| spec.lease_duration_seconds)
            .and_then(|seconds| u64::try_from(seconds).ok())
            .map_or(Duration::ZERO, Duration::from_secs);
        let until = since + self.duration.max(theirs);
        if now >= until {
            Step::Take
        } else {
            Step::Wait(until)
        }
    }

    /// The record that makes this replica the holder, in place of `before`. Its times are for people.
    pub(super) fn record(&self, before: Option<&Record>, now: Timestamp) -> Record {
        let mut record = before.cloned().unwrap_or_default();
        record.metadata.name = Some(NAME.to_owned());
        let spec = record.spec.get_or_insert_with(LeaseSpec::default);
        if spec.holder_identity.as_ref() != Some(&self.identity) {
            spec.acquire_time = Some(MicroTime(now));
            let before = spec.lease_transitions.map(|n| n.saturating_add(1));
            spec.lease_transitions = Some(before.unwrap_or_default());
        }
        spec.holder_identity = Some(self.identity.clone());
        spec.lease_duration_seconds = i32::try_from(self.duration.as_secs()).ok();
        spec.renew_time = Some(MicroTime(now));
        record
    }
}

/// The record without a holder, in place of `before`.
pub(super) fn released(before: &Record) -> Record {
    let mut record = before.clone();
    if let Some(spec) = &mut record.spec {
        spec.holder_identity = Some(String::new());
    }
    record
}

fn holder(record: &Record) -> Option<&String> {
    let holder = record.spec.as_ref()?.holder_identity.as_ref()?;
    Some(holder).filter(|holder| !holder.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DURATION: Duration = Duration::from_secs(15);
    const SECOND: Duration = Duration::from_secs(1);

    fn terms(identity: &str) -> Terms {
        Terms::new(identity.to_owned(), DURATION)
    }

    /// The record that `identity` leads with, at a version.
    fn held(identity: &str, version: &str) -> Record {
        let mut record = terms(identity).record(None, Timestamp::UNIX_EPOCH);
        record.metadata.resource_version = Some(version.to_owned());
        record
    }

    #[test]
    fn a_lease_that_is_missing_or_free_is_taken_at_once() {
        let mut mine = terms("b");
        let now = Instant::now();
        assert_eq!(mine.next(None, now), Step::Create);
        let free = released(&held("a", "1"));
        assert_eq!(mine.next(Some(&free), now), Step::Take);
    }

    #[test]
    fn a_holder_is_waited_for_from_the_last_change_that_was_seen_not_by_its_clock() {
        let mut mine = terms("b");
        let now = Instant::now();
        // The record is decades old by its own times.
        let step = mine.next(Some(&held("a", "1")), now);
        assert_eq!(step, Step::Wait(now + DURATION));
        let later = now + DURATION - SECOND;
        let step = mine.next(Some(&held("a", "2")), later);
        assert_eq!(step, Step::Wait(later + DURATION));
        let step = mine.next(Some(&held("a", "2")), later + DURATION - SECOND);
        assert_eq!(step, Step::Wait(later + DURATION));
        assert_eq!(
            mine.next(Some(&held("a", "2")), later + DURATION),
            Step::Take
        );
    }

    #[test]
    fn a_lease_that_was_deleted_is_not_free_until_its_holder_must_know() {
        let mut mine = terms("b");
        let now = Instant::now();
        mine.next(Some(&held("a", "1")), now);
        let step = mine.next(None, now + SECOND);
        assert_eq!(step, Step::Wait(now + SECOND + DURATION));
        assert_eq!(mine.next(None, now + SECOND + DURATION), Step::Create);
    }

    #[test]
    fn a_holder_with_a_longer_lease_is_given_its_time() {
        let mut mine = terms("b");
        let now = Instant::now();
        let mut record = held("a", "1");
        record.spec.as_mut().unwrap().lease_duration_seconds = Some(60);
        let step = mine.next(Some(&record), now);
        assert_eq!(step, Step::Wait(now + Duration::from_mins(1)));
    }

    #[test]
    fn a_leader_has_lost_it_before_anybody_may_take_it() {
        let mut leader = terms("a");
        let mut other = terms("b");
        let now = Instant::now();
        leader.renewed(now);
        // The other has seen the renewal at the earliest when it was begun.
        let Step::Wait(free) = other.next(Some(&held("a", "1")), now) else {
            panic!("it is held");
        };
        assert!(leader.deadline(now) + DURATION / 3 <= free);
    }

    #[test]
    fn changes_of_the_leader_are_counted_and_what_others_wrote_is_kept() {
        let mut record = held("a", "1");
        record.metadata.labels = Some([("kept".to_owned(), "yes".to_owned())].into());
        let now = Timestamp::now();
        let renewed = terms("a").record(Some(&record), now).spec.unwrap();
        assert_eq!(renewed.lease_transitions, Some(0));
        assert_ne!(renewed.acquire_time, Some(MicroTime(now)));
        let taken = terms("b").record(Some(&record), now);
        assert_eq!(taken.metadata.labels, record.metadata.labels);
        assert_eq!(taken.metadata.resource_version.as_deref(), Some("1"));
        let taken = taken.spec.unwrap();
        assert_eq!(taken.lease_transitions, Some(1));
        assert_eq!(taken.acquire_time, Some(MicroTime(now)));
    }
}
