//! The history: made when a backfill asks for it, filled by a Job, given to no pod, and left when nobody asks any more.

use super::*;

fn asking(backfill: &serde_json::Value) -> serde_json::Value {
    json!({"supabase": {"secretRef": {"name": "s"}}, "migration": {"backfill": backfill}})
}

/// A look at an integration that has a history.
fn with(change: impl FnOnce(&mut BoboykaStrand)) -> Seen {
    let mut history = strand(|_| {});
    history.metadata.name = Some("boboyka-history".to_owned());
    history.spec.claim_name = Some(names::claim_of("boboyka-history"));
    change(&mut history);
    let mut claim = claim();
    claim.meta.name = history.spec.claim_name.clone();
    claim.strand = Some("boboyka-history".into());
    Seen {
        history: Some(Arc::new(history)),
        claims: vec![Arc::new(claim)],
        ..Seen::default()
    }
}

fn imported(names: &[&str]) -> StrandStatus {
    let table = |name| {
        let own = std::collections::BTreeMap::new();
        json!({"table": boboyka_crds::table_of(name, &own), "rows": 3, "done": true})
    };
    let tables: serde_json::Map<_, _> = names
        .iter()
        .map(|name| ((*name).to_owned(), table(name)))
        .collect();
    serde_json::from_value(json!({"reportedAt": at(900), "backfill": {"tables": tables}})).unwrap()
}

fn job(spec: &serde_json::Value) -> Job {
    let settings = objects::job::settings(&validated(spec), Work::Backfill);
    serde_json::from_value(json!({"metadata": {
        "name": objects::job::name(Work::Backfill, "boboyka-history"),
        "labels": {names::JOB_LABEL: "boboyka-history"}, "annotations": {names::JOB_SETTINGS_ANNOTATION: settings},
    }}))
    .unwrap()
}

#[test]
fn a_backfill_makes_the_history_once() {
    let made = |seen: &Seen, spec: &serde_json::Value| {
        let made = planned(seen, spec).make.into_iter();
        made.filter_map(|strand| strand.metadata.name)
            .collect::<Vec<_>>()
    };
    let spec = asking(&json!({}));
    assert_eq!(made(&Seen::default(), &spec), ["boboyka-history"]);
    assert_eq!(made(&with(|_| {}), &spec), [] as [&str; 0]);
    let mut suspended = spec.clone();
    suspended["suspend"] = json!(true);
    for without in [
        json!({"supabase": {"secretRef": {"name": "s"}}}),
        json!({"migration": {"backfill": {}}}),
        suspended,
    ] {
        assert_eq!(
            made(&Seen::default(), &without),
            [] as [&str; 0],
            "{without}"
        );
    }
    // Its resource was deleted and its claim stayed: nobody has to ask.
    let mut lost = with(|_| {});
    lost.history = None;
    for spec in [spec, json!({})] {
        assert_eq!(made(&lost, &spec), ["boboyka-history"], "{spec}");
    }
}

#[test]
fn a_job_fills_the_history_until_it_has_what_is_asked_for() {
    let started = |seen: &Seen, backfill: &serde_json::Value| {
        let started = planned(seen, &asking(backfill)).start.into_iter();
        started
            .filter_map(|it| it.metadata.name.clone())
            .collect::<Vec<_>>()
    };
    let all = json!({});
    assert_eq!(started(&with(|_| {}), &all), ["boboyka-history"]);
    let partly = || with(|it| it.status = Some(imported(&["audit_log"])));
    assert_eq!(started(&partly(), &all), ["boboyka-history"]);
    assert_eq!(
        started(&partly(), &json!({"tables": ["audit_log"]})),
        [] as [&str; 0]
    );
    let mut renamed = asking(&json!({"tables": ["audit_log"]}));
    renamed["supabase"]["mirror"] = json!({"tables": {"audit_log": {"table": "audits"}}});
    assert_eq!(planned(&partly(), &renamed).start.len(), 1, "{renamed}");
    let held = with(|it| it.spec.holder = Some(held(None, 1)));
    let fenced = with(|it| it.spec.fenced = Some(Fence::default()));
    let replaced = with(|it| it.spec.claim_uid = Some("c-0".to_owned()));
    let mut filling = with(|_| {});
    filling.jobs = vec![Arc::new(job(&asking(&all)))];
    for busy in [held, fenced, replaced, filling] {
        assert_eq!(started(&busy, &all), [] as [&str; 0], "{busy:?}");
    }
    let nobody_asks = planned(
        &with(|_| {}),
        &json!({"supabase": {"secretRef": {"name": "s"}}}),
    );
    assert!(nobody_asks.start.is_empty());
}

#[test]
fn its_job_ends_when_nobody_asks_or_something_else_is_asked_and_the_strand_stays() {
    let spec = asking(&json!({}));
    let mut filling = with(|it| it.spec.holder = Some(held(None, 61)));
    filling.jobs = vec![Arc::new(job(&spec))];
    let ending = |spec: &serde_json::Value| {
        let plan = planned(&filling, spec);
        assert!(plan.make.is_empty() && plan.own_claims.is_empty());
        plan.end.first().map(|(_, _, why)| *why)
    };
    assert_eq!(ending(&spec), None);
    assert_eq!(
        planned(&filling, &spec).change.len(),
        0,
        "it is reserved for its Job"
    );
    assert_eq!(
        ending(&asking(&json!({"tables": ["audit_log"]}))),
        Some(Ending::Changed)
    );
    assert_eq!(
        ending(&json!({"supabase": {"secretRef": {"name": "s"}}})),
        Some(Ending::Unasked)
    );
    // A drain asks for nothing of a backfill.
    let mut draining = seen(strand(|_| {}), vec![]);
    let settings = objects::job::settings(&validated(&spec), Work::Drain);
    let drain = json!({"metadata": {"name": "j", "labels": {names::JOB_LABEL: "boboyka-0"},
        "annotations": {names::JOB_SETTINGS_ANNOTATION: settings}}});
    draining.jobs = vec![Arc::new(serde_json::from_value(drain).unwrap())];
    let other = asking(&json!({"tables": ["audit_log"]}));
    assert!(planned(&draining, &other).end.is_empty());
}

#[test]
fn the_history_has_a_holder_and_a_claim_as_other_strands_have_and_counts_nothing() {
    let change = |seen: &Seen| {
        let changes = planned(seen, &asking(&json!({}))).change.into_iter();
        changes.map(|(_, change)| change).collect::<Vec<_>>()
    };
    let pod = || Pod {
        strand: Some("boboyka-history".into()),
        of_job: true,
        ..pod("t")
    };
    let mut coming = with(|it| it.spec.holder = Some(held(None, 1)));
    coming.pods = vec![Arc::new(pod())];
    assert!(matches!(&change(&coming)[..], [StrandChange::Bind { .. }]));
    let mut filled = with(|it| {
        it.spec.holder = Some(held(Some("u"), 900));
        it.status = Some(imported(&[]));
    });
    assert!(matches!(
        &change(&filled)[..],
        [StrandChange::Release { next: None, .. }]
    ));
    filled.pods = vec![Arc::new(pod())];
    assert_eq!(
        change(&filled),
        [],
        "it is not the one that counts foreign writes"
    );
    let new = with(|it| it.spec.claim_uid = None);
    assert_eq!(change(&new), [StrandChange::Claim("c-1".to_owned())]);
}
