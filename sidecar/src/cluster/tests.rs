use std::collections::BTreeMap;
use std::time::Duration;

use boboyka_crds::{
    BoboykaIntegration, BoboykaIntegrationSpec, BoboykaStrand, BoboykaStrandSpec, HeadReference,
    Holder, IntegrationStatus, Mirror, MirrorMode, MirrorTable, Phase, Retention, StrandCounts,
    Supabase, Transition,
};
use serde_json::{Value, json};

use super::{Cluster, Membership, resource};
use crate::integration::{InForce, Integration, Pace};
use crate::trouble::Trouble;

fn tables() -> BTreeMap<String, MirrorTable> {
    let table = MirrorTable {
        mode: Some(MirrorMode::Latest),
        ..MirrorTable::default()
    };
    BTreeMap::from([("project_build".to_owned(), table)])
}

/// As the types write it, so that the paths which are read are those which are written.
fn written() -> Value {
    let spec = BoboykaIntegrationSpec {
        supabase: Some(Supabase {
            mirror: Some(Mirror {
                ack_timeout: "500ms".to_owned(),
                batch_rows: 20,
                tables: tables(),
            }),
            ..Supabase::default()
        }),
        retention: Some(Retention {
            max_age: Some("720h".to_owned()),
            max_size: Some("8Gi".to_owned()),
        }),
        ..BoboykaIntegrationSpec::default()
    };
    let mut integration = BoboykaIntegration::new("boboyka", spec);
    integration.status = Some(IntegrationStatus {
        phase: Some(Phase::MigrateInternals),
        phase_generation: Some(4),
        transition: Some(Transition {
            from: Phase::MigrateInternals,
            to: Phase::CutOver,
            generation: 5,
            since: None,
            gates: Vec::new(),
            ..Transition::default()
        }),
        strands: StrandCounts {
            held: 600,
            ..StrandCounts::default()
        },
        report_interval_seconds: Some(30),
        ..IntegrationStatus::default()
    });
    serde_json::to_value(integration).unwrap()
}

fn in_force(phase: Phase, generation: i64) -> InForce {
    InForce { phase, generation }
}

#[test]
fn everything_that_an_integration_asks_is_read() {
    let (read, complaints) = resource::integration(&written(), &Integration::unknown());
    assert_eq!(complaints, [""; 0]);
    assert_eq!(read.in_force, Some(in_force(Phase::MigrateInternals, 4)));
    assert_eq!(read.transition, Some(5));
    assert!(read.has_supabase);
    assert_eq!(read.ack_timeout, Duration::from_millis(500));
    assert_eq!(read.batch_rows, 20);
    assert_eq!(read.tables, tables());
    assert_eq!(read.retention.max_age, Some(Duration::from_hours(720)));
    assert_eq!(read.retention.max_size_bytes, Some(8 << 30));
    let pace = Pace {
        interval: Duration::from_secs(30),
        spread: Duration::from_secs(30),
    };
    assert_eq!(read.pace, pace);
}

#[test]
fn tables_that_can_t_be_read_leave_those_that_are_known() {
    let known = Integration {
        tables: tables(),
        ..Integration::unknown()
    };
    let mut object = written();
    for wrong in [
        json!({"project_build": {"mode": "sideways"}}),
        json!({"project_build": {"table": "my builds"}}),
    ] {
        object["spec"]["supabase"]["mirror"]["tables"] = wrong;
        let (read, complaints) = resource::integration(&object, &known);
        assert_eq!(read.tables, known.tables);
        assert!(
            complaints[0].starts_with("spec.supabase.mirror.tables: "),
            "{complaints:?}"
        );
    }
}

#[test]
fn an_integration_that_says_little_leaves_the_defaults() {
    let (read, complaints) = resource::integration(&json!({"spec": {}}), &Integration::unknown());
    assert_eq!(complaints, [""; 0]);
    assert_eq!(
        read,
        Integration {
            has_supabase: false,
            ..Integration::unknown()
        }
    );
}

#[test]
fn what_a_newer_version_writes_takes_nothing_else_with_it() {
    let mut object = written();
    object["status"]["phase"] = json!("Celebrate");
    object["status"]["transition"]["generation"] = json!("soon");
    object["status"]["novelty"] = json!({"a": 1});
    object["spec"]["storage"] = json!({"reclaim": "Archive"});
    object["spec"]["retention"]["maxAge"] = json!("a while");
    object["spec"]["supabase"]["mirror"]["batchRows"] = json!(-1);
    let known = Integration {
        in_force: Some(in_force(Phase::DualWrite, 2)),
        transition: Some(3),
        ..Integration::unknown()
    };
    let (read, complaints) = resource::integration(&object, &known);
    assert_eq!(read.in_force, known.in_force);
    assert_eq!(read.transition, Some(3));
    assert_eq!(read.batch_rows, 500);
    assert_eq!(read.retention.max_age, None);
    assert_eq!(read.retention.max_size_bytes, Some(8 << 30));
    let named: Vec<_> = complaints
        .iter()
        .filter_map(|c| c.split(':').next())
        .collect();
    assert_eq!(
        named,
        [
            "status.phase",
            "status.transition.generation",
            "spec.supabase.mirror.batchRows",
            "spec.retention.maxAge"
        ]
    );
}

#[test]
fn an_integration_without_a_status_leaves_the_phase_that_is_known() {
    let known = Integration {
        in_force: Some(in_force(Phase::CutOver, 9)),
        ..Integration::unknown()
    };
    let (read, _) = resource::integration(&json!({"spec": {"phase": "DualWrite"}}), &known);
    assert_eq!(read.in_force, known.in_force);
}

#[test]
fn a_large_fleet_spreads_its_reports_and_a_small_one_does_not() {
    let spread = |seconds, held| {
        let status =
            json!({"status": {"reportIntervalSeconds": seconds, "strands": {"held": held}}});
        resource::integration(&status, &Integration::unknown())
            .0
            .pace
            .spread
    };
    assert_eq!(spread(10, 2), Duration::from_millis(100));
    assert_eq!(spread(20, 2), Duration::from_secs(10));
    assert_eq!(spread(60, 2000), Duration::from_secs(100));
}

#[test]
fn a_strand_names_its_holder_and_what_was_witnessed() {
    let spec = BoboykaStrandSpec {
        holder: Some(Holder {
            token: "t".to_owned(),
            pod_uid: Some("u".to_owned()),
            ..Holder::default()
        }),
        witnessed: Some(HeadReference {
            seq: 12,
            hash: "ab".to_owned(),
        }),
        ..BoboykaStrandSpec::default()
    };
    let object = serde_json::to_value(BoboykaStrand::new("s", spec)).unwrap();
    let read = resource::assignment(Some(7), &object);
    assert_eq!(
        (
            read.holder_uid.as_deref(),
            read.witnessed_seq,
            read.generation
        ),
        (Some("u"), Some(12), Some(7))
    );
    assert_eq!(
        resource::assignment(Some(7), &json!({"spec": {"holder": 3}})).holder_uid,
        None
    );
}

#[test]
fn news_is_heard_once_and_what_says_the_same_again_is_none() {
    let membership = Membership {
        namespace: "agents".to_owned(),
        integration: "boboyka".to_owned(),
        strand: "boboyka-0".to_owned(),
        pod_uid: "u-1".to_owned(),
    };
    let (mut cluster, watch) = Cluster::new(membership);
    let mut unread = Trouble::with("read all of the integration");
    assert!(!cluster.heard());
    for _ in 0..2 {
        watch.adopt_integration(&written(), &mut unread);
    }
    assert!(cluster.heard());
    assert!(!cluster.heard());
    watch.adopt_assignment(
        Some(1),
        &json!({"spec": {"holder": {"token": "t", "podUid": "u-1"}}}),
    );
    assert!(cluster.heard());
    watch.adopt_assignment(
        Some(1),
        &json!({"spec": {"holder": {"token": "t", "podUid": "u-1"}}}),
    );
    watch.adopt_integration(&written(), &mut unread);
    assert!(!cluster.heard());
    watch.adopt_assignment(
        Some(2),
        &json!({"spec": {"holder": {"token": "t", "podUid": "u-1"}}}),
    );
    assert!(cluster.heard(), "it has to be answered");
}
