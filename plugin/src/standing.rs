//! How a strand stands, from its object: its state, why it is in it, and what to do next. Pure.

use boboyka_crds::{BoboykaStrand, Chain, HeadReference, LaneStatus, names};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;
use serde::Serialize;

use crate::age;

/// A report older than this many intervals is no sign of life; the operator counts the same.
const FRESH_INTERVALS: i64 = 8;
/// The shortest interval between two reports, in seconds.
const INTERVAL_MIN: i64 = 10;
/// A pod may take this long until its sidecar first reports, in seconds.
const START: i64 = 120;
/// A lane that is this far behind is worth a look, in milliseconds.
const LAG: i64 = 60_000;
/// States of a lane that end only when somebody acts.
const STOPPED: [&str; 3] = ["auth_failed", "schema_mismatch", "refused"];
/// States of a lane that end when Supabase answers again.
const WAITING: [&str; 2] = ["backing_off", "open"];
/// What the names of drain Jobs and their pods begin with.
const DRAIN_PREFIX: &str = "boboyka-drain-";

/// The state of a strand, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub(crate) enum State {
    /// Records are lost or altered.
    Damaged,
    /// The sidecar accepts no records.
    NotReady,
    /// The sidecar has not reported.
    Silent,
    /// A lane waits for somebody.
    MirrorStopped,
    /// Supabase rejected records permanently.
    DeadLetters,
    /// Records wait for Supabase.
    Behind,
    /// The pod starts.
    Starting,
    /// No agent holds the strand, and records wait for Supabase.
    Draining,
    /// All is well.
    Ready,
    /// No pod holds the strand, and nothing waits.
    Free,
}

impl State {
    /// Whether somebody has to act.
    pub(crate) fn is_wrong(self) -> bool {
        self <= Self::DeadLetters
    }

    /// Whether there is anything to say about it.
    pub(crate) fn is_worth_a_look(self) -> bool {
        self < Self::Ready
    }
}

/// How one strand stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Standing {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) integration: String,
    /// The pod that holds the strand.
    pub(crate) pod: Option<String>,
    pub(crate) state: State,
    /// Why it is in this state; empty when all is well.
    pub(crate) why: String,
    /// What to do next; empty when there is nothing to do.
    pub(crate) next: String,
    /// The newest record, 0 while there is none.
    pub(crate) head: i64,
    pub(crate) backlog: i64,
    pub(crate) lag_ms: i64,
    pub(crate) dead_letters: i64,
    /// The age of the last report by this machine's clock.
    pub(crate) reported_seconds_ago: Option<i64>,
}

/// Judges a strand; `interval` is what the integration's status says of reports, in seconds.
pub(crate) fn standing(strand: &BoboykaStrand, interval: Option<i32>, now: Timestamp) -> Standing {
    let report = strand.report();
    let age = report.and_then(|report| report.reported_at.as_ref());
    let age = age.map(|at| age::seconds(at, now));
    let holder = strand.spec.holder.as_ref();
    let subject = Subject {
        strand,
        namespace: strand.namespace().unwrap_or_default(),
        pod: holder.and_then(|holder| holder.pod_name.clone()),
        age,
        interval: i64::from(interval.unwrap_or_default()).max(INTERVAL_MIN),
        now,
    };
    let (state, why, next) = subject.judge();
    Standing {
        name: strand.name_any(),
        integration: strand.spec.integration.clone(),
        state,
        why,
        next,
        head: report
            .and_then(|report| report.head.as_ref())
            .map_or(0, |head| head.seq),
        backlog: report.map_or(0, |report| report.backlog),
        lag_ms: report.map_or(0, |report| report.lag_ms),
        dead_letters: report.map_or(0, |report| report.dead_letters),
        reported_seconds_ago: age,
        namespace: subject.namespace,
        pod: subject.pod,
    }
}

type Judgement = (State, String, String);

struct Subject<'a> {
    strand: &'a BoboykaStrand,
    namespace: String,
    pod: Option<String>,
    age: Option<i64>,
    interval: i64,
    now: Timestamp,
}

impl Subject<'_> {
    fn judge(&self) -> Judgement {
        let found = self
            .damaged()
            .or_else(|| self.silent())
            .or_else(|| self.not_ready())
            .or_else(|| self.stopped())
            .or_else(|| self.dead_letters())
            .or_else(|| self.behind());
        found.unwrap_or_else(|| {
            let state = if self.strand.spec.holder.is_some() {
                State::Ready
            } else {
                State::Free
            };
            (state, String::new(), String::new())
        })
    }

    fn damaged(&self) -> Option<Judgement> {
        let report = self.strand.report()?;
        let broken = report.chain.as_ref().filter(|chain| !chain.intact);
        let why = match broken {
            Some(Chain { reason, .. }) => reason
                .clone()
                .unwrap_or_else(|| "its chain is not intact".to_owned()),
            None => self.contradiction()?,
        };
        let name = self.strand.name_any();
        let next = format!(
            "keep its volume as it is, copy the folder quarantine, check the disk: kubectl get bbs {name} -n {} -o yaml",
            self.namespace
        );
        Some((State::Damaged, why, next))
    }

    /// Whether the strand holds another block than the operator recorded, or ends before it.
    fn contradiction(&self) -> Option<String> {
        let recorded = self.strand.spec.witnessed.as_ref()?;
        let report = self.strand.report()?;
        let differs =
            |held: &&HeadReference| held.seq == recorded.seq && held.hash != recorded.hash;
        if report.witnessed.as_ref().is_some_and(|held| differs(&held)) {
            return Some(format!(
                "it holds another record {} than the operator recorded",
                recorded.seq
            ));
        }
        let head = report.head.as_ref()?;
        (head.seq < recorded.seq).then(|| {
            format!(
                "it ends at record {}, and the operator recorded record {}",
                head.seq, recorded.seq
            )
        })
    }

    fn silent(&self) -> Option<Judgement> {
        let holder = self.strand.spec.holder.as_ref()?;
        let pod = self.pod.clone();
        let Some(pod) = pod else {
            return Some((
                State::Starting,
                "it is reserved for a pod that is being created".to_owned(),
                String::new(),
            ));
        };
        let uid = holder.pod_uid.as_deref();
        let report = self
            .strand
            .report()
            .filter(|report| report.pod_uid.as_deref() == uid);
        let held = holder
            .since
            .as_ref()
            .map_or(i64::MAX, |since| age::seconds(since, self.now));
        let next = format!("kubectl boboyka why {pod} -n {}", self.namespace);
        match (report, self.age) {
            (Some(_), Some(age)) if age <= FRESH_INTERVALS * self.interval => None,
            (Some(_), Some(age)) => {
                let why = format!("its sidecar has not reported for {}", age::short(age));
                Some((State::Silent, why, next))
            }
            _ if held < START => {
                let why = format!("its pod starts since {}", age::short(held));
                Some((State::Starting, why, next))
            }
            _ => Some((
                State::Silent,
                "the sidecar of its pod has never reported".to_owned(),
                next,
            )),
        }
    }

    fn not_ready(&self) -> Option<Judgement> {
        let (report, pod) = (self.strand.report()?, self.pod.as_ref()?);
        (!report.ready).then(|| {
            let next = format!(
                "kubectl logs {pod} -n {} -c {} --tail=20",
                self.namespace,
                names::CONTAINER
            );
            (
                State::NotReady,
                "its sidecar accepts no records".to_owned(),
                next,
            )
        })
    }

    fn stopped(&self) -> Option<Judgement> {
        let lane = self.lane(&STOPPED)?;
        let next = match &*lane.state {
            "auth_failed" => "correct the key in the Secret of spec.supabase.secretRef".to_owned(),
            "schema_mismatch" => {
                "run sidecar/supabase/schema.sql, or map the columns in spec.supabase.mirror.tables"
                    .to_owned()
            }
            _ => self.about_dead_letters(),
        };
        Some((State::MirrorStopped, about(lane), next))
    }

    fn dead_letters(&self) -> Option<Judgement> {
        let rejected = self.strand.report()?.dead_letters;
        (rejected > 0).then(|| {
            let why = match rejected {
                1 => "Supabase rejected 1 record".to_owned(),
                _ => format!("Supabase rejected {rejected} records"),
            };
            (State::DeadLetters, why, self.about_dead_letters())
        })
    }

    fn about_dead_letters(&self) -> String {
        format!("kubectl boboyka dead-letters -n {}", self.namespace)
    }

    fn behind(&self) -> Option<Judgement> {
        let report = self.strand.report()?;
        let is_drained_by_a_job = self
            .pod
            .as_ref()
            .is_some_and(|pod| pod.starts_with(DRAIN_PREFIX));
        if report.backlog > 0 && (self.pod.is_none() || is_drained_by_a_job) {
            let why = format!(
                "no agent holds it; {} records wait for Supabase",
                report.backlog
            );
            return Some((
                State::Draining,
                why,
                format!(
                    "kubectl boboyka drain {} -n {}",
                    self.strand.name_any(),
                    self.namespace
                ),
            ));
        }
        let waiting = self.lane(&WAITING);
        let waits = report.backlog > 0 && (report.lag_ms >= LAG || waiting.is_some());
        waits.then(|| {
            let lag = age::short(report.lag_ms / 1000);
            let why = format!(
                "{} records wait for Supabase, the oldest for {lag}",
                report.backlog
            );
            let reason = waiting
                .map(|lane| format!("; {}", about(lane)))
                .unwrap_or_default();
            (
                State::Behind,
                why + &reason,
                "nothing is lost; look whether Supabase answers".to_owned(),
            )
        })
    }

    fn lane(&self, states: &[&str]) -> Option<&LaneStatus> {
        let lanes = &self.strand.report()?.lanes;
        lanes.iter().find(|lane| states.contains(&&*lane.state))
    }
}

fn about(lane: &LaneStatus) -> String {
    let reason = lane.reason.as_deref().unwrap_or(&lane.state);
    format!("{}: {reason}", lane.record_type)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NOW: &str = "2026-01-01T12:00:00Z";

    fn strand(holder: &Value, status: &Value) -> BoboykaStrand {
        serde_json::from_value(json!({
            "apiVersion": "boboyka.sapixdb.com/v1alpha1", "kind": "BoboykaStrand",
            "metadata": {"name": "boboyka-a1", "namespace": "agents"},
            "spec": {"integration": "boboyka", "holder": holder, "witnessed": {"seq": 5, "hash": "aa"}},
            "status": status,
        }))
        .unwrap()
    }

    fn holder() -> Value {
        json!({"token": "t", "podName": "agent-0", "podUid": "u", "since": "2026-01-01T11:00:00Z"})
    }

    fn status(change: &Value) -> Value {
        let mut status = json!({
            "podUid": "u", "reportedAt": "2026-01-01T11:59:50Z", "ready": true, "records": 7,
            "head": {"seq": 7, "hash": "bb"}, "chain": {"intact": true}, "lanes": [],
        });
        status
            .as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        status
    }

    fn told(holder: &Value, change: &Value) -> String {
        let strand = strand(holder, &status(change));
        let standing = standing(&strand, Some(10), NOW.parse().unwrap());
        format!(
            "{:?} | {} | {}",
            standing.state, standing.why, standing.next
        )
    }

    fn lane(state: &str) -> Value {
        json!({"recordType": "audit_log", "state": state, "reason": "why", "mark": 1, "backlog": 2, "deadLetters": 0})
    }

    #[test]
    fn each_state_says_why_and_what_to_do_next() {
        let held = holder();
        for (change, expected) in [
            (json!({}), "Ready |  | "),
            (
                json!({"chain": {"intact": false, "reason": "2 records are lost"}}),
                "Damaged | 2 records are lost | keep its volume as it is, copy the folder quarantine, check the disk: \
                 kubectl get bbs boboyka-a1 -n agents -o yaml",
            ),
            (
                json!({"ready": false}),
                "NotReady | its sidecar accepts no records | kubectl logs agent-0 -n agents -c boboyka-sidecar --tail=20",
            ),
            (
                json!({"reportedAt": "2026-01-01T11:55:00Z"}),
                "Silent | its sidecar has not reported for 5m | kubectl boboyka why agent-0 -n agents",
            ),
            (
                json!({"podUid": "another"}),
                "Silent | the sidecar of its pod has never reported | kubectl boboyka why agent-0 -n agents",
            ),
            (
                json!({"lanes": [lane("auth_failed")], "backlog": 2}),
                "MirrorStopped | audit_log: why | correct the key in the Secret of spec.supabase.secretRef",
            ),
            (
                json!({"deadLetters": 1}),
                "DeadLetters | Supabase rejected 1 record | kubectl boboyka dead-letters -n agents",
            ),
            (
                json!({"lanes": [lane("open")], "backlog": 2, "lagMs": 3000}),
                "Behind | 2 records wait for Supabase, the oldest for 3s; audit_log: why | \
                 nothing is lost; look whether Supabase answers",
            ),
            (
                json!({"backlog": 2, "lagMs": 3000, "lanes": [lane("mirroring")]}),
                "Ready |  | ",
            ),
        ] {
            assert_eq!(told(&held, &change), expected);
        }
    }

    #[test]
    fn a_strand_without_a_pod_is_free_or_drains() {
        assert_eq!(told(&Value::Null, &json!({})), "Free |  | ");
        assert!(
            told(&Value::Null, &json!({"backlog": 3}))
                .starts_with("Draining | no agent holds it; 3 records wait")
        );
    }

    #[test]
    fn a_pod_that_was_just_created_starts() {
        let new = json!({"token": "t", "podName": "agent-0", "podUid": "n", "since": "2026-01-01T11:59:30Z"});
        assert!(told(&new, &json!({})).starts_with("Starting | its pod starts since 30s"));
        let reserved = json!({"token": "t", "since": "2026-01-01T11:59:30Z"});
        assert!(told(&reserved, &json!({})).starts_with("Starting | it is reserved"));
    }

    #[test]
    fn a_strand_that_contradicts_what_the_operator_recorded_is_damaged() {
        let forked = json!({"witnessed": {"seq": 5, "hash": "other"}});
        assert!(told(&holder(), &forked).starts_with("Damaged | it holds another record 5 than"));
        let back = json!({"head": {"seq": 4, "hash": "x"}});
        assert!(
            told(&holder(), &back)
                .starts_with("Damaged | it ends at record 4, and the operator recorded record 5")
        );
    }
}
