mod backfill;
mod legacy;
mod source;

use std::time::{Duration, Instant};

use boboyka_archive::{ArchiveStatus, Fault, Kind};
use boboyka_crds::{Chain, LogReport, Phase, StrandStatus};
use boboyka_mirror::{Foreign, ForeignWrites, LaneState, LaneStatus, Parity};
use boboyka_store::{Floor, Footprint, RetentionStatus, ScrubStatus, View};
use boboyka_strand::retention::Blocker;
use boboyka_strand::{Hash, Head, Hlc, PerType, RecordType};
use enum_map::EnumMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::Timestamp;
use uuid::Uuid;

use super::conditions::Reason;
use super::log::Witnessing;
use super::pace::Pacer;
use super::snapshot::Snapshot;
use super::status::{health, same, status};
use crate::archive::Archived;
use crate::integration::Pace;
use crate::phase::TransitionProgress;

fn head(seq: u64) -> Head {
    Head {
        seq,
        hash: Hash::from_bytes([u8::try_from(seq % 256).unwrap(); 32]),
        ..Head::EMPTY
    }
}

fn lane(record_type: RecordType, state: LaneState, backlog: u64) -> LaneStatus {
    LaneStatus {
        record_type,
        table: record_type.table().unwrap_or_default().into(),
        mode: None,
        key: Vec::new(),
        state,
        reason: (state != LaneState::Mirroring).then(|| "why".to_owned()),
        mark: 7,
        head: 9,
        backlog,
        lag_ms: backlog * 1000,
        mirrored: 3,
        dead_lettered: 0,
        retry_in_ms: None,
        set_aside: 0,
        guarded: false,
        parity: Parity::Unknown("not compared yet".into()),
        lost_columns: Vec::new(),
        idempotent: true,
        dead_letters: Vec::new(),
    }
}

fn strand() -> View {
    View {
        head: head(9),
        floor: Floor::default(),
        counts: PerType::from_array([4, 3, 2, 0, 0]),
        phase: None,
        marks: PerType::default(),
        legacy: PerType::default(),
        era: 0,
        retention: RetentionStatus::default(),
        scrub: ScrubStatus::default(),
        footprint: Footprint {
            segments: 0,
            segment_bytes: 0,
            tail_blocks: 9,
            tail_bytes: 900,
        },
    }
}

fn snapshot() -> Snapshot {
    Snapshot {
        foreign: Foreign::Elsewhere,
        held_since: None,
        legacy: None,
        backfill: None,
        ready: true,
        strand_id: Uuid::nil(),
        strand: strand(),
        witnessed: Some((4, head(4).hash)),
        archive: None,
        log: None,
        witnessed_log: None,
        lanes: RecordType::MIRRORED
            .map(|kind| lane(kind, LaneState::Mirroring, 1))
            .into(),
        chain: Chain {
            intact: true,
            ..Chain::default()
        },
        boundary: Some(TransitionProgress {
            generation: 3,
            phase: strand().phase.map(|state| state.phase),
            seq: 8,
            fixed: Instant::now(),
            drained: false,
        }),
        has_supabase: true,
        supabase_url: Some("https://x.supabase.co".to_owned()),
        disk_bytes: 4096,
        unmirrored_bytes: 2048,
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn report(snapshot: &Snapshot) -> StrandStatus {
    status(snapshot, "uid", Some(3), at(100), &[])
}

fn condition<'a>(status: &'a StrandStatus, kind: &str) -> Option<&'a Condition> {
    status.conditions.iter().find(|one| one.type_ == kind)
}

fn said(snapshot: &Snapshot, kind: &str) -> Option<(String, String)> {
    condition(&report(snapshot), kind).map(|one| (one.status.clone(), one.reason.clone()))
}

fn is(status: &str, reason: &str) -> (String, String) {
    (status.to_owned(), reason.to_owned())
}

fn with_states(states: [LaneState; 4]) -> Snapshot {
    let lanes = RecordType::MIRRORED.into_iter().zip(states);
    Snapshot {
        lanes: lanes.map(|(kind, state)| lane(kind, state, 0)).collect(),
        ..snapshot()
    }
}

#[test]
fn a_report_sums_up_the_lanes_and_counts_by_type() {
    let status = report(&snapshot());
    assert_eq!(
        (status.records, status.backlog, status.lag_ms),
        (9, 4, 1000)
    );
    assert_eq!(status.records_by_type[RecordType::MIRRORED[1].name()], 3);
    assert_eq!(status.head.unwrap().seq, 9);
    assert_eq!(status.floor, None);
    assert_eq!(status.witnessed.unwrap().hash, head(4).hash.to_string());
    assert_eq!(status.boundary.unwrap().seq, 8);
    assert_eq!(status.pod_uid.unwrap(), "uid");
    let pruned = report(&Snapshot {
        strand: View {
            floor: Floor {
                head: head(5),
                ..Floor::default()
            },
            ..strand()
        },
        witnessed: None,
        ..snapshot()
    });
    assert_eq!(pruned.floor.unwrap().hash, head(5).hash.to_string());
    assert_eq!(pruned.witnessed, None);
}

/// A strand whose retention stands like this.
fn with_retention(retention: RetentionStatus) -> Snapshot {
    Snapshot {
        strand: View {
            retention,
            ..strand()
        },
        ..snapshot()
    }
}

/// One whose policy has run and is blocked by this.
fn blocked_by(blocker: Blocker) -> Snapshot {
    with_retention(RetentionStatus {
        max_age_ms: Some(1),
        last_run_ms: Some(1),
        blocked_by: Some(blocker),
        ..RetentionStatus::default()
    })
}

/// One whose newest block is this number of milliseconds ahead of the clock at 100 s.
fn ahead(ms: u64) -> Snapshot {
    let mut snapshot = snapshot();
    snapshot.strand.head.hlc = Hlc::from_ms(100_000 + ms);
    snapshot
}

fn witnessed(witnessing: Witnessing) -> Snapshot {
    let witnessed_log = Some(witnessing);
    Snapshot {
        witnessed_log,
        ..snapshot()
    }
}

fn damaged() -> Snapshot {
    let mut snapshot = snapshot();
    snapshot.chain = Chain {
        reason: Some("why".to_owned()),
        ..Chain::default()
    };
    snapshot
}

/// A sidecar, and the condition that it reports then: kind, status, reason.
fn cases() -> Vec<(Snapshot, &'static str, &'static str, &'static str)> {
    use LaneState::{AuthFailed, BackingOff, Disabled, Mirroring, Open, Refused, SchemaMismatch};
    let (reachable, accepted) = ("SupabaseReachable", "CredentialsAccepted");
    let missing = || Snapshot {
        supabase_url: None,
        ..with_states([Disabled; 4])
    };
    let refused = || with_states([Mirroring, AuthFailed, Mirroring, Mirroring]);
    let one_mismatch = || with_states([SchemaMismatch, Open, Open, Open]);
    vec![
        (snapshot(), reachable, "True", "RequestsAnswered"),
        (snapshot(), accepted, "True", "RequestsAnswered"),
        (refused(), reachable, "True", "RequestsAnswered"),
        (refused(), accepted, "False", "CredentialsRefused"),
        (
            with_states([Refused; 4]),
            accepted,
            "True",
            "RequestsAnswered",
        ),
        (one_mismatch(), reachable, "False", "RequestsFail"),
        (one_mismatch(), accepted, "True", "RequestsAnswered"),
        (with_states([Open; 4]), reachable, "False", "RequestsFail"),
        (
            with_states([BackingOff; 4]),
            reachable,
            "False",
            "RequestsFail",
        ),
        (with_states([Open; 4]), accepted, "Unknown", "NotTried"),
        (missing(), reachable, "Unknown", "NotTried"),
        (missing(), accepted, "False", "CredentialsMissing"),
        (ahead(60_001), "ClockInStep", "False", "ClockBehind"),
        (damaged(), "Stalled", "True", "ChainBroken"),
    ]
}

/// The same about retention.
fn cases_of_retention() -> Vec<(Snapshot, &'static str, &'static str, &'static str)> {
    let enforced = "RetentionEnforced";
    let set = RetentionStatus {
        max_age_ms: Some(1),
        ..RetentionStatus::default()
    };
    let ran = RetentionStatus {
        last_run_ms: Some(1),
        ..set
    };
    let on_hold = RetentionStatus {
        hold: true,
        ..RetentionStatus::default()
    };
    vec![
        (with_retention(set), enforced, "Unknown", "NotRunYet"),
        (with_retention(ran), enforced, "True", "Enforced"),
        (with_retention(on_hold), enforced, "False", "LegalHold"),
        (
            blocked_by(Blocker::Lane(RecordType::AuditLog)),
            enforced,
            "False",
            "WaitsForMirror",
        ),
        (
            blocked_by(Blocker::DeadLetters(RecordType::AuditLog)),
            enforced,
            "False",
            "WaitsForDeadLetters",
        ),
        (
            blocked_by(Blocker::Rollback),
            enforced,
            "False",
            "KeptForRollback",
        ),
        (
            blocked_by(Blocker::Archive),
            enforced,
            "False",
            "WaitsForArchive",
        ),
        (
            blocked_by(Blocker::LegalHold),
            enforced,
            "False",
            "LegalHold",
        ),
    ]
}

/// The same about witnesses.
fn cases_of_witnesses() -> Vec<(Snapshot, &'static str, &'static str, &'static str)> {
    let why = || "w: no".to_owned();
    let cases = [
        (Witnessing::Cosigned, "True", "Cosigned"),
        (Witnessing::Missing(why()), "False", "WitnessMissing"),
        (
            Witnessing::Contradicted(why()),
            "False",
            "WitnessContradicts",
        ),
        (Witnessing::Begun, "Unknown", "NotTried"),
    ];
    let case = |(witnessing, status, reason)| {
        (witnessed(witnessing), "CheckpointsCosigned", status, reason)
    };
    cases.map(case).into()
}

fn archiving(status: ArchiveStatus) -> Snapshot {
    Snapshot {
        archive: Some(Archived::new("s3://bucket".parse().ok(), status)),
        ..snapshot()
    }
}

fn refused() -> ArchiveStatus {
    ArchiveStatus {
        seq: 4,
        fault: Some(Fault::new(
            Kind::Refused,
            "s3://bucket",
            "status 403: s3cret",
        )),
        ..ArchiveStatus::default()
    }
}

/// The same about archives.
fn cases_of_archives() -> Vec<(Snapshot, &'static str, &'static str, &'static str)> {
    let holds = ArchiveStatus {
        seq: 4,
        ..ArchiveStatus::default()
    };
    let cases = [
        (ArchiveStatus::default(), "Unknown", "NotTried"),
        (holds, "True", "ArchiveHolds"),
        (refused(), "False", "ArchiveFails"),
    ];
    let case = |(archive, status, reason)| (archiving(archive), "Archived", status, reason);
    cases.map(case).into()
}

#[test]
fn a_report_names_the_kind_of_an_archives_failure_and_not_what_the_store_said() {
    let status = report(&archiving(refused()));
    let archive = status.archive.clone().unwrap();
    assert_eq!((&*archive.url, archive.archived_seq), ("s3://bucket", 4));
    assert_eq!(archive.fault.as_deref(), Some("refused"));
    let whole = serde_json::to_string(&status).unwrap();
    assert!(!whole.contains("s3cret"), "{whole}");
    // How far it is can wait for the next report; that it fails can't.
    let further = ArchiveStatus {
        seq: 9,
        ..refused()
    };
    assert_eq!(health(&status), health(&report(&archiving(further))));
    let mended = ArchiveStatus {
        fault: None,
        ..refused()
    };
    assert_ne!(health(&status), health(&report(&archiving(mended))));
    assert_eq!(report(&snapshot()).archive, None);
}

#[test]
fn conditions_say_what_stands_between_the_strand_and_supabase_and_what_retention_waits_for() {
    for (snapshot, kind, status, reason) in [
        cases(),
        cases_of_retention(),
        cases_of_witnesses(),
        cases_of_archives(),
    ]
    .concat()
    {
        let expected = Some(is(status, reason));
        assert_eq!(said(&snapshot, kind), expected, "{kind}: {snapshot:?}");
    }
}

#[test]
fn what_was_found_before_the_phase_was_obeyed_is_no_evidence_for_the_next_step_of_its_generation() {
    let found_for = |phase: Option<Phase>| {
        let mut snapshot = snapshot();
        snapshot.boundary.as_mut().unwrap().phase = phase;
        snapshot.foreign = Foreign::Known(ForeignWrites {
            since_ms: 0,
            checked_at_ms: 0,
            checked: Instant::now(),
            tables: Vec::new(),
        });
        let status = status(&snapshot, "uid", None, at(20), &[]);
        assert_eq!(status.boundary.unwrap().generation, 3);
        status.foreign_writes.unwrap().generation
    };
    let obeyed = strand().phase.map(|state| state.phase);
    assert_eq!(found_for(obeyed), Some(3));
    assert_eq!(found_for(Some(Phase::CutOver)), None);
}

#[test]
fn a_legal_hold_is_confirmed_with_the_generation_that_set_it() {
    let hold = RetentionStatus {
        hold: true,
        ..RetentionStatus::default()
    };
    let status = report(&Snapshot {
        held_since: Some(6),
        ..with_retention(hold)
    });
    let mut conditions = status.conditions.iter();
    let confirmed = conditions.find(|it| it.reason == "LegalHold").unwrap();
    assert_eq!(confirmed.observed_generation, Some(6));
}

#[test]
fn every_reason_is_reported_in_one_of_the_cases() {
    let all = [
        cases(),
        cases_of_retention(),
        cases_of_witnesses(),
        cases_of_archives(),
    ];
    let reported: Vec<_> = all
        .iter()
        .flatten()
        .filter_map(|(snapshot, kind, ..)| Some(said(snapshot, kind)?.1))
        .collect();
    for (reason, ()) in EnumMap::<Reason, ()>::default() {
        let name = reason.as_str();
        assert!(reported.iter().any(|one| one == name), "{name}");
    }
}

#[test]
fn the_documents_say_of_every_reason_and_every_state_of_a_lane_what_to_do() {
    let reasons = EnumMap::<Reason, ()>::default();
    let reasons: Vec<_> = reasons.iter().map(|(reason, ())| reason.as_str()).collect();
    let states = LaneState::ALL.map(LaneState::name);
    let troubleshooting = include_str!("../../../docs/troubleshooting.md");
    for (document, chapter, words) in [
        (
            troubleshooting,
            "\n## Reasons of a strand's conditions",
            &*reasons,
        ),
        (
            include_str!("../../../docs/supabase.md"),
            "\n## States of a lane",
            &states,
        ),
    ] {
        let (_, chapter) = document.split_once(chapter).unwrap();
        let chapter = chapter.split("\n## ").next().unwrap();
        let rows = chapter.lines().filter(|line| line.starts_with("| `"));
        let mut listed: Vec<_> = rows.filter(|line| !line.contains("`state`")).collect();
        for word in words {
            let before = listed.len();
            listed.retain(|line| !line.starts_with(&format!("| `{word}` |")));
            assert_eq!(before, listed.len() + 1, "{word}");
        }
        assert!(listed.is_empty(), "no word of ours: {listed:?}");
    }
    for state in states {
        assert!(troubleshooting.contains(&format!("`{state}`")), "{state}");
    }
}

#[test]
fn a_condition_that_says_nothing_about_the_strand_is_left_out() {
    let none = Snapshot {
        supabase_url: None,
        has_supabase: false,
        ..with_states([LaneState::Disabled; 4])
    };
    assert_eq!(said(&none, "SupabaseReachable"), None);
    let closed = with_states([LaneState::Closed; 4]);
    assert_eq!(said(&closed, "CredentialsAccepted"), None);
    let without_policy = with_retention(RetentionStatus::default());
    assert_eq!(said(&without_policy, "RetentionEnforced"), None);
    assert_eq!(said(&ahead(60_000), "ClockInStep"), None);
}

#[test]
fn a_condition_keeps_its_time_while_it_says_the_same() {
    let first = status(&snapshot(), "uid", Some(3), at(100), &[]);
    let second = status(&snapshot(), "uid", Some(3), at(200), &first.conditions);
    assert_eq!(first.conditions, second.conditions);
    let away = with_states([LaneState::Open; 4]);
    let third = status(&away, "uid", Some(3), at(300), &second.conditions);
    let time = |kind| condition(&third, kind).unwrap().last_transition_time.0;
    assert_eq!(time("SupabaseReachable"), at(300));
    // Nothing new is known of the credentials.
    assert_eq!(
        condition(&third, "CredentialsAccepted"),
        condition(&first, "CredentialsAccepted")
    );
    assert_eq!(time("CredentialsAccepted"), at(100));
}

#[test]
fn what_moves_by_itself_is_no_change_of_health() {
    let before = report(&snapshot());
    let mut later = snapshot();
    later.strand.head = head(30);
    later.strand.counts = PerType::from_array([9, 9, 9, 3, 0]);
    later.disk_bytes = 1;
    later.lanes[0].mark = 29;
    later.lanes[0].backlog = 5;
    let after = report(&later);
    assert!(!same(&before, &after));
    assert_eq!(health(&before), health(&after));
    later.lanes[0].dead_lettered = 1;
    let lettered = report(&later);
    assert_ne!(health(&after), health(&lettered));
    later.lanes[0].dead_lettered = 2;
    assert_eq!(health(&lettered), health(&report(&later)));
    let with_log = |size, cosigned_size, origin: &str| Snapshot {
        log: Some(LogReport {
            origin: origin.to_owned(),
            size,
            cosigned_size,
            ..LogReport::default()
        }),
        ..snapshot()
    };
    let log = |size, cosigned, origin| health(&report(&with_log(size, cosigned, origin)));
    assert_eq!(log(5, 3, "o/1"), log(7, 7, "o/1"));
    assert_ne!(log(5, 3, "o/1"), log(5, 3, "o/2"), "a witness waits for it");
    let phase = StrandStatus {
        phase: Some(Phase::CutOver),
        ..before.clone()
    };
    assert_ne!(health(&before), health(&phase));
    let specified = status(&snapshot(), "uid", Some(4), at(100), &[]);
    assert_ne!(health(&before), health(&specified));
}

const PACE: Pace = Pace {
    interval: Duration::from_secs(10),
    spread: Duration::from_secs(4),
};

#[test]
fn a_change_of_health_is_reported_after_a_random_part_of_the_spread() {
    let (mut pacer, start) = (Pacer::default(), Instant::now());
    let after = |ms| start + Duration::from_millis(ms);
    let well = report(&snapshot());
    assert!(!pacer.is_due(&well, PACE, start, 0.0));
    assert!(pacer.is_due(&well, PACE, after(250), 0.0));
    pacer.sent(well.clone(), PACE, after(250));
    let ill = report(&Snapshot {
        ready: false,
        ..snapshot()
    });
    assert!(!pacer.is_due(&ill, PACE, after(500), 0.5));
    // Later draws don't count: it was decided when the change was seen.
    assert!(!pacer.is_due(&ill, PACE, after(2400), 0.0));
    assert!(pacer.is_due(&ill, PACE, after(2500), 1.0));
    // What is over before it was reported is not reported.
    assert!(!pacer.is_due(&well, PACE, after(2600), 0.0));
}

#[test]
fn figures_come_at_the_interval_and_nothing_new_six_times_as_seldom() {
    let (mut pacer, start) = (Pacer::default(), Instant::now());
    let after = |seconds| start + Duration::from_secs(seconds);
    let one = report(&snapshot());
    pacer.sent(one.clone(), PACE, start);
    let more = report(&Snapshot {
        strand: View {
            head: head(10),
            ..strand()
        },
        ..snapshot()
    });
    assert!(!pacer.is_due(&more, PACE, after(9), 0.0));
    assert!(pacer.is_due(&more, PACE, after(10), 0.0));
    assert!(!pacer.is_due(&one, PACE, after(59), 0.0));
    assert!(pacer.is_due(&one, PACE, after(60), 0.0));
    pacer.forget();
    assert!(!pacer.is_due(&one, PACE, after(61), 0.0));
    assert!(pacer.is_due(&one, PACE, after(62), 0.0));
}

#[test]
fn health_that_goes_to_and_fro_is_reported_twice_in_an_interval_after_a_burst() {
    let (mut pacer, start) = (Pacer::default(), Instant::now());
    let well = report(&snapshot());
    let ill = report(&Snapshot {
        ready: false,
        ..snapshot()
    });
    let mut reports = Vec::new();
    for tick in 0..400_u32 {
        let now = start + Duration::from_millis(250) * tick;
        let sent = reports.last().map(|(_, ready)| *ready);
        let next = if sent == Some(true) { &ill } else { &well };
        if pacer.is_due(next, PACE, now, 0.0) {
            pacer.sent(next.clone(), PACE, now);
            reports.push((now - start, next.ready));
        }
    }
    let within = |seconds| {
        let early = |at: &Duration| *at < Duration::from_secs(seconds);
        reports.iter().filter(|(at, _)| early(at)).count()
    };
    assert!((6..=8).contains(&within(5)), "{reports:?}");
    assert!((24..=28).contains(&within(100)), "{reports:?}");
}

#[test]
fn the_first_records_are_news_and_further_ones_are_figures() {
    let with = |records| StrandStatus {
        records,
        ..StrandStatus::default()
    };
    assert_ne!(health(&with(0)), health(&with(1)));
    assert_eq!(health(&with(1)), health(&with(2)));
}
