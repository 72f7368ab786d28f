//! What a status says of archives.

use boboyka_crds::{ArchiveCounts, ArchiveReport};

use super::cases::{archived, archiving};
use super::*;

fn message(status: &IntegrationStatus) -> &str {
    let mut conditions = status.conditions.iter();
    let found = conditions.find(|one| one.type_ == ConditionType::Archived.as_str());
    &found.unwrap().message
}

/// The strand of a name with a report of its archive.
fn named(name: &str, report: Option<ArchiveReport>) -> BoboykaStrand {
    let mut strand = reporting(|status| status.archive = report);
    strand.metadata.name = Some(name.to_owned());
    strand
}

#[test]
fn without_an_archive_nothing_is_said_of_one() {
    let status = day().status();
    assert_eq!(condition(&status, ConditionType::Archived), None);
    assert_eq!(status.archive, None);
}

#[test]
fn a_sidecar_that_reports_of_no_archive_or_of_another_is_unknown_and_not_fine() {
    let elsewhere = ArchiveReport {
        url: "s3://bucket/before".to_owned(),
        ..archiving()
    };
    for report in [None, Some(elsewhere)] {
        let status = archived(vec![named("i-0", report)]);
        assert_eq!(
            condition(&status, ConditionType::Archived),
            Some(("Unknown", "ArchiveNotReported"))
        );
        assert!(message(&status).contains("i-0"), "{}", message(&status));
        let counts = status.archive.unwrap();
        assert_eq!((counts.unknown, counts.failing), (1, 0));
    }
    // A pod that has not reported yet, as the one before it did, is not late.
    let mut coming = named("i-0", None);
    coming.spec.holder.as_mut().unwrap().pod_uid = Some("next".to_owned());
    let status = archived(vec![coming]);
    assert_eq!(status.archive, Some(ArchiveCounts::default()));
}

#[test]
fn strands_are_counted_and_a_failure_is_named_by_its_code_alone() {
    let failing = ArchiveReport {
        fault: Some("unmounted".to_owned()),
        ..archiving()
    };
    let free = |archived_seq| {
        let report = ArchiveReport {
            archived_seq,
            ..archiving()
        };
        let mut strand = named("gone", Some(report));
        strand.spec.holder = None;
        strand.status.as_mut().unwrap().ready = false;
        strand
    };
    let status = archived(vec![
        named("i-0", Some(archiving())),
        named("i-1", Some(failing)),
        free(5),
        free(7),
    ]);
    assert_eq!(
        status.archive,
        Some(ArchiveCounts {
            failing: 1,
            unheld: 1,
            ..ArchiveCounts::default()
        })
    );
    assert!(
        message(&status).starts_with("these strands can't be archived: i-1 (unmounted);"),
        "{}",
        message(&status)
    );
    // A Job holds a strand for Supabase alone.
    let job = Pod {
        strand: Some("i-0".into()),
        of_job: true,
        ..Pod::default()
    };
    let drained = Day {
        spec: json!({"archive": {"url": "s3://bucket/strands"}}),
        strands: vec![named("i-0", None)],
        pods: vec![job],
        ..day()
    };
    let counts = drained.status().archive.unwrap();
    assert_eq!((counts.unknown, counts.unheld), (0, 1));
    // A strand that nobody holds is told, and spoils nothing.
    let status = archived(vec![named("i-0", Some(archiving())), free(5)]);
    assert_eq!(
        condition(&status, ConditionType::Archived),
        Some(("True", "AsExpected"))
    );
    assert!(
        message(&status).ends_with("holds them: gone"),
        "{}",
        message(&status)
    );
}
