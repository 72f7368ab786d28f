use std::collections::BTreeMap;
use std::time::Duration;

use boboyka_crds::LegacyList;
use boboyka_crds::{
    Archive, ArchiveSecret, BoboykaIntegration, BoboykaIntegrationSpec, BoboykaStrand,
    BoboykaStrandSpec, HeadReference, Holder, IntegrationStatus, Mirror, MirrorMode, MirrorTable,
    PayloadRetention, Phase, Retention, StrandCounts, Supabase, Transition,
};
use boboyka_strand::RecordType;
use serde_json::{Value, json};

use super::{Cluster, Membership, resource};
use crate::integration::{ArchiveRequest, InForce, Integration, Keys, Pace};
use crate::report::Wanted;
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
            hold: true,
            types: [("agent_health", "168h"), ("audit_log", "61320h")]
                .map(|(name, age)| {
                    let max_age = age.to_owned();
                    (name.to_owned(), PayloadRetention { max_age })
                })
                .into(),
        }),
        archive: Some(Archive {
            url: "s3://bucket/strands".to_owned(),
            secret_ref: Some(ArchiveSecret {
                name: "keys".to_owned(),
            }),
            after: "5m".to_owned(),
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
    assert!(read.retention.hold);
    assert_eq!(read.retention.max_age, Some(Duration::from_hours(720)));
    let hours = |hours: u64| Some(hours * 3_600_000);
    assert_eq!(
        read.retention.payload_ages.into_array(),
        [None, None, hours(168), hours(61_320), None]
    );
    assert_eq!(read.retention.max_size_bytes, Some(8 << 30));
    let pace = Pace {
        interval: Duration::from_secs(30),
        spread: Duration::from_secs(30),
    };
    assert_eq!(read.pace, pace);
    assert_eq!(read.archive, Some(archive()));
}

fn archive() -> ArchiveRequest {
    ArchiveRequest {
        place: "s3://bucket/strands".parse().ok(),
        after: Duration::from_mins(5),
        keys: Keys::Secret("keys".to_owned()),
    }
}

#[test]
fn an_archive_that_can_t_be_read_leaves_the_one_that_is_known_or_keeps_everything() {
    let mut object = written();
    object["spec"]["archive"] = json!({"url": 7});
    let (read, complaints) = resource::integration(&object, &Integration::unknown());
    assert_eq!(read.archive.unwrap().place, None);
    assert!(
        complaints[0].starts_with("spec.archive: "),
        "{complaints:?}"
    );
    let known = Integration {
        archive: Some(archive()),
        ..Integration::unknown()
    };
    let (read, _) = resource::integration(&object, &known);
    assert_eq!(read.archive, known.archive);

    object["spec"]["archive"] = json!({"url": "gopher://bucket", "after": "later"});
    let (read, complaints) = resource::integration(&object, &known);
    let asked = read.archive.unwrap();
    assert_eq!((asked.place, asked.after), (None, Duration::from_hours(1)));
    assert_eq!(complaints.len(), 2, "{complaints:?}");
    object["spec"]["archive"] = json!(null);
    let (read, complaints) = resource::integration(&object, &known);
    assert_eq!((read.archive, complaints.len()), (None, 0));
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
    object["spec"]["retention"]["hold"] = json!({"until": "told"});
    object["spec"]["retention"]["types"]["agent_health"] = json!({"maxAge": "a week"});
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
    let ages = read.retention.payload_ages;
    assert_eq!(ages[RecordType::AgentHealth], None);
    assert!(ages[RecordType::AuditLog].is_some());
    assert_eq!(read.retention.max_size_bytes, Some(8 << 30));
    assert!(read.retention.hold);
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
            "spec.retention.maxAge",
            "spec.retention.types.agent_health.maxAge",
            "spec.retention.hold"
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

#[test]
fn the_list_of_legacy_projects_counts_when_it_is_the_one_that_the_status_speaks_of() {
    let list = LegacyList::of(["b".to_owned(), "a".to_owned()], true);
    let mut object = written();
    object["spec"]["migration"] = json!({"legacyProjects": ["b", "a", "b"], "legacyShared": true});
    let read = |object: &Value, known: &Integration| resource::integration(object, known).0.legacy;
    let unknown = Integration::unknown();
    let none = read(&object, &unknown).unwrap();
    assert!(none.list.is_empty(), "the operator has decided on no list");
    let status = json!({"generation": 7, "digest": list.digest(), "since": "2026-01-01T00:00:00Z", "by": "alice"});
    object["status"]["migration"] = json!({"legacy": status});
    let change = read(&object, &unknown).unwrap();
    assert_eq!((&change.list, change.generation), (&list, 7));
    assert_eq!(change.by.as_deref(), Some("alice"));
    let known = Integration {
        legacy: Some(change),
        ..Integration::unknown()
    };
    object["spec"]["migration"]["legacyProjects"] = json!(["a"]);
    assert_eq!(read(&object, &known), None, "not decided on yet");
    let reference = json!({"configMapKeyRef": {"name": "boboyka-legacy-projects", "key": "names"}});
    object["spec"]["migration"] = json!({"legacyProjectsFrom": reference, "legacyShared": false});
    assert_eq!(read(&object, &known), None, "the operator has not read it");
    let mut begins = object.clone();
    begins["status"]["migration"] = json!(null);
    assert_eq!(read(&begins, &unknown), None, "there was none before");
    object["status"]["migration"]["legacy"]["shared"] = json!(true);
    object["status"]["migration"]["legacy"]["names"] = json!(["a", "b"]);
    object["status"]["migration"]["legacy"]["revision"] = json!(4);
    let named = read(&object, &known).unwrap();
    assert_eq!(
        (&named.list, named.revision),
        (&list, 4),
        "the status has the names"
    );
    object["status"]["migration"]["legacy"]["digest"] = json!(5);
    assert_eq!(read(&object, &known), known.legacy, "what can't be read");
    object["status"] = json!({});
    assert_eq!(read(&object, &known), known.legacy, "it was made again");
}

#[test]
fn a_legal_hold_is_of_the_generation_that_set_it_once_the_status_says_that_it_is_on() {
    let held_since = |hold: Value| {
        let mut object = written();
        object["status"]["legalHold"] = hold;
        let (read, complaints) = resource::integration(&object, &Integration::unknown());
        assert_eq!(complaints, [""; 0]);
        assert!(read.retention.hold);
        Wanted::of(&read).held_since
    };
    let since = "2026-01-01T00:00:00Z";
    let hold = |active| json!({"active": active, "generation": 6, "since": since});
    assert_eq!(held_since(hold(true)), Some(6));
    assert_eq!(held_since(hold(false)), None);
    assert_eq!(held_since(Value::Null), None);
}
