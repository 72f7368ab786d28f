//! What a status says of good days and of bad ones.

mod archive;
mod backfill;
mod cases;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use boboyka_crds::phases::{Now, decide};
use boboyka_crds::{
    BoboykaStrand, BoboykaStrandSpec, Fence, HeadReference, Holder, Phase, StrandStatus, WrongNames,
};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::caches::{Claim, Pod, Unread};
use crate::clock::Moment;
use crate::controller::apply::Applied;
use crate::controller::reports::Reports;
use crate::controller::rollout::Rollout;
use crate::controller::seen::Seen;
use crate::integration::tests::{integration, validated};
pub(in crate::controller) use cases::cases;

fn now() -> Time {
    Time(Timestamp::from_second(1_800_000_000).unwrap())
}

/// This number of seconds before now.
fn ago(seconds: i64) -> Time {
    Time(Timestamp::from_second(1_800_000_000 - seconds).unwrap())
}

fn head(seq: i64, hash: &str) -> HeadReference {
    HeadReference {
        seq,
        hash: hash.to_owned(),
    }
}

/// A strand on a good day, but for a change.
fn strand(change: impl FnOnce(&mut BoboykaStrand)) -> BoboykaStrand {
    let mut strand = BoboykaStrand::new("boboyka-0", BoboykaStrandSpec::default());
    strand.spec.holder = Some(Holder {
        token: "t".to_owned(),
        pod_uid: Some("u".to_owned()),
        pod_name: Some("p".to_owned()),
        since: None,
    });
    strand.status = Some(StrandStatus {
        pod_uid: Some("u".to_owned()),
        reported_at: Some(now()),
        ready: true,
        head: Some(head(7, "aa")),
        records: 7,
        phase: Some(Phase::DualWrite),
        chain: serde_json::from_value(json!({"intact": true})).unwrap(),
        ..StrandStatus::default()
    });
    change(&mut strand);
    strand
}

/// The same with a change of its report.
fn reporting(change: impl FnOnce(&mut StrandStatus)) -> BoboykaStrand {
    strand(|strand| change(strand.status.as_mut().unwrap()))
}

/// A day: what the integration asks for, what is seen, what was applied, and the status before.
struct Day {
    spec: Value,
    strands: Vec<BoboykaStrand>,
    history: Option<BoboykaStrand>,
    pods: Vec<Pod>,
    claims: Vec<Claim>,
    jobs: Vec<Job>,
    applied: Applied,
    /// What was read of a ConfigMap of legacy projects.
    names: Option<Result<Vec<String>, Unread>>,
    before: IntegrationStatus,
}

/// A good day with Supabase and one strand.
fn day() -> Day {
    Day {
        spec: mirrored(),
        strands: vec![strand(|_| {})],
        history: None,
        pods: Vec::new(),
        claims: Vec::new(),
        jobs: Vec::new(),
        applied: Applied::well(Rollout::Done),
        names: None,
        before: IntegrationStatus::default(),
    }
}

fn mirrored() -> Value {
    json!({"supabase": {"secretRef": {"name": "s"}}})
}

impl Day {
    fn status(self) -> IntegrationStatus {
        let validated = validated(&self.spec);
        let seen = Seen {
            strands: self.strands.into_iter().map(Arc::new).collect(),
            history: self.history.map(Arc::new),
            pods: self.pods.into_iter().map(Arc::new).collect(),
            claims: self.claims.into_iter().map(Arc::new).collect(),
            jobs: self.jobs.into_iter().map(Arc::new).collect(),
            names: self.names,
            fleet: 1,
            ..Seen::default()
        };
        let now = now();
        let mut reports = Reports::default();
        let moment = Moment {
            time: now.clone(),
            instant: Instant::now(),
        };
        reports.note(&seen.strands, &moment);
        let evidence = seen.evidence(&self.before, &reports, &moment);
        let moment = Now {
            time: now.clone(),
            watched: None,
            asked: Duration::from_hours(1),
        };
        let standing = decide(validated.request(), &self.before, &evidence, &moment);
        let facts = Facts::new(&validated, &seen, &evidence, &standing, &self.applied, &now);
        status(&facts, &self.before)
    }
}

fn condition(status: &IntegrationStatus, kind: ConditionType) -> Option<(&str, &str)> {
    let mut conditions = status.conditions.iter();
    let found = conditions.find(|one| one.type_ == kind.as_str())?;
    Some((&found.status, &found.reason))
}

/// A condition that is true or false for one of the operator's own reasons.
fn because(holds: bool, reason: Reason) -> (&'static str, &'static str) {
    (if holds { "True" } else { "False" }, reason.as_str())
}

#[test]
fn a_claim_that_no_pod_has_waited_for_long_is_as_expected() {
    for (phase, held_for) in [
        ("Pending", Some(119)),
        ("Pending", None),
        ("Bound", Some(121)),
    ] {
        let status = cases::in_phase(phase, held_for);
        let mut conditions = status.conditions.iter();
        let durable = conditions
            .find(|one| one.type_ == "StorageDurable")
            .unwrap();
        assert_eq!(durable.reason, "AsExpected", "{phase} {held_for:?}");
    }
}

#[test]
fn every_condition_is_given_with_every_reason() {
    for (kind, holds, reason, status) in cases() {
        let wanted = Some(because(holds, reason));
        assert_eq!(
            condition(&status, kind),
            wanted,
            "{kind} {reason}: {status:#?}"
        );
        let conditions = status.conditions.iter();
        for one in conditions {
            assert!(!one.message.is_empty(), "{} has no message", one.type_);
        }
    }
}

#[test]
fn pods_with_the_old_secret_are_counted_and_the_command_is_named() {
    let cases = cases().into_iter();
    let mut changed = cases.filter(|(_, _, reason, _)| *reason == Reason::OldSettings);
    let (_, _, _, status) = changed.next().unwrap();
    let kind = ConditionType::SidecarsUpToDate.as_str();
    let told = status
        .conditions
        .iter()
        .find(|one| one.type_ == kind)
        .unwrap();
    assert!(
        told.message.starts_with("2 pods run with the Secret")
            && told
                .message
                .ends_with("kubectl rollout restart -n agents deployment/web"),
        "{}",
        told.message
    );
}

#[test]
fn no_reason_and_no_condition_is_without_a_case() {
    let (mut reasons, mut kinds) = (BTreeSet::new(), BTreeSet::new());
    for (kind, _, reason, _) in cases() {
        reasons.insert(reason);
        kinds.insert(kind);
    }
    // Events have it; the sidecars report the others.
    reasons.extend([
        Reason::PhaseInForce,
        Reason::MigrationEnds,
        Reason::MigrationFinalized,
        Reason::GatesForced,
        Reason::LegalHoldLifted,
        Reason::BackfillDone,
        Reason::BackfillFailed,
        Reason::LegacyProjectsChanged,
        Reason::LegacyProjectMigrated,
        // Where nobody can say.
        Reason::ArchiveNotReported,
    ]);
    kinds.extend(REPORTED);
    assert_eq!(reasons, Reason::ALL.iter().copied().collect());
    assert_eq!(kinds, ConditionType::ALL.iter().copied().collect());
}

#[test]
fn a_list_that_can_not_be_read_is_named_with_its_line_and_keeps_the_integration_from_being_ready() {
    let wrong = Unread::Wrong {
        from: cases::reference(),
        wrong: WrongNames::Name(7),
    };
    let status = cases::reading(Err(wrong));
    let told = |kind: ConditionType| {
        let mut conditions = status.conditions.iter();
        let found = conditions.find(|one| one.type_ == kind.as_str()).unwrap();
        found.message.as_str()
    };
    let why = "spec.migration.legacyProjectsFrom: key names of ConfigMap lists: line 7: must be a name of 1 to 256 characters \
         without control characters; the list in force stays";
    assert_eq!(told(ConditionType::LegacyProjectsRead), why);
    assert_eq!(told(ConditionType::Ready), why);
    let read = cases::reading(Ok(vec!["a".to_owned(), "b".to_owned()]));
    let mut conditions = read.conditions.iter();
    let found = conditions.find(|one| one.type_ == "LegacyProjectsRead");
    assert_eq!(
        found.unwrap().message,
        "2 names of legacy projects were read"
    );
}

const REPORTED: [ConditionType; 5] = [
    ConditionType::CredentialsAccepted,
    ConditionType::SupabaseReachable,
    ConditionType::RetentionEnforced,
    ConditionType::ClockInStep,
    ConditionType::CheckpointsCosigned,
];

/// A strand whose sidecar reports a condition.
fn saying(name: &str, kind: ConditionType, status: &str, message: &str) -> BoboykaStrand {
    let mut strand = reporting(|report| {
        report.conditions = vec![Condition {
            type_: kind.to_string(),
            status: status.to_owned(),
            reason: format!("Because{status}"),
            message: message.to_owned(),
            observed_generation: None,
            last_transition_time: now(),
        }];
    });
    strand.metadata.name = Some(name.to_owned());
    strand
}

#[test]
fn a_condition_of_the_sidecars_is_false_if_one_of_them_says_so() {
    for kind in REPORTED {
        assert_eq!(
            condition(&day().status(), kind),
            None,
            "nothing is known yet"
        );
        let good = saying("boboyka-0", kind, "True", "");
        let unknown = saying("boboyka-1", kind, "Unknown", "");
        let bad = saying("boboyka-2", kind, "False", "no key");
        let of = |strands: Vec<BoboykaStrand>| Day { strands, ..day() }.status();
        let status = of(vec![good.clone(), unknown.clone()]);
        assert_eq!(condition(&status, kind), Some(("True", "BecauseTrue")));
        let status = of(vec![good, bad.clone(), unknown]);
        assert_eq!(condition(&status, kind), Some(("False", "BecauseFalse")));
        let found = status
            .conditions
            .iter()
            .find(|one| one.type_ == kind.as_str());
        assert_eq!(found.unwrap().message, "boboyka-2: no key");
        let mut free = bad;
        free.spec.holder = None;
        assert_eq!(condition(&of(vec![free]), kind), None, "it reports no more");
    }
}

#[test]
fn refused_credentials_keep_it_from_being_ready_and_an_unreachable_supabase_does_not() {
    let status = |kind| {
        let strands = vec![saying("boboyka-0", kind, "False", "no")];
        Day { strands, ..day() }.status()
    };
    let refused = status(ConditionType::CredentialsAccepted);
    let ready = condition(&refused, ConditionType::Ready);
    assert_eq!(ready, Some(("False", "BecauseFalse")));
    let away = status(ConditionType::SupabaseReachable);
    let ready = condition(&away, ConditionType::Ready);
    assert_eq!(ready, Some(because(true, Reason::AsExpected)));
}

#[test]
fn a_good_day_counts_and_stays_the_same() {
    let status = day().status();
    assert_eq!(condition(&status, ConditionType::Reconciling), None);
    assert_eq!(condition(&status, ConditionType::Stalled), None);
    assert_eq!(status.strands.summary.as_deref(), Some("1/1"));
    assert_eq!((status.records, status.observed_generation), (7, Some(3)));
    let before = status.clone();
    let again = Day { before, ..day() }.status();
    assert_eq!(again, status, "the same facts give the same status");
}

#[test]
fn a_phase_that_waits_says_for_what() {
    let mut spec = mirrored();
    spec["phase"] = json!("MigrateInternals");
    let day = Day {
        spec,
        strands: vec![reporting(|status| status.backlog = 4)],
        before: day().status(),
        ..day()
    };
    let status = day.status();
    assert_eq!(status.phase, Some(Phase::DualWrite));
    let transition = status.transition.unwrap();
    let mut gates = transition.gates.iter();
    let drained = gates.find(|gate| gate.name == "Drained").unwrap();
    let message = &drained.message;
    assert!(message.contains("boboyka-0 (4 records wait)"), "{message}");
}

#[test]
fn a_strand_that_follows_what_was_seen_is_intact() {
    let followed = strand(|strand| {
        strand.spec.witnessed = Some(head(5, "dd"));
        strand.status.as_mut().unwrap().witnessed = Some(head(5, "dd"));
    });
    let strands = vec![followed];
    let status = Day { strands, ..day() }.status();
    let intact = condition(&status, ConditionType::ChainIntact);
    assert_eq!(intact, Some(because(true, Reason::AsExpected)));
}

#[test]
fn a_sidecar_that_stopped_reporting_is_not_ready() {
    let long_ago = Time(Timestamp::from_second(1_799_999_000).unwrap());
    let silent = reporting(|status| status.reported_at = Some(long_ago));
    let strands = vec![silent];
    let status = Day { strands, ..day() }.status();
    let ready = condition(&status, ConditionType::Ready);
    assert_eq!(ready, Some(because(false, Reason::SidecarsNotReady)));
    assert_eq!(status.strands.summary.as_deref(), Some("0/1"));
}

#[test]
fn an_invalid_specification_leaves_the_phase_in_force() {
    let before = day().status();
    let one = integration(&json!({}));
    let status = invalid(&one, &before, "spec.phase: no", &now());
    assert_eq!(status.phase, Some(Phase::DualWrite));
    assert_eq!(status.conditions[0].message, "spec.phase: no");
}

#[test]
fn the_time_of_a_transition_stays_while_the_status_stays() {
    let before = day().status();
    let later = Time(Timestamp::from_second(1_800_000_100).unwrap());
    let mut conditions = Conditions::after(&before.conditions, Some(4), &later);
    conditions.set(ConditionType::Ready, Finding::yes(Reason::NoPods, "none"));
    conditions.set(
        ConditionType::ChainIntact,
        Finding::no(Reason::ChainBroken, "no"),
    );
    let list = conditions.list();
    let times: Vec<&Time> = list.iter().map(|one| &one.last_transition_time).collect();
    assert_eq!(times, [&later, &now()], "sorted by type");
}

#[test]
fn ages_are_coarse() {
    assert_eq!(coarse(9_900), "9s");
    assert_eq!(coarse(47_000), "40s");
    assert_eq!(coarse(3_599_000), "59m");
    assert_eq!(coarse(7_500_000), "2h0m");
}

#[test]
fn a_large_fleet_reports_less_often_and_many_integrations_write_less_often() {
    assert_eq!(interval(3), 10);
    assert_eq!(interval(2000), 200);
    assert_eq!(pace(3), Duration::from_secs(1));
    assert_eq!(pace(50), Duration::from_secs(10));
}

#[test]
fn what_no_sidecar_has_tried_is_unknown() {
    let kind = ConditionType::SupabaseReachable;
    let strands = vec![saying("boboyka-0", kind, "Unknown", "not tried")];
    let status = Day { strands, ..day() }.status();
    assert_eq!(
        condition(&status, kind),
        Some(("Unknown", "BecauseUnknown"))
    );
    let strands = vec![
        saying("boboyka-0", kind, "Unknown", "not tried"),
        saying("boboyka-1", kind, "True", "answered"),
    ];
    let status = Day { strands, ..day() }.status();
    assert_eq!(condition(&status, kind), Some(("True", "BecauseTrue")));
}

#[test]
fn a_broken_chain_stalls_because_nothing_mends_it() {
    let forked = strand(|strand| {
        strand.spec.witnessed = Some(head(5, "dd"));
        strand.status.as_mut().unwrap().witnessed = Some(head(5, "ee"));
    });
    let strands = vec![forked];
    let status = Day { strands, ..day() }.status();
    let stalled = condition(&status, ConditionType::Stalled);
    assert_eq!(stalled, Some(because(true, Reason::HeadForked)));
}

#[test]
fn nothing_waits_without_supabase_and_an_unknown_age_is_not_shown() {
    let waiting = |lag_ms| {
        vec![reporting(|status| {
            status.backlog = 4;
            status.lag_ms = lag_ms;
        })]
    };
    let strands = waiting(5_000);
    let spec = json!({});
    let status = Day {
        spec,
        strands,
        ..day()
    }
    .status();
    assert_eq!((status.backlog, status.lag), (0, None));
    for (lag_ms, shown) in [(0, None), (300, Some("<1s")), (5_000, Some("5s"))] {
        let (spec, strands) = (mirrored(), waiting(lag_ms));
        let status = Day {
            spec,
            strands,
            ..day()
        }
        .status();
        assert_eq!((status.backlog, status.lag.as_deref()), (4, shown));
    }
}

#[test]
fn a_legal_hold_is_said_at_once_with_the_strands_that_have_not_confirmed_it() {
    let kind = ConditionType::RetentionEnforced;
    let mut obeys = saying("boboyka-0", kind, "False", "a legal hold");
    let report = obeys.status.as_mut().unwrap();
    report.conditions[0].reason = Reason::LegalHold.to_string();
    report.conditions[0].observed_generation = Some(3);
    let mut earlier = obeys.clone();
    let report = earlier.status.as_mut().unwrap();
    report.conditions[0].observed_generation = Some(2);
    let mut free = strand(|strand| strand.spec.holder = None);
    free.metadata.name = Some("boboyka-2".to_owned());
    let before = saying("boboyka-1", kind, "True", "pruned up to seq 7");
    let told = |strands: Vec<BoboykaStrand>| {
        let status = cases::on_hold(strands);
        let hold = status.legal_hold.as_ref().unwrap();
        assert!(hold.active && hold.generation == 3 && hold.since == now());
        assert_eq!(
            condition(&status, kind),
            Some(because(false, Reason::LegalHold))
        );
        let mut conditions = status.conditions.into_iter();
        conditions
            .find(|it| it.type_ == kind.as_str())
            .unwrap()
            .message
    };
    let said = "a legal hold keeps every record (spec.retention.hold)";
    assert_eq!(told(vec![obeys.clone(), free]), said);
    assert_eq!(
        told(vec![obeys, before]),
        format!("{said}; not confirmed yet by boboyka-1")
    );
    assert_eq!(
        told(vec![earlier]),
        format!("{said}; not confirmed yet by boboyka-0"),
        "of a hold that was lifted meanwhile"
    );
}
