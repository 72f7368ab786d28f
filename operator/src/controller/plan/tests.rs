//! What follows from what is there: each change for its reason, and none without one.

use std::sync::Arc;
use std::time::Instant;

use boboyka_crds::{BoboykaStrandSpec, Fence, HeadReference, Holder, StrandStatus, names};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::jiff::Timestamp;
use serde_json::json;

use super::*;
use crate::caches::{Claim, Pod};
use crate::clock::Moment;
use crate::controller::memory::Memory;
use crate::controller::seen::Seen;
use crate::controller::workload::WorkloadKind;
use crate::integration::tests::validated;
use crate::objects;
use crate::objects::job::Work;

mod backfill;

const GRACE: Duration = Duration::from_mins(1);

fn at(seconds_ago: i64) -> Time {
    Time(Timestamp::from_second(1_800_000_000 - seconds_ago).unwrap())
}

fn now() -> Moment {
    Moment {
        time: at(0),
        instant: Instant::now(),
    }
}

fn strand(change: impl FnOnce(&mut BoboykaStrand)) -> BoboykaStrand {
    let spec = BoboykaStrandSpec {
        integration: "boboyka".to_owned(),
        claim_name: Some(names::claim_of("boboyka-0")),
        claim_uid: Some("c-1".to_owned()),
        ..BoboykaStrandSpec::default()
    };
    let mut strand = BoboykaStrand::new("boboyka-0", spec);
    strand.metadata.uid = Some("s-1".to_owned());
    strand.metadata.creation_timestamp = Some(at(3600));
    change(&mut strand);
    strand
}

fn held(uid: Option<&str>, since_seconds: i64) -> Holder {
    Holder {
        token: "t".to_owned(),
        since: Some(at(since_seconds)),
        pod_name: uid.map(|_| "p".to_owned()),
        pod_uid: uid.map(str::to_owned),
    }
}

fn pod(token: &str) -> Pod {
    Pod {
        name: "p".to_owned(),
        uid: "u".to_owned(),
        strand: Some("boboyka-0".into()),
        token: Some(token.to_owned()),
        ..Pod::default()
    }
}

fn claim() -> Claim {
    let meta = ObjectMeta {
        name: Some(names::claim_of("boboyka-0")),
        uid: Some("c-1".to_owned()),
        annotations: Some(
            [(
                names::SLOT_ANNOTATION.to_owned(),
                "StatefulSet/web/0".to_owned(),
            )]
            .into(),
        ),
        creation_timestamp: Some(at(3600)),
        ..ObjectMeta::default()
    };
    Claim {
        strand: Some("boboyka-0".into()),
        meta,
        ..Claim::default()
    }
}

fn seen(strand: BoboykaStrand, pods: Vec<Pod>) -> Seen {
    Seen {
        strands: vec![Arc::new(strand)],
        claims: vec![Arc::new(claim())],
        pods: pods.into_iter().map(Arc::new).collect(),
        ..Seen::default()
    }
}

fn plan_with(seen: &Seen, spec: &serde_json::Value, memory: &Memory, now: &Moment) -> Plan {
    plan(&Situation::new(&validated(spec), seen, memory, GRACE, now))
}

fn planned(seen: &Seen, spec: &serde_json::Value) -> Plan {
    plan_with(seen, spec, &Memory::default(), &now())
}

fn changes(seen: &Seen) -> Vec<StrandChange> {
    let spec = json!({"supabase": {"secretRef": {"name": "s"}}});
    planned(seen, &spec)
        .change
        .into_iter()
        .map(|(_, change)| change)
        .collect()
}

#[test]
fn a_pod_that_comes_is_bound_and_one_that_is_gone_is_released() {
    let chosen = strand(|strand| strand.spec.holder = Some(held(None, 1)));
    assert!(
        matches!(&changes(&seen(chosen.clone(), vec![pod("t")]))[..], [StrandChange::Bind { pod_uid, .. }] if pod_uid == "u")
    );
    assert_eq!(changes(&seen(chosen, vec![])), [], "it may still come");
    let bound = strand(|strand| strand.spec.holder = Some(held(Some("u"), 900)));
    assert_eq!(changes(&seen(bound.clone(), vec![pod("t")])), []);
    assert!(
        matches!(&changes(&seen(bound, vec![]))[..], [StrandChange::Release { pod_uid, next: None, .. }] if pod_uid == "u")
    );
}

#[test]
fn the_next_pod_of_an_ordinal_holds_its_strand_once_the_last_is_gone() {
    let bound = strand(|strand| strand.spec.holder = Some(held(Some("before"), 900)));
    let before = Pod {
        uid: "before".to_owned(),
        terminating: true,
        ..pod("t0")
    };
    let both = seen(bound.clone(), vec![before, pod("t")]);
    assert_eq!(changes(&both), [], "the last pod may still write");
    let found = changes(&seen(bound, vec![pod("t")]));
    assert!(
        matches!(&found[..], [StrandChange::Release { pod_uid, next: Some(next), .. }]
            if pod_uid == "before" && next.pod_uid.as_deref() == Some("u")),
        "{found:?}"
    );
}

#[test]
fn a_strand_that_a_pod_holds_is_not_given_to_another_that_copied_its_token() {
    let bound = strand(|strand| strand.spec.holder = Some(held(Some("u"), 900)));
    let thief = Pod {
        name: "thief".to_owned(),
        uid: "v".to_owned(),
        ..pod("t")
    };
    assert_eq!(changes(&seen(bound, vec![pod("t"), thief])), []);
}

#[test]
fn a_new_strand_is_made_for_the_pod_that_was_admitted_with_it_and_not_before() {
    let admitted = Pod {
        slot: Some("StatefulSet/web/0".into()),
        workload: Some("StatefulSet/web".into()),
        ..pod("t")
    };
    let with = |pods: Vec<Pod>| Seen {
        pods: pods.into_iter().map(Arc::new).collect(),
        ..Seen::default()
    };
    assert!(planned(&with(vec![]), &json!({})).make.is_empty());
    let made = planned(&with(vec![admitted.clone()]), &json!({})).make;
    let spec = &made[0].spec;
    assert_eq!(made[0].metadata.name.as_deref(), Some("boboyka-0"));
    assert_eq!(spec.claim_name, Some(names::claim_of("boboyka-0")));
    assert_eq!(spec.slot.as_ref().unwrap().key, "0");
    assert_eq!(spec.workload.as_deref(), Some("StatefulSet/web"));
    assert_eq!(spec.holder.as_ref().unwrap().pod_uid.as_deref(), Some("u"));
    let going = Pod {
        terminating: true,
        ..admitted
    };
    assert!(planned(&with(vec![going]), &json!({})).make.is_empty());
}

#[test]
fn a_choice_whose_pod_never_came_is_taken_back_but_not_one_of_a_job_that_runs() {
    let late = strand(|strand| strand.spec.holder = Some(held(None, 61)));
    assert!(
        matches!(&changes(&seen(late.clone(), vec![]))[..], [StrandChange::TakeBack { token }] if token == "t")
    );
    let mut draining = seen(late, vec![]);
    let job: Job = serde_json::from_value(
        json!({"metadata": {"name": "j", "labels": {names::JOB_LABEL: "boboyka-0"}}}),
    )
    .unwrap();
    draining.jobs = vec![Arc::new(job)];
    assert_eq!(changes(&draining), []);
}

#[test]
fn a_pod_whose_reservation_was_written_by_an_older_version_still_gets_its_strand() {
    // It compared the token itself.
    let reserved = strand(|strand| strand.spec.holder = Some(held(None, 61)));
    let found = changes(&seen(reserved, vec![pod("another hash")]));
    assert!(
        matches!(&found[..], [StrandChange::Adopt(holder)] if holder.pod_uid.as_deref() == Some("u")),
        "{found:?}"
    );
}

#[test]
fn a_strand_made_anew_is_adopted_by_the_pod_that_carries_it() {
    let found = changes(&seen(strand(|_| {}), vec![pod("t")]));
    assert!(
        matches!(&found[..], [StrandChange::Adopt(holder)] if holder.pod_uid.as_deref() == Some("u") && holder.token == "t")
    );
    let mut nothing = seen(strand(|_| {}), vec![pod("t")]);
    nothing.strands.clear();
    let made = planned(&nothing, &json!({})).make;
    assert_eq!(made[0].spec.slot.as_ref().unwrap().key, "0");
    assert_eq!(
        made[0].spec.holder.as_ref().unwrap().pod_name.as_deref(),
        Some("p")
    );
}

#[test]
fn an_abandoned_backlog_is_drained_once_it_is_old_enough() {
    let behind = |seconds_ago| {
        strand(|strand| {
            strand.status = Some(StrandStatus {
                backlog: 3,
                reported_at: Some(at(seconds_ago)),
                ..StrandStatus::default()
            });
        })
    };
    let mirrored = json!({"supabase": {"secretRef": {"name": "s"}}});
    let drained = |seconds_ago, spec: &serde_json::Value| {
        planned(&seen(behind(seconds_ago), vec![]), spec)
            .start
            .len()
    };
    assert_eq!(drained(31, &mirrored), 1);
    assert_eq!(drained(5, &mirrored), 0, "its next pod may be on its way");
    assert_eq!(drained(31, &json!({})), 0, "there is nowhere to drain to");
    let suspended = json!({"supabase": {"secretRef": {"name": "s"}}, "suspend": true});
    assert_eq!(drained(31, &suspended), 0);
    let unreported = strand(|strand| {
        strand.status = Some(StrandStatus {
            observed_generation: Some(1),
            ..StrandStatus::default()
        });
    });
    let planned_for = planned(&seen(unreported, vec![]), &mirrored);
    assert_eq!(planned_for.start.len(), 1, "nobody knows its backlog");
    let mut draining = seen(behind(31), vec![]);
    let name = objects::job::name(Work::Drain, "boboyka-0");
    let job: Job = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
    draining.jobs = vec![Arc::new(job)];
    assert!(
        planned(&draining, &mirrored).start.is_empty(),
        "a Job is there"
    );
}

#[test]
fn a_fenced_strand_is_not_drained_and_no_longer_owned_and_a_pod_that_has_it_keeps_it() {
    let fence = |strand: &mut BoboykaStrand| strand.spec.fenced = Some(Fence::default());
    let spec = json!({"supabase": {"secretRef": {"name": "s"}}, "storage": {"reclaim": "Delete"}});
    let settings = objects::job::settings(&validated(&spec), Work::Drain);
    let free = |strand| {
        let mut free = seen(strand, vec![]);
        let job = json!({"metadata": {"name": "j", "labels": {names::JOB_LABEL: "boboyka-0"},
            "annotations": {names::JOB_SETTINGS_ANNOTATION: settings}}});
        free.jobs = vec![Arc::new(serde_json::from_value(job).unwrap())];
        planned(&free, &spec)
    };
    let open = free(strand(|_| {}));
    assert!(open.end.is_empty() && open.own_claims[0].1.is_some());
    let fenced = free(strand(fence));
    assert!(fenced.start.is_empty() && fenced.own_claims.is_empty());
    assert!(matches!(fenced.end[..], [(_, _, Ending::Fenced)]));
    assert!(fenced.change.is_empty(), "{:?}", fenced.change);
    assert!(
        planned(&seen(strand(fence), vec![]), &spec)
            .start
            .is_empty()
    );
    let owned = validated(&spec).owner_of_strands().map(|owner| vec![owner]);
    let owned = strand(|strand| {
        fence(strand);
        strand.metadata.owner_references = owned;
    });
    let plan = planned(&seen(owned, vec![]), &spec);
    assert!(matches!(plan.change[..], [(_, StrandChange::Own(None))]));
    let held = strand(|strand| {
        fence(strand);
        strand.spec.holder = Some(held(Some("u"), 900));
    });
    assert_eq!(changes(&seen(held, vec![pod("t")])), []);
}

#[test]
fn what_waits_for_a_fence_is_woken_once_it_is_lifted() {
    let look = |memory: &mut Memory, strand| {
        let seen = seen(strand, vec![]);
        memory.note(&seen, &now());
        plan_with(&seen, &json!({}), memory, &now()).unfenced.len()
    };
    let fence = |strand: &mut BoboykaStrand| strand.spec.fenced = Some(Fence::default());
    let mut memory = Memory::default();
    assert_eq!(look(&mut memory, strand(|_| {})), 0);
    assert_eq!(look(&mut memory, strand(fence)), 0);
    assert_eq!(look(&mut memory, strand(|_| {})), 1);
    memory.fenced.clear();
    assert_eq!(look(&mut memory, strand(|_| {})), 0);
}

#[test]
fn a_job_ends_when_a_pod_wants_its_strand_when_what_it_mounts_changed_and_some_time_after_its_end()
{
    let spec = json!({"supabase": {"secretRef": {"name": "s"}}});
    let settings = objects::job::settings(&validated(&spec), Work::Drain);
    let job = |settings: &str, condition: Option<(&str, i64)>| -> Job {
        let conditions: Vec<_> = condition
            .map(|(kind, ago)| json!({"type": kind, "status": "True", "lastTransitionTime": at(ago)}))
            .into_iter()
            .collect();
        serde_json::from_value(json!({
            "metadata": {"name": "j", "labels": {names::JOB_LABEL: "boboyka-0"},
                "annotations": {names::JOB_SETTINGS_ANNOTATION: settings}},
            "status": {"conditions": conditions},
        }))
        .unwrap()
    };
    let draining = Pod {
        of_job: true,
        ..pod("t")
    };
    let ending = |job: Job, pods: Vec<Pod>, failures: u32| {
        let mut seen = seen(strand(|_| {}), pods);
        seen.jobs = vec![Arc::new(job)];
        let memory = Memory {
            job_failures: [("boboyka-0".to_owned(), failures)].into(),
            ..Memory::default()
        };
        let plan = plan_with(&seen, &spec, &memory, &now());
        plan.end.first().map(|(_, _, why)| *why)
    };
    let running = || job(&settings, None);
    assert_eq!(ending(running(), vec![draining.clone()], 0), None);
    assert_eq!(
        ending(running(), vec![draining, pod("t")], 0),
        Some(Ending::Wanted)
    );
    assert_eq!(
        ending(job("others", None), vec![], 0),
        Some(Ending::Changed)
    );
    for (kind, ago, failures, why) in [
        ("Complete", 59, 0, None),
        ("Complete", 61, 0, Some(Ending::Done)),
        ("Failed", 59, 0, None),
        ("Failed", 61, 0, Some(Ending::Failed)),
        ("Failed", 61, 1, None),
        ("Failed", 121, 1, Some(Ending::Failed)),
        ("Failed", 3599, 30, None),
        ("Failed", 3601, 30, Some(Ending::Failed)),
    ] {
        let ended = ending(job(&settings, Some((kind, ago))), vec![], failures);
        assert_eq!(ended, why, "{kind} {ago} s ago after {failures} failures");
    }
}

#[test]
fn a_strand_that_never_reported_is_drained_too_because_nobody_knows_what_it_has() {
    let mirrored = json!({"supabase": {"secretRef": {"name": "s"}}});
    let silent = |change: fn(&mut BoboykaStrand)| seen(strand(change), vec![]);
    assert_eq!(planned(&silent(|_| {}), &mirrored).start.len(), 1);
    let young = silent(|strand| strand.metadata.creation_timestamp = Some(at(5)));
    assert!(planned(&young, &mirrored).start.is_empty());
    let replaced = silent(|strand| strand.spec.claim_uid = Some("c-0".to_owned()));
    assert!(
        planned(&replaced, &mirrored).start.is_empty(),
        "not its claim"
    );
}

#[test]
fn a_claim_is_recorded_and_another_one_only_when_its_pod_shows_the_records() {
    let recorded = |change: fn(&mut BoboykaStrand)| {
        let held = strand(|strand| {
            strand.spec.holder = Some(held(Some("u"), 900));
            change(strand);
        });
        changes(&seen(held, vec![pod("t")]))
    };
    let claim = [StrandChange::Claim("c-1".to_owned())];
    assert_eq!(recorded(|_| {}), []);
    assert_eq!(recorded(|strand| strand.spec.claim_uid = None), claim);
    let showing = |strand: &mut BoboykaStrand, hash: &str| {
        strand.spec.claim_uid = Some("c-0".to_owned());
        strand.spec.witnessed = Some(HeadReference {
            seq: 3,
            hash: "aa".to_owned(),
        });
        strand.status = Some(StrandStatus {
            reported_at: Some(at(0)),
            pod_uid: Some("u".to_owned()),
            head: Some(HeadReference {
                seq: 3,
                hash: hash.to_owned(),
            }),
            ..StrandStatus::default()
        });
    };
    let shown = strand(|strand| {
        strand.spec.holder = Some(held(Some("u"), 900));
        showing(strand, "aa");
    });
    assert_eq!(changes(&seen(shown.clone(), vec![pod("t")])), claim);
    let mut before = shown.clone();
    before.spec.holder = Some(held(Some("u"), 4000));
    assert_eq!(
        changes(&seen(before, vec![pod("t")])),
        [],
        "its pod is older than the claim, so it reports of the volume before"
    );
    let mut empty = shown;
    showing(&mut empty, "bb");
    assert_eq!(changes(&seen(empty, vec![pod("t")])), []);
}

#[test]
fn an_ephemeral_strand_goes_with_its_pod() {
    let ephemeral = strand(|strand| strand.spec.claim_name = None);
    assert_eq!(changes(&seen(ephemeral, vec![])), [StrandChange::Delete]);
}

#[test]
fn owners_follow_what_is_asked_for() {
    let delete = json!({"storage": {"reclaim": "Delete"}});
    let taken = planned(&seen(strand(|_| {}), vec![]), &delete);
    assert!(
        matches!(&taken.change[..], [(_, StrandChange::Own(Some(owner)))] if owner.uid == "u-1")
    );
    assert!(taken.own_claims[0].1.is_some());
    let retained = planned(&seen(strand(|_| {}), vec![]), &json!({}));
    assert!(retained.change.is_empty() && retained.own_claims.is_empty());
}

#[test]
fn a_claim_that_is_missing_is_made_but_not_while_admission_makes_it() {
    let mut missing = seen(strand(|_| {}), vec![]);
    missing.claims.clear();
    assert!(
        planned(&missing, &json!({})).claim.is_empty(),
        "a claim that was there is not replaced by an empty one"
    );
    missing.strands = vec![Arc::new(strand(|strand| strand.spec.claim_uid = None))];
    assert_eq!(planned(&missing, &json!({})).claim.len(), 1);
    missing.strands = vec![Arc::new(strand(|strand| {
        strand.spec.claim_uid = None;
        strand.metadata.creation_timestamp = Some(at(1));
    }))];
    assert!(planned(&missing, &json!({})).claim.is_empty());
}

#[test]
fn a_head_that_went_back_is_kept_for_those_who_lead_later() {
    let head = |seq, hash: &str| HeadReference {
        seq,
        hash: hash.to_owned(),
    };
    let back = strand(|strand| {
        strand.spec.holder = Some(held(Some("u"), 900));
        strand.status = Some(StrandStatus {
            reported_at: Some(at(0)),
            head: Some(head(3, "aa")),
            ..StrandStatus::default()
        });
    });
    let seen = seen(back, vec![pod("t")]);
    let memory = Memory {
        heads: [("s-1".to_owned(), head(9, "bb"))].into(),
        ..Memory::default()
    };
    let plan = plan_with(&seen, &json!({}), &memory, &now());
    assert_eq!(plan.change[0].1, StrandChange::Witness(head(9, "bb")));
}

#[test]
fn workloads_are_labelled_by_the_selector_and_set_free_without_it() {
    let workload = |name: &str, team: &str, by: Option<&str>| Workload {
        kind: WorkloadKind::Deployment,
        name: name.to_owned(),
        uid: name.to_owned(),
        generation: 1,
        labels: [("team".to_owned(), team.to_owned())].into(),
        selected_by: by.map(str::to_owned),
    };
    let seen = Seen {
        workloads: vec![
            workload("new", "a", None),
            workload("other", "b", None),
            workload("former", "b", Some("boboyka")),
            workload("elsewhere", "b", Some("another")),
        ],
        ..Seen::default()
    };
    let selecting = json!({"workloadSelector": {"matchLabels": {"team": "a"}}});
    let plan = planned(&seen, &selecting);
    let names = |list: &[Workload]| list.iter().map(|one| one.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&plan.select), ["new"]);
    assert_eq!(names(&plan.deselect), ["former"]);
    let typo =
        json!({"workloadSelector": {"matchExpressions": [{"key": "team", "operator": "Inn"}]}});
    let plan = planned(&seen, &typo);
    assert!(
        plan.select.is_empty() && plan.deselect.is_empty(),
        "a typo changes nothing"
    );
    // An older integration selects the same workloads, also one that was ours.
    let mut shared = seen;
    let older: k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector =
        serde_json::from_value(json!({"matchLabels": {"team": "a"}})).unwrap();
    shared.rivals = vec![("older".to_owned(), older.try_into().unwrap())];
    shared
        .workloads
        .push(workload("taken", "a", Some("boboyka")));
    let plan = planned(&shared, &selecting);
    assert!(plan.select.is_empty());
    assert_eq!(names(&plan.deselect), ["former"]);
    assert_eq!(
        plan.overlaps,
        ["Deployment new (by older)", "Deployment taken (by older)"]
    );
}

#[test]
fn a_head_is_stored_once_it_is_due() {
    let reporting = strand(|strand| {
        strand.spec.holder = Some(held(Some("u"), 900));
        strand.status = Some(StrandStatus {
            reported_at: Some(at(0)),
            head: Some(HeadReference {
                seq: 3,
                hash: "aa".to_owned(),
            }),
            ..StrandStatus::default()
        });
    });
    let seen = seen(reporting, vec![pod("t")]);
    let now = now();
    for (due, stored) in [(now.instant, 1), (now.instant + GRACE, 0)] {
        let memory = Memory {
            store_due: [("s-1".to_owned(), due)].into(),
            ..Memory::default()
        };
        let plan = plan_with(&seen, &json!({}), &memory, &now);
        assert_eq!(plan.change.len(), stored);
    }
}

#[test]
fn the_role_binding_is_applied_for_a_new_generation_and_now_and_then() {
    let now = now();
    let later = Moment {
        time: at(0),
        instant: now.instant + BINDING_KEPT + Duration::from_secs(1),
    };
    // The integration is of generation 3.
    for (bound, when, binds) in [
        (None, &now, true),
        (Some((now.instant, 3)), &now, false),
        (Some((now.instant, 2)), &now, true),
        (Some((now.instant, 3)), &later, true),
    ] {
        let memory = Memory {
            bound,
            ..Memory::default()
        };
        let plan = plan_with(&Seen::default(), &json!({}), &memory, when);
        assert_eq!(plan.bind_role, binds);
    }
}

#[test]
fn a_bound_claim_that_requests_less_than_the_size_is_resized() {
    let asked = json!({"storage": {"size": "2Gi"}});
    for (phase, gibibytes, resized) in [
        ("Bound", 1, true),
        ("Bound", 2, false),
        ("Bound", 3, false),
        ("Pending", 1, false),
        ("Lost", 1, false),
    ] {
        let mut claim = claim();
        claim.phase = Some(phase.into());
        claim.requested = Some(gibibytes << 30);
        let mut seen = seen(strand(|_| {}), vec![]);
        seen.claims = vec![Arc::new(claim)];
        let plan = planned(&seen, &asked);
        assert_eq!(!plan.resize.is_empty(), resized, "{phase} {gibibytes}Gi");
    }
}

#[test]
fn one_strand_that_a_pod_holds_counts_foreign_writes_and_the_next_when_its_pod_is_gone() {
    let named = |name: &str, counts: bool| {
        let mut strand = strand(|strand| {
            strand.spec.holder = Some(held(Some(name), 900));
            strand.spec.claim_name = None;
            strand.spec.claim_uid = None;
            strand.spec.counts_foreign_writes = counts;
            strand.status = Some(StrandStatus {
                reported_at: Some(at(1)),
                ..StrandStatus::default()
            });
        });
        strand.metadata.name = Some(name.to_owned());
        Arc::new(strand)
    };
    let pod = |name: &str| {
        Arc::new(Pod {
            uid: name.to_owned(),
            strand: Some(name.into()),
            ..pod(name)
        })
    };
    let counting = |strands: Vec<Arc<BoboykaStrand>>, pods: &[&str], spec: &serde_json::Value| {
        let seen = Seen {
            strands,
            pods: pods.iter().map(|name| pod(name)).collect(),
            ..Seen::default()
        };
        let changes = planned(&seen, spec).change.into_iter();
        let counts = changes.filter_map(|(strand, change)| {
            let StrandChange::CountForeign(counts) = change else {
                return None;
            };
            Some((strand.metadata.name.clone()?, counts))
        });
        counts.collect::<Vec<_>>()
    };
    let spec = json!({"supabase": {"secretRef": {"name": "s"}}});
    let (a, b) = ("a", "b");
    let new = || vec![named(a, false), named(b, false)];
    assert_eq!(counting(new(), &[a, b], &spec), [(a.to_owned(), true)]);
    assert_eq!(
        counting(new(), &[a, b], &json!({})),
        [],
        "there is nothing to count"
    );
    let chosen = || vec![named(a, false), named(b, true)];
    assert_eq!(counting(chosen(), &[a, b], &spec), [], "it stays");
    assert_eq!(counting(chosen(), &[a], &spec), [(a.to_owned(), true)]);
    let both = vec![named(a, true), named(b, true)];
    assert_eq!(counting(both, &[a, b], &spec), [(b.to_owned(), false)]);
}
