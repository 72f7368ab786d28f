//! What the leader remembers of an integration between two looks. Losing it costs some needless writes; and a pod that waited
//! for a fence comes when its controller tries again by itself.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use boboyka_crds::phases::Watch;
use boboyka_crds::{HeadReference, Lists};
use kube::ResourceExt as _;

use super::reports::Reports;
use super::seen::Seen;
use crate::clock::Moment;
use crate::strands::witness;

/// A storage class that can't resize volumes refuses every claim every time: they are asked again after this long.
const RESIZE_PAUSE: Duration = Duration::from_mins(1);

/// What is remembered of an integration.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// The integration's UID: an integration that is created again under its name is another.
    pub(super) uid: Option<String>,
    /// When and for which generation the role binding was applied.
    pub(super) bound: Option<(Instant, i64)>,
    /// Generations of workloads after the label was set on them, by UID.
    pub(super) selected: HashMap<String, i64>,
    /// When a strand's head is to be stored next, by the strand's UID.
    pub(super) store_due: HashMap<String, Instant>,
    /// The newest head that each strand reported to this replica, by the strand's UID.
    pub(super) heads: HashMap<String, HeadReference>,
    /// How old the strands' reports are.
    pub(super) reports: Reports,
    /// The last request for larger volumes that failed.
    pub(super) refused: Option<Refused>,
    /// How often in a row Jobs failed on a strand, by the strand's name.
    pub(super) job_failures: HashMap<String, u32>,
    /// UIDs of strands that were fenced, until what waits for them was woken.
    pub(super) fenced: HashSet<String>,
    /// The list of legacy projects in force, in the status that was written last and in the one that this look makes.
    pub(super) lists: Lists,
    /// How long the gates of a step have been watched.
    pub(super) watch: Watch,
    /// When the status was last written.
    pub(super) written: Option<Instant>,
    /// Failures in a row.
    pub(super) failures: u32,
}

/// A request for larger volumes that failed.
#[derive(Debug)]
pub(super) struct Refused {
    /// When.
    pub(super) at: Instant,
    /// The generation of the integration whose size was requested.
    pub(super) generation: i64,
    /// The failures, each as `could not DO THIS: CAUSE`.
    pub(super) failures: Vec<String>,
}

impl Refused {
    /// Whether it is too early to ask for the size of this generation again.
    pub(super) fn stands(&self, generation: i64, now: Instant) -> bool {
        self.generation == generation && now.saturating_duration_since(self.at) < RESIZE_PAUSE
    }
}

impl Memory {
    /// Forgets everything if the integration is another one of the same name.
    pub(super) fn belong_to(&mut self, uid: Option<&String>) {
        if self.uid.as_ref() != uid {
            *self = Self {
                uid: uid.cloned(),
                ..Self::default()
            };
        }
    }

    /// Remembers what one look saw, and forgets what is gone.
    pub(super) fn note(&mut self, seen: &Seen, now: &Moment) {
        self.forget_gone(seen);
        self.note_heads(seen, now.instant);
        let fenced = seen.all_strands().filter(|one| one.fence().is_some());
        self.fenced.extend(fenced.filter_map(|one| one.uid()));
        self.reports.note(&seen.strands, now);
    }

    fn forget_gone(&mut self, seen: &Seen) {
        let strands = || seen.all_strands().map(|strand| &strand.metadata);
        let uids: HashSet<&String> = strands().filter_map(|one| one.uid.as_ref()).collect();
        self.heads.retain(|uid, _| uids.contains(uid));
        self.store_due.retain(|uid, _| uids.contains(uid));
        self.fenced.retain(|uid| uids.contains(uid));
        let names: HashSet<&String> = strands().filter_map(|one| one.name.as_ref()).collect();
        self.job_failures.retain(|strand, _| names.contains(strand));
        let workloads: HashSet<&String> = seen.workloads.iter().map(|one| &one.uid).collect();
        self.selected.retain(|uid, _| workloads.contains(uid));
    }

    /// Remembers the newest heads, and when each is to be stored for later leaders: spread, not all at once.
    fn note_heads(&mut self, seen: &Seen, now: Instant) {
        for strand in seen.all_strands() {
            let head = strand.report().and_then(|status| status.head.clone());
            let (Some(uid), Some(head)) = (strand.uid(), head) else {
                continue;
            };
            let first = || now + witness::STORE_INTERVAL.mul_f64(fastrand::f64());
            self.store_due.entry(uid.clone()).or_insert_with(first);
            let newest = self.heads.entry(uid).or_insert_with(|| head.clone());
            if head.seq > newest.seq {
                *newest = head;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use boboyka_crds::{BoboykaStrand, BoboykaStrandSpec, StrandStatus};

    use super::*;

    fn reporting(seq: i64) -> Seen {
        let mut strand = BoboykaStrand::new("i-0", BoboykaStrandSpec::default());
        strand.metadata.uid = Some("s-1".to_owned());
        strand.status = Some(StrandStatus {
            reported_at: Some(crate::clock::now()),
            head: Some(HeadReference {
                seq,
                hash: seq.to_string(),
            }),
            ..StrandStatus::default()
        });
        Seen {
            strands: vec![Arc::new(strand)],
            ..Seen::default()
        }
    }

    #[test]
    fn the_newest_head_is_remembered_also_when_the_strand_goes_back() {
        let mut memory = Memory::default();
        let now = Moment::now();
        for (reported, remembered) in [(3, 3), (9, 9), (4, 9)] {
            memory.note(&reporting(reported), &now);
            assert_eq!(memory.heads["s-1"].seq, remembered);
        }
        assert!(memory.store_due["s-1"] <= now.instant + witness::STORE_INTERVAL);
    }

    #[test]
    fn what_is_gone_is_forgotten() {
        let (mut memory, now) = (Memory::default(), Moment::now());
        memory.note(&reporting(3), &now);
        memory.job_failures.insert("i-0".to_owned(), 2);
        memory.note(&reporting(4), &now);
        assert_eq!(memory.job_failures.len(), 1, "the strand is there");
        memory.selected.insert("w-1".to_owned(), 1);
        memory.note(&Seen::default(), &now);
        assert!(memory.heads.is_empty() && memory.store_due.is_empty());
        assert!(memory.job_failures.is_empty() && memory.selected.is_empty());
    }

    #[test]
    fn an_integration_that_is_created_again_is_another() {
        let (one, two) = ("u-1".to_owned(), "u-2".to_owned());
        let mut memory = Memory::default();
        memory.belong_to(Some(&one));
        memory.failures = 3;
        memory.belong_to(Some(&one));
        assert_eq!(memory.failures, 3);
        memory.belong_to(Some(&two));
        assert_eq!(memory.failures, 0);
    }

    #[test]
    fn a_refused_size_is_asked_for_again_after_a_pause_or_a_change() {
        let at = Instant::now();
        let refused = Refused {
            at,
            generation: 3,
            failures: vec!["no".to_owned()],
        };
        assert!(refused.stands(3, at));
        assert!(!refused.stands(4, at));
        assert!(!refused.stands(3, at + RESIZE_PAUSE));
    }
}
