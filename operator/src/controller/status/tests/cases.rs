//! Every condition with every reason that the operator gives it, each on a day on which it has that reason.

use boboyka_crds::{
    ArchiveReport, ConfigMapKeyReference, Contradiction, ContradictionKind, Fence, WrongNames,
};

use ConditionType as C;
use Reason as R;

use super::*;

/// A condition, whether it is true, its reason, and the status of a day that has it.
type Case = (ConditionType, bool, Reason, IntegrationStatus);

/// All cases.
pub(in crate::controller) fn cases() -> Vec<Case> {
    let mut cases = of_ready();
    cases.extend(of_progress());
    cases.extend(of_strands());
    cases.extend(of_rollouts());
    cases.extend(of_archives());
    cases
}

fn of_ready() -> Vec<Case> {
    let no_pods = Day {
        strands: Vec::new(),
        ..day()
    };
    let bare = Day {
        pods: vec![Pod::default()],
        ..day()
    };
    vec![
        (C::Ready, true, R::AsExpected, day().status()),
        (C::Ready, true, R::NoPods, no_pods.status()),
        (C::Ready, false, R::InvalidSpec, not_valid()),
        (C::Ready, false, R::RolloutStopped, rolling(stopped())),
        (C::Ready, false, R::NotApplied, failing()),
        (C::Ready, false, R::HeadWentBack, witnessed(head(9, "cc"))),
        (C::Ready, false, R::Conflict, selecting(&["Deployment web"])),
        (C::Ready, false, R::PhaseGateClosed, waiting()),
        (C::Ready, false, R::MigrationPaused, paused()),
        (C::Ready, false, R::PhaseAdvancing, advancing()),
        (C::Ready, false, R::SidecarMissing, bare.status()),
        (
            C::Ready,
            false,
            R::ClaimPending,
            in_phase("Pending", Some(121)),
        ),
        (C::Ready, false, R::SidecarsNotReady, starting()),
    ]
}

fn of_progress() -> Vec<Case> {
    vec![
        (C::Reconciling, true, R::PhaseGateClosed, waiting()),
        (C::Reconciling, true, R::MigrationPaused, paused()),
        (C::Reconciling, true, R::PhaseAdvancing, advancing()),
        (C::Reconciling, true, R::SidecarsNotReady, starting()),
        (C::Reconciling, true, R::NotApplied, failing()),
        (C::Stalled, true, R::RolloutStopped, rolling(stopped())),
        (C::Stalled, true, R::InvalidSpec, not_valid()),
    ]
}

fn failed_drain() -> IntegrationStatus {
    let failed =
        json!({"type": "Failed", "status": "True", "message": "Job has reached its backoff limit"});
    let job = json!({"metadata": {"name": "j"}, "status": {"conditions": [failed]}});
    let day = Day {
        jobs: vec![serde_json::from_value(job).unwrap()],
        ..day()
    };
    day.status()
}

/// An archive that has what is due.
pub(super) fn archiving() -> ArchiveReport {
    ArchiveReport {
        url: "s3://bucket/strands".to_owned(),
        archived_seq: 5,
        ..ArchiveReport::default()
    }
}

/// A day on which the integration asks for an archive.
pub(super) fn archived(strands: Vec<BoboykaStrand>) -> IntegrationStatus {
    let spec = json!({"archive": {"url": "s3://bucket/strands/", "after": "1h"}});
    Day {
        spec,
        strands,
        ..day()
    }
    .status()
}

fn of_archives() -> Vec<Case> {
    let on =
        |report: ArchiveReport| archived(vec![reporting(|status| status.archive = Some(report))]);
    let failing = on(ArchiveReport {
        fault: Some("refused".to_owned()),
        ..archiving()
    });
    let behind = on(ArchiveReport {
        waiting_since: Some(ago(3600 + 601)),
        ..archiving()
    });
    vec![
        (C::Archived, true, R::AsExpected, on(archiving())),
        (C::Archived, false, R::ArchiveFails, failing),
        (C::Archived, false, R::ArchiveBehind, behind),
    ]
}

/// A strand that had the claim `c-1` and has this one.
fn on_claim(uid: Option<&str>) -> IntegrationStatus {
    let claimed = strand(|strand| {
        strand.spec.claim_name = Some("c".to_owned());
        strand.spec.claim_uid = Some("c-1".to_owned());
    });
    let claims = uid.map(|uid| Claim {
        meta: ObjectMeta {
            name: Some("c".to_owned()),
            uid: Some(uid.to_owned()),
            ..ObjectMeta::default()
        },
        ..Claim::default()
    });
    Day {
        strands: vec![claimed],
        claims: claims.into_iter().collect(),
        ..day()
    }
    .status()
}

/// A strand whose claim is in this phase, held for this number of seconds, if it is held.
pub(super) fn in_phase(phase: &str, held_for: Option<i64>) -> IntegrationStatus {
    let claimed = strand(|strand| {
        strand.spec.claim_name = Some("c".to_owned());
        strand.spec.claim_uid = Some("c-1".to_owned());
        match held_for {
            Some(seconds) => strand.spec.holder.as_mut().unwrap().since = Some(ago(seconds)),
            None => strand.spec.holder = None,
        }
    });
    let claim = Claim {
        meta: ObjectMeta {
            name: Some("c".to_owned()),
            uid: Some("c-1".to_owned()),
            creation_timestamp: Some(ago(3600)),
            ..ObjectMeta::default()
        },
        phase: Some(phase.into()),
        ..Claim::default()
    };
    Day {
        strands: vec![claimed],
        claims: vec![claim],
        ..day()
    }
    .status()
}

fn of_strands() -> Vec<Case> {
    let broken = reported(|status| status.chain.as_mut().unwrap().intact = false);
    let behind = reported(|status| status.backlog = 1);
    let refused = reported(|status| status.dead_letters = 1);
    let ephemeral = json!({"supabase": {"secretRef": {"name": "s"}}, "storage": {"ephemeral": {}}});
    let ephemeral = Day {
        spec: ephemeral,
        ..day()
    };
    vec![
        (C::ChainIntact, true, R::AsExpected, day().status()),
        (
            C::ChainIntact,
            false,
            R::HeadWentBack,
            witnessed(head(9, "cc")),
        ),
        (
            C::ChainIntact,
            false,
            R::HeadForked,
            witnessed(head(7, "bb")),
        ),
        (
            C::ChainIntact,
            false,
            R::LogRewound,
            contradicting(ContradictionKind::Rewound),
        ),
        (
            C::ChainIntact,
            false,
            R::LogForked,
            contradicting(ContradictionKind::Forked),
        ),
        (C::ChainIntact, false, R::ChainBroken, broken),
        (C::ChainIntact, false, R::ClaimLost, on_claim(None)),
        (
            C::ChainIntact,
            false,
            R::ClaimReplaced,
            on_claim(Some("c-2")),
        ),
        (C::ChainIntact, false, R::VolumeLost, in_phase("Lost", None)),
        (C::MirrorCaughtUp, true, R::AsExpected, day().status()),
        (C::MirrorCaughtUp, true, R::PhaseMirrorsNothing, advancing()),
        (C::MirrorCaughtUp, false, R::Backlog, behind),
        (C::MirrorCaughtUp, false, R::DeadLetters, refused),
        (C::MirrorCaughtUp, false, R::DrainFailed, failed_drain()),
        (C::RetentionEnforced, false, R::LegalHold, on_hold(vec![])),
        (C::StrandsUnfenced, true, R::AsExpected, day().status()),
        (C::StrandsUnfenced, false, R::StillHeld, fenced(true)),
        (C::StrandsUnfenced, false, R::Fenced, fenced(false)),
        (C::StorageDurable, true, R::AsExpected, day().status()),
        (
            C::StorageDurable,
            false,
            R::ClaimPending,
            in_phase("Pending", Some(121)),
        ),
        (
            C::StorageDurable,
            false,
            R::EphemeralStorage,
            ephemeral.status(),
        ),
    ]
}

fn of_rollouts() -> Vec<Case> {
    let (pod, uid) = ("p".to_owned(), "u".to_owned());
    let next = Rollout::Next {
        pod: pod.clone(),
        uid: uid.clone(),
        left: 2,
    };
    let moving = Rollout::Moving { pod, uid, left: 1 };
    let suspended = Rollout::Suspended { left: 1 };
    vec![
        (C::WorkloadsSelected, true, R::AsExpected, selecting(&[])),
        (
            C::WorkloadsSelected,
            false,
            R::Conflict,
            selecting(&["Deployment web"]),
        ),
        (C::WorkloadsSelected, false, R::Overlap, overlapping()),
        (C::WorkloadsSelected, false, R::InvalidSelector, misspelt()),
        (
            C::LegacyProjectsRead,
            true,
            R::AsExpected,
            reading(Ok(vec!["a".to_owned()])),
        ),
        (
            C::LegacyProjectsRead,
            false,
            R::LegacyListMissing,
            reading(Err(Unread::Missing("lists".to_owned()))),
        ),
        (
            C::LegacyProjectsRead,
            false,
            R::LegacyListInvalid,
            reading(Err(empty_list())),
        ),
        (C::SidecarsUpToDate, true, R::AsExpected, day().status()),
        (C::SidecarsUpToDate, false, R::OldSettings, changed_secret()),
        (C::SidecarsUpToDate, false, R::RollingOut, rolling(next)),
        (C::SidecarsUpToDate, false, R::RollingOut, rolling(moving)),
        (
            C::SidecarsUpToDate,
            false,
            R::RolloutStopped,
            rolling(stopped()),
        ),
        (C::SidecarsUpToDate, false, R::Suspended, rolling(suspended)),
    ]
}

fn reported(change: impl FnOnce(&mut StrandStatus)) -> IntegrationStatus {
    let strands = vec![reporting(change)];
    Day { strands, ..day() }.status()
}

fn starting() -> IntegrationStatus {
    reported(|status| status.ready = false)
}

fn witnessed(head: HeadReference) -> IntegrationStatus {
    let strands = vec![strand(|strand| strand.spec.witnessed = Some(head))];
    Day { strands, ..day() }.status()
}

/// A legal hold of these strands.
pub(super) fn on_hold(strands: Vec<BoboykaStrand>) -> IntegrationStatus {
    let spec = json!({"retention": {"hold": true}});
    Day {
        spec,
        strands,
        ..day()
    }
    .status()
}

fn fenced(held: bool) -> IntegrationStatus {
    let fence = Fence {
        reason: "r".to_owned(),
        ..Fence::default()
    };
    let strands = vec![strand(|strand| {
        strand.spec.fenced = Some(fence);
        strand.spec.holder.take_if(|_| !held);
    })];
    Day { strands, ..day() }.status()
}

fn contradicting(kind: ContradictionKind) -> IntegrationStatus {
    let found = Contradiction {
        kind,
        origin: "o".to_owned(),
        size: 9,
        root: "r".to_owned(),
        message: "9 records were cosigned".to_owned(),
    };
    let strands = vec![strand(|strand| strand.spec.contradiction = Some(found))];
    Day { strands, ..day() }.status()
}

fn not_valid() -> IntegrationStatus {
    let none = IntegrationStatus::default();
    invalid(&integration(&json!({})), &none, "spec.phase: no", &now())
}

fn rolling(rollout: Rollout) -> IntegrationStatus {
    let applied = Applied::well(rollout);
    Day { applied, ..day() }.status()
}

fn stopped() -> Rollout {
    Rollout::Stopped {
        pod: "p".to_owned(),
        uid: "u".to_owned(),
        left: 1,
    }
}

fn failing() -> IntegrationStatus {
    let applied = Applied::badly(&["could not drain strand boboyka-0: no"], &[]);
    Day { applied, ..day() }.status()
}

fn changed_secret() -> IntegrationStatus {
    let admitted = |name: &str| Pod {
        strand: Some(name.into()),
        settings: Some("before".into()),
        workload: Some("Deployment/web".into()),
        ..Pod::default()
    };
    let day = Day {
        pods: vec![admitted("boboyka-0"), admitted("boboyka-1")],
        ..day()
    };
    day.status()
}

fn overlapping() -> IntegrationStatus {
    let day = Day {
        spec: json!({"workloadSelector": {"matchLabels": {"team": "a"}}}),
        applied: Applied::overlapping(&["Deployment web (by older)"]),
        ..day()
    };
    day.status()
}

fn misspelt() -> IntegrationStatus {
    let typo = json!({"matchExpressions": [{"key": "a", "operator": "Inn", "values": ["b"]}]});
    let day = Day {
        spec: json!({"workloadSelector": typo}),
        ..day()
    };
    day.status()
}

fn selecting(contested: &[&str]) -> IntegrationStatus {
    let day = Day {
        spec: json!({"workloadSelector": {"matchLabels": {"team": "a"}}}),
        applied: Applied::badly(&[], contested),
        ..day()
    };
    day.status()
}

/// A day after a good one, on which another phase is asked for.
fn asking(phase: &str, strand: BoboykaStrand) -> IntegrationStatus {
    let mut spec = mirrored();
    spec["phase"] = json!(phase);
    let day = Day {
        spec,
        strands: vec![strand],
        before: day().status(),
        ..day()
    };
    day.status()
}

fn waiting() -> IntegrationStatus {
    asking("MigrateInternals", reporting(|status| status.backlog = 4))
}

fn paused() -> IntegrationStatus {
    let mut spec = mirrored();
    spec["phase"] = json!("MigrateInternals");
    spec["migration"] = json!({"pause": true});
    let day = Day {
        spec,
        before: day().status(),
        ..day()
    };
    day.status()
}

fn advancing() -> IntegrationStatus {
    asking("CutOver", reporting(|_| {}))
}

/// A day on which this was read of a ConfigMap of legacy projects.
pub(super) fn reading(names: Result<Vec<String>, Unread>) -> IntegrationStatus {
    let from = json!({"configMapKeyRef": reference()});
    Day {
        spec: json!({"migration": {"legacyProjectsFrom": from}}),
        names: Some(names),
        ..day()
    }
    .status()
}

pub(super) fn reference() -> ConfigMapKeyReference {
    ConfigMapKeyReference {
        name: "lists".to_owned(),
        key: "names".to_owned(),
    }
}

fn empty_list() -> Unread {
    Unread::Wrong {
        from: reference(),
        wrong: WrongNames::None,
    }
}
