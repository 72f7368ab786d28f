//! What a status says of typical days, and of bad ones.

use std::sync::Arc;

use boboyka_crds::{BoboykaStrandSpec, Chain, HeadReference, Holder, StrandStatus};
use k8s_openapi::jiff::Timestamp;
use serde_json::json;

use super::*;
use crate::integration::tests::validated;
use crate::phases::{Request, decide};

fn now() -> Time {
    Time(Timestamp::from_second(1_800_000_000).unwrap())
}

fn head(seq: i64, hash: &str) -> HeadReference {
    HeadReference {
        seq,
        hash: hash.to_owned(),
    }
}

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
        chain: Some(Chain {
            intact: true,
            reason: None,
        }),
        ..StrandStatus::default()
    });
    change(&mut strand);
    strand
}

fn told(
    spec: &serde_json::Value,
    strands: Vec<BoboykaStrand>,
    before: &IntegrationStatus,
) -> IntegrationStatus {
    let validated = validated(spec);
    let seen = Seen {
        strands: strands.into_iter().map(Arc::new).collect(),
        fleet: 1,
        ..Seen::default()
    };
    let evidence = seen.evidence(before, &now());
    let request = Request {
        phase: validated.phase,
        generation: validated.generation,
        has_supabase: validated.secret.is_some(),
        suspended: validated.suspended,
    };
    let decision = decide(request, before, &evidence, &now());
    let facts = Facts {
        validated: &validated,
        seen: &seen,
        evidence: &evidence,
        decision: &decision,
        rollout: &Rollout::Done,
        applied: &Applied::default(),
        now: &now(),
    };
    status(&facts, before)
}

fn condition(status: &IntegrationStatus, kind: &str) -> Option<(String, String)> {
    let found = status.conditions.iter().find(|one| one.type_ == kind)?;
    Some((found.status.clone(), found.reason.clone()))
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "it is compared with what may be absent"
)]
fn is(status: &str, reason: &str) -> Option<(String, String)> {
    Some((status.to_owned(), reason.to_owned()))
}

const MIRRORED: &str = r#"{"supabase": {"secretRef": {"name": "s"}}}"#;

fn mirrored() -> serde_json::Value {
    serde_json::from_str(MIRRORED).unwrap()
}

#[test]
fn a_good_day() {
    let status = told(
        &mirrored(),
        vec![strand(|_| {})],
        &IntegrationStatus::default(),
    );
    assert_eq!(condition(&status, "Ready"), is("True", "AsExpected"));
    assert_eq!(
        condition(&status, "MirrorCaughtUp"),
        is("True", "AsExpected")
    );
    assert_eq!(
        (
            condition(&status, "Reconciling"),
            condition(&status, "Stalled")
        ),
        (None, None)
    );
    assert_eq!(status.strands.summary.as_deref(), Some("1/1"));
    assert_eq!((status.records, status.observed_generation), (7, Some(3)));
    let again = told(&mirrored(), vec![strand(|_| {})], &status);
    assert_eq!(again, status, "the same facts give the same status");
}

#[test]
fn a_phase_that_waits_says_for_what() {
    let before = told(
        &mirrored(),
        vec![strand(|_| {})],
        &IntegrationStatus::default(),
    );
    let mut spec = mirrored();
    spec["phase"] = json!("MigrateInternals");
    let behind = strand(|strand| strand.status.as_mut().unwrap().backlog = 4);
    let status = told(&spec, vec![behind], &before);
    assert_eq!(status.phase, Some(Phase::DualWrite));
    assert_eq!(condition(&status, "Ready"), is("False", "PhaseGateClosed"));
    assert_eq!(
        condition(&status, "Reconciling"),
        is("True", "PhaseGateClosed")
    );
    let transition = status.transition.unwrap();
    let drained = transition
        .gates
        .iter()
        .find(|gate| gate.name == "Drained")
        .unwrap();
    assert!(
        drained.message.contains("boboyka-0 (4 records wait)"),
        "{}",
        drained.message
    );
}

#[test]
fn a_strand_that_went_back_or_was_written_anew_is_never_silent() {
    let went_back = strand(|strand| strand.spec.witnessed = Some(head(9, "cc")));
    let forked_at_head = strand(|strand| strand.spec.witnessed = Some(head(7, "bb")));
    let forked_below = strand(|strand| {
        strand.spec.witnessed = Some(head(5, "dd"));
        strand.status.as_mut().unwrap().witnessed = Some(head(5, "ee"));
    });
    let followed = strand(|strand| {
        strand.spec.witnessed = Some(head(5, "dd"));
        strand.status.as_mut().unwrap().witnessed = Some(head(5, "dd"));
    });
    for (strand, reason) in [
        (went_back, "HeadWentBack"),
        (forked_at_head, "HeadForked"),
        (forked_below, "HeadForked"),
    ] {
        let status = told(&mirrored(), vec![strand], &IntegrationStatus::default());
        assert_eq!(condition(&status, "ChainIntact"), is("False", reason));
        assert_eq!(condition(&status, "Ready"), is("False", reason));
    }
    let status = told(&mirrored(), vec![followed], &IntegrationStatus::default());
    assert_eq!(condition(&status, "ChainIntact"), is("True", "AsExpected"));
}

#[test]
fn a_sidecar_that_says_nothing_is_not_ready() {
    let silent = strand(|strand| {
        strand.status.as_mut().unwrap().reported_at =
            Some(Time(Timestamp::from_second(1_799_999_000).unwrap()));
    });
    let status = told(&mirrored(), vec![silent], &IntegrationStatus::default());
    assert_eq!(condition(&status, "Ready"), is("False", "SidecarsNotReady"));
    assert_eq!(status.strands.summary.as_deref(), Some("0/1"));
}

#[test]
fn ages_are_coarse() {
    assert_eq!(coarse(9_900), "9s");
    assert_eq!(coarse(47_000), "40s");
    assert_eq!(coarse(3_599_000), "59m");
    assert_eq!(coarse(7_500_000), "2h0m");
}

#[test]
fn a_large_fleet_reports_less_often() {
    assert_eq!(interval(3), 10);
    assert_eq!(interval(2000), 200);
}
