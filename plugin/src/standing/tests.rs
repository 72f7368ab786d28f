use boboyka_crds::Fence;
use serde_json::{Value, json};

use super::*;

const NOW: &str = "2026-01-01T12:00:00Z";

fn strand(holder: &Value, status: &Value) -> BoboykaStrand {
    serde_json::from_value(json!({
        "apiVersion": "boboyka.sapixdb.com/v1alpha1", "kind": "BoboykaStrand",
        "metadata": {"name": "boboyka-a1", "namespace": "agents"},
        "spec": {"integration": "boboyka", "holder": holder, "witnessed": {"seq": 5, "hash": "aa"}},
        "status": status,
    }))
    .unwrap()
}

fn holder() -> Value {
    json!({"token": "t", "podName": "agent-0", "podUid": "u", "since": "2026-01-01T11:00:00Z"})
}

fn status(change: &Value) -> Value {
    let mut status = json!({
        "podUid": "u", "reportedAt": "2026-01-01T11:59:50Z", "ready": true, "records": 7,
        "head": {"seq": 7, "hash": "bb"}, "chain": {"intact": true}, "lanes": [],
    });
    status
        .as_object_mut()
        .unwrap()
        .extend(change.as_object().unwrap().clone());
    status
}

fn told(holder: &Value, change: &Value) -> String {
    let strand = strand(holder, &status(change));
    let standing = standing(&strand, None, NOW.parse().unwrap());
    format!(
        "{:?} | {} | {}",
        standing.state, standing.why, standing.next
    )
}

fn lane(state: &str) -> Value {
    json!({"recordType": "audit_log", "state": state, "reason": "why", "mark": 1, "backlog": 2, "deadLetters": 0})
}

#[test]
fn each_state_says_why_and_what_to_do_next() {
    let held = holder();
    for (change, expected) in [
        (json!({}), "Ready |  | "),
        (
            json!({"chain": {"intact": false, "reason": "2 records are lost"}}),
            "Damaged | 2 records are lost | keep its volume as it is, copy the folder quarantine, check the disk: \
             kubectl get bbs boboyka-a1 -n agents -o yaml",
        ),
        (
            json!({"ready": false}),
            "NotReady | its sidecar accepts no records | kubectl logs agent-0 -n agents -c boboyka-sidecar --tail=20",
        ),
        (
            json!({"reportedAt": "2026-01-01T11:55:00Z"}),
            "Silent | its sidecar has not reported for 5m | kubectl boboyka why agent-0 -n agents",
        ),
        (
            json!({"podUid": "another"}),
            "Silent | the sidecar of its pod has never reported | kubectl boboyka why agent-0 -n agents",
        ),
        (
            json!({"lanes": [lane("auth_failed")], "backlog": 2}),
            "MirrorStopped | audit_log: why | correct the key in the Secret of spec.supabase.secretRef",
        ),
        (
            json!({"deadLetters": 1}),
            "DeadLetters | Supabase rejected 1 record | kubectl boboyka dead-letters -n agents",
        ),
        (
            json!({"lanes": [lane("open")], "backlog": 2, "lagMs": 3000}),
            "Behind | 2 records wait for Supabase, the oldest for 3s; audit_log: why | \
             nothing is lost; look whether Supabase answers",
        ),
        (
            json!({"backlog": 2, "lagMs": 3000, "lanes": [lane("mirroring")]}),
            "Ready |  | ",
        ),
    ] {
        assert_eq!(told(&held, &change), expected);
    }
}

#[test]
fn rows_that_differ_and_rows_of_others_are_told_by_lane_and_table() {
    let at = "2026-01-01T11:00:00Z";
    let mut differing = lane("mirroring");
    differing["parity"] =
        json!({"upTo": 7, "checkedAt": at, "missing": 2, "changed": 0, "extra": 1, "doubled": 0});
    assert_eq!(
        told(&holder(), &json!({"lanes": [differing.clone()]})),
        "Differs | its rows in Supabase differ; audit_log: 2 missing, 1 extra | \
         kubectl boboyka repair --strand boboyka-a1 -n agents"
    );
    differing["parity"] =
        json!({"upTo": 7, "checkedAt": at, "missing": 0, "changed": 0, "extra": 0, "doubled": 0});
    assert_eq!(
        told(&holder(), &json!({"lanes": [differing]})),
        "Ready |  | "
    );
    let foreign = json!({"since": at, "checkedAt": at, "tables": [{"table": "builds", "rows": 3, "sample": ["build_id=x"]}]});
    let written = told(&holder(), &json!({"foreignWrites": foreign}));
    assert!(
        written
            .starts_with("ForeignWrites | Supabase has rows that no strand wrote: 3 in builds |"),
        "{written}"
    );
    assert!(!written.contains("build_id"), "a key is a part of a record");
}

#[test]
fn a_strand_without_a_pod_is_free_or_drains() {
    assert_eq!(told(&Value::Null, &json!({})), "Free |  | ");
    assert!(
        told(&Value::Null, &json!({"backlog": 3}))
            .starts_with("Draining | no agent holds it; 3 records wait")
    );
}

#[test]
fn a_fenced_strand_says_who_fenced_it_why_and_who_still_holds_it() {
    let fenced = |holder: &Value, change: &Value| {
        let mut strand = strand(holder, &status(change));
        strand.spec.fenced = Some(Fence {
            reason: "the disk is suspect".to_owned(),
            by: Some("alice".to_owned()),
            at: None,
        });
        let standing = standing(&strand, None, NOW.parse().unwrap());
        assert_eq!(
            standing.next,
            "kubectl boboyka unfence boboyka-a1 -n agents"
        );
        format!("{:?} | {}", standing.state, standing.why)
    };
    let told = "Fenced | fenced by alice (the disk is suspect); ";
    for (holder, backlog, rest) in [
        (holder(), 0, "still held by pod agent-0"),
        (Value::Null, 0, "no pod gets it"),
        (Value::Null, 3, "no pod gets it, and 3 records wait"),
    ] {
        let change = json!({"backlog": backlog});
        assert_eq!(fenced(&holder, &change), format!("{told}{rest}"));
    }
}

#[test]
fn without_supabase_nothing_waits_and_without_its_secret_everything_does() {
    let of = |supabase: &Value| {
        let integration: BoboykaIntegration = serde_json::from_value(json!({
            "apiVersion": "boboyka.sapixdb.com/v1alpha1", "kind": "BoboykaIntegration",
            "metadata": {"name": "boboyka"}, "spec": {"supabase": supabase},
        }))
        .unwrap();
        let strand = strand(
            &holder(),
            &status(&json!({"backlog": 2, "lagMs": 90_000, "lanes": [lane("disabled")]})),
        );
        standing(&strand, Some(&integration), NOW.parse().unwrap())
    };
    let without = of(&Value::Null);
    assert_eq!((without.state, without.backlog), (State::Ready, 0));
    let unread = of(&json!({"secretRef": {"name": "s"}}));
    assert_eq!(unread.state, State::MirrorStopped);
    assert!(unread.next.contains("create the Secret"), "{unread:?}");
}

#[test]
fn a_pod_that_was_just_created_starts() {
    let new =
        json!({"token": "t", "podName": "agent-0", "podUid": "n", "since": "2026-01-01T11:59:30Z"});
    assert!(told(&new, &json!({})).starts_with("Starting | its pod starts since 30s"));
    let reserved = json!({"token": "t", "since": "2026-01-01T11:59:30Z"});
    assert!(told(&reserved, &json!({})).starts_with("Starting | it is reserved"));
}

#[test]
fn a_strand_that_contradicts_what_the_operator_recorded_is_damaged() {
    let forked = json!({"witnessed": {"seq": 5, "hash": "other"}});
    assert!(told(&holder(), &forked).starts_with("Damaged | it holds another record 5 than"));
    let back = json!({"head": {"seq": 4, "hash": "x"}});
    assert!(
        told(&holder(), &back)
            .starts_with("Damaged | it ends at record 4, and the operator recorded record 5")
    );
}
