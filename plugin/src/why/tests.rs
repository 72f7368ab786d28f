use boboyka_crds::BoboykaStrand;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::api::events::v1::Event;
use serde_json::{Value, json};

use super::*;

fn now() -> Timestamp {
    "2026-01-01T12:00:00Z".parse().unwrap()
}

fn merged(mut base: Value, change: &Value) -> Value {
    let base_map = base.as_object_mut().unwrap();
    for (key, value) in change.as_object().unwrap() {
        match base_map.get_mut(key) {
            Some(old) if old.is_object() && value.is_object() => *old = merged(old.clone(), value),
            _ => {
                base_map.insert(key.clone(), value.clone());
            }
        }
    }
    base
}

/// A pod of which all is well, with a change.
fn pod(change: &Value) -> Pod {
    let well = json!({
        "metadata": {"name": "agent-7d9f-x1", "namespace": "agents", "uid": "u",
            "labels": {names::INTEGRATION_LABEL: "boboyka"}, "annotations": {names::STRAND_ANNOTATION: "boboyka-a1"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "agent-7d9f", "uid": "r"}]},
        "spec": {"nodeName": "n1", "initContainers": [{"name": "boboyka-sidecar"}], "containers": [{"name": "app"}]},
        "status": {"initContainerStatuses": [
            {"name": "boboyka-sidecar", "ready": true, "restartCount": 0, "image": "sidecar:1", "imageID": ""}]},
    });
    serde_json::from_value(merged(well, change)).unwrap()
}

fn sidecar(state: &Value) -> Value {
    let base = json!({"name": "boboyka-sidecar", "ready": false, "restartCount": 3, "image": "sidecar:1", "imageID": ""});
    json!({"status": {"initContainerStatuses": [merged(base, state)]}})
}

fn strand(change: &Value) -> BoboykaStrand {
    let well = json!({
        "apiVersion": "boboyka.sapixdb.com/v1alpha1", "kind": "BoboykaStrand",
        "metadata": {"name": "boboyka-a1", "namespace": "agents"},
        "spec": {"integration": "boboyka", "claimName": "boboyka-strand-boboyka-a1", "claimUid": "c",
            "holder": {"token": "t", "podName": "agent-7d9f-x1", "podUid": "u"}},
        "status": {"podUid": "u", "reportedAt": "2026-01-01T11:59:55Z", "ready": true, "lanes": []},
    });
    serde_json::from_value(merged(well, change)).unwrap()
}

fn claim(phase: &str) -> PersistentVolumeClaim {
    serde_json::from_value(json!({
        "metadata": {"name": "boboyka-strand-boboyka-a1", "uid": "c"}, "status": {"phase": phase},
    }))
    .unwrap()
}

fn event(kind: &str, name: &str, reason: &str, note: &str) -> Event {
    serde_json::from_value(json!({
        "metadata": {"name": "e"}, "eventTime": null, "reason": reason, "note": note, "regarding": {"kind": kind, "name": name},
    }))
    .unwrap()
}

fn well() -> Case {
    Case {
        namespace: "agents".to_owned(),
        name: "agent-7d9f-x1".to_owned(),
        pod: Some(pod(&json!({}))),
        integration: Some(
            serde_json::from_value(json!({
                "apiVersion": "boboyka.sapixdb.com/v1alpha1", "kind": "BoboykaIntegration",
                "metadata": {"name": "boboyka", "namespace": "agents"}, "spec": {},
            }))
            .unwrap(),
        ),
        strand: Some(strand(&json!({}))),
        claim: Some(claim("Bound")),
        ..Case::default()
    }
}

#[track_caller]
fn assert_verdict(case: &Case, verdict: &str, next: &str) {
    let answer = answer(case, now());
    assert!(answer.verdict.contains(verdict), "{answer:#?}");
    let reason = answer
        .findings
        .iter()
        .find(|one| one.what == answer.verdict)
        .unwrap();
    assert!(reason.next.contains(next), "{answer:#?}");
}

#[test]
fn a_pod_of_which_all_is_well_says_so() {
    let answer = answer(&well(), now());
    assert!(!answer.is_wrong());
    let told: Vec<_> = answer
        .findings
        .iter()
        .map(|one| one.what.as_str())
        .collect();
    assert_eq!(
        told,
        [
            "it belongs to BoboykaIntegration boboyka",
            "it holds strand boboyka-a1",
            "its volume is bound (claim boboyka-strand-boboyka-a1)",
            "it is on node n1",
            "its sidecar runs and is ready",
            "its sidecar reports that it accepts records",
        ]
    );
    assert_eq!(answer.verdict, "nothing is wrong with it");
}

#[test]
fn a_pod_that_its_owner_can_not_create_is_told_by_the_owners_event() {
    let mut case = well();
    case.pod = None;
    let note = "admission webhook \"inject.boboyka.sapixdb.com\" denied the request: there is no BoboykaIntegration x";
    case.events = vec![event("ReplicaSet", "agent-7d9f", "FailedCreate", note)];
    for name in ["agent", "agent-7d9f", "agent-7d9f-x1"] {
        name.clone_into(&mut case.name);
        assert_verdict(
            &case,
            "ReplicaSet agent-7d9f can't create its pods: admission webhook",
            "do what the message says",
        );
    }
    case.events = vec![event(
        "ReplicaSet",
        "agent-7d9f",
        "FailedCreate",
        "failed calling webhook: refused",
    )];
    assert_verdict(&case, "failed calling webhook", "kubectl boboyka check");
    "another".clone_into(&mut case.name);
    assert_verdict(
        &case,
        "there is no pod another in namespace agents",
        "kubectl get pods -n agents",
    );
}

#[test]
fn a_pod_without_label_integration_or_sidecar_is_told_which() {
    let mut case = well();
    case.pod = Some(pod(&json!({"metadata": {"labels": null}})));
    assert_verdict(
        &case,
        "does not have the label",
        "the workload above ReplicaSet agent-7d9f",
    );
    let mut case = well();
    case.integration = None;
    assert_verdict(
        &case,
        "names BoboykaIntegration boboyka, which does not exist",
        "create it",
    );
    let mut case = well();
    case.pod = Some(pod(&json!({"spec": {"initContainers": null}})));
    assert_verdict(
        &case,
        "it has the label but no sidecar",
        "kubectl delete pod agent-7d9f-x1 -n agents",
    );
}

#[test]
fn a_strand_that_is_not_the_pods_is_told() {
    let mut case = well();
    case.strand = None;
    assert_verdict(
        &case,
        "its strand boboyka-a1 does not exist",
        "kubectl boboyka check",
    );
    case.strand = Some(strand(
        &json!({"spec": {"holder": {"podName": "agent-old", "podUid": "o"}}}),
    ));
    assert_verdict(
        &case,
        "still held by pod agent-old",
        "kubectl get pod agent-old -n agents",
    );
}

#[test]
fn a_claim_without_a_volume_is_told_with_the_reason_of_its_event() {
    let mut case = well();
    case.claim = Some(claim("Pending"));
    case.events = vec![event(
        "PersistentVolumeClaim",
        "boboyka-strand-boboyka-a1",
        "ProvisioningFailed",
        "no class fast",
    )];
    assert_verdict(
        &case,
        "has no volume yet: no class fast",
        "storageClassName",
    );
    case.claim = Some(claim("Lost"));
    assert_verdict(&case, "the volume of claim", "backup");
    case.claim = None;
    assert_verdict(&case, "does not exist", "restore");
    let mut case = well();
    case.strand = Some(strand(&json!({"spec": {"claimUid": "first"}})));
    assert_verdict(
        &case,
        "another one than the strand was written on",
        "restore the first claim",
    );
}

#[test]
fn a_pod_without_a_node_is_told_with_the_words_of_the_scheduler() {
    let unscheduled = |message| {
        pod(
            &json!({"spec": {"nodeName": null}, "status": {"conditions": [
            {"type": "PodScheduled", "status": "False", "message": message}]}}),
        )
    };
    let mut case = well();
    case.pod = Some(unscheduled(
        "0/2 nodes: 2 node(s) had volume node affinity conflict.",
    ));
    assert_verdict(&case, "no node takes it: 0/2 nodes", "node-local volume");
    case.pod = Some(unscheduled("0/2 nodes: Insufficient cpu"));
    assert_verdict(
        &case,
        "Insufficient cpu",
        "kubectl describe pod agent-7d9f-x1 -n agents",
    );
}

#[test]
fn a_sidecar_that_does_not_run_is_told_with_its_end() {
    let mut case = well();
    case.pod = Some(pod(&sidecar(
        &json!({"state": {"waiting": {"reason": "ImagePullBackOff"}}}),
    )));
    assert_verdict(&case, "ImagePullBackOff", "can't get the image sidecar:1");
    case.pod = Some(pod(&sidecar(
        &json!({"state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"exitCode": 1, "reason": "Error"}}}),
    )));
    assert_verdict(
        &case,
        "ended 3 times, the last time with code 1 (Error)",
        "--previous",
    );
    case.pod = Some(pod(&sidecar(&json!({"state": {"running": {}}}))));
    assert_verdict(
        &case,
        "runs but is not ready",
        "kubectl logs agent-7d9f-x1 -n agents -c boboyka-sidecar",
    );
    case.pod = Some(pod(&sidecar(
        &json!({"ready": true, "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}),
    )));
    assert_verdict(&case, "OOMKilled", "memory limit");
}

#[test]
fn what_the_user_may_not_read_is_no_fault_of_the_pod() {
    let mut case = well();
    case.claim = None;
    case.strand = None;
    case.unread = vec![
        "you may not get persistentvolumeclaims".to_owned(),
        "you may not get boboykastrands.boboyka.sapixdb.com".to_owned(),
    ];
    assert!(!answer(&case, now()).is_wrong());
}
