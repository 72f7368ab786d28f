//! In which state a strand is, why, and what to do next. Pure.

use boboyka_crds::{BoboykaStrand, Chain, HeadReference, LaneStatus, Parity, names};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;

use super::state::State;
use crate::age;

/// A report older than this many intervals is no sign of life; the operator counts the same.
const FRESH_INTERVALS: i64 = 8;
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

/// The state, why, and what to do next.
pub(super) type Judgement = (State, String, String);

/// A strand with what judging it takes.
pub(super) struct Subject<'a> {
    pub(super) strand: &'a BoboykaStrand,
    pub(super) namespace: String,
    pub(super) pod: Option<String>,
    pub(super) age: Option<i64>,
    pub(super) interval: i64,
    /// Records that wait for Supabase.
    pub(super) backlog: i64,
    pub(super) now: Timestamp,
}

impl Subject<'_> {
    /// The first that applies.
    pub(super) fn judge(&self) -> Judgement {
        let found = self
            .damaged()
            .or_else(|| self.silent())
            .or_else(|| self.not_ready())
            .or_else(|| self.stopped())
            .or_else(|| self.dead_letters())
            .or_else(|| self.differs())
            .or_else(|| self.foreign_writes())
            .or_else(|| self.fenced())
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
        let disabled = self.lane(&["disabled"]).filter(|_| self.backlog > 0);
        let lane = self.lane(&STOPPED).or(disabled)?;
        let next = match &*lane.state {
            "disabled" => {
                "create the Secret of spec.supabase.secretRef with its URL and key".to_owned()
            }
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

    fn differs(&self) -> Option<Judgement> {
        let lanes = self.strand.report()?.lanes.iter();
        let told = lanes.filter_map(|lane| {
            Some(format!(
                "{}: {}",
                lane.record_type,
                differences(lane.parity.as_ref()?)?
            ))
        });
        let told: Vec<String> = told.collect();
        let why = format!("its rows in Supabase differ; {}", told.join("; "));
        let next = format!(
            "kubectl boboyka repair --strand {} -n {}",
            self.strand.name_any(),
            self.namespace
        );
        (!told.is_empty()).then_some((State::Differs, why, next))
    }

    fn foreign_writes(&self) -> Option<Judgement> {
        let found = self.strand.report()?.foreign_writes.as_ref()?;
        let tables = found
            .tables
            .iter()
            .map(|one| format!("{} in {}", one.rows, one.table));
        let tables: Vec<String> = tables.collect();
        let why = format!(
            "Supabase has rows that no strand wrote: {}",
            tables.join(", ")
        );
        let next = "find who still writes to these tables: the next phase waits for that to end"
            .to_owned();
        (!tables.is_empty()).then_some((State::ForeignWrites, why, next))
    }

    fn fenced(&self) -> Option<Judgement> {
        let fence = self.strand.fence()?;
        let why = match (&self.pod, self.backlog) {
            (Some(pod), _) => format!("{fence}; still held by pod {pod}"),
            (None, 0) => format!("{fence}; no pod gets it"),
            (None, waiting) => format!("{fence}; no pod gets it, and {waiting} records wait"),
        };
        let next = format!(
            "kubectl boboyka unfence {} -n {}",
            self.strand.name_any(),
            self.namespace
        );
        Some((State::Fenced, why, next))
    }

    fn behind(&self) -> Option<Judgement> {
        let report = self.strand.report()?;
        let is_drained_by_a_job = self
            .pod
            .as_ref()
            .is_some_and(|pod| pod.starts_with(DRAIN_PREFIX));
        if self.backlog > 0 && (self.pod.is_none() || is_drained_by_a_job) {
            let why = format!(
                "no agent holds it; {} records wait for Supabase",
                self.backlog
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
        let waits = self.backlog > 0 && (report.lag_ms >= LAG || waiting.is_some());
        waits.then(|| {
            let lag = age::short(report.lag_ms / 1000);
            let why = format!(
                "{} records wait for Supabase, the oldest for {lag}",
                self.backlog
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

/// What differs, in words; `None` when nothing does.
fn differences(parity: &Parity) -> Option<String> {
    let kinds = [
        (parity.missing, "missing"),
        (parity.changed, "changed"),
        (parity.extra, "extra"),
        (parity.doubled, "doubled"),
    ];
    let found = kinds.iter().filter(|(count, _)| *count > 0);
    let found: Vec<String> = found
        .map(|(count, kind)| format!("{count} {kind}"))
        .collect();
    (!found.is_empty()).then(|| found.join(", "))
}

fn about(lane: &LaneStatus) -> String {
    let reason = lane.reason.as_deref().unwrap_or(&lane.state);
    format!("{}: {reason}", lane.record_type)
}
