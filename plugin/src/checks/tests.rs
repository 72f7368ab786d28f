use serde_json::{Value, json};

use super::*;
use crate::manifest;
use crate::refusal::{Asked, Refusal};

fn from<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn asked(resource: &str) -> Asked {
    Asked {
        verb: "list",
        resource: resource.to_owned(),
        namespace: String::new(),
        name: String::new(),
    }
}

fn established() -> Vec<Value> {
    let definitions = manifest::of_kind("CustomResourceDefinition").into_iter();
    let established = definitions.map(|mut one| {
        one["status"] = json!({"conditions": [{"type": "Established", "status": "True"}]});
        one
    });
    established.collect()
}

/// A cluster of which all is well.
fn well() -> Seen {
    let all = |kind| {
        manifest::of_kind(kind)
            .iter()
            .map(|one| manifest::name(one).to_owned())
            .collect()
    };
    let sidecar = json!({"metadata": {"name": "a"}, "spec": {"initContainers": [{"name": "boboyka-sidecar"}], "containers": []}});
    Seen {
        server: "https://cluster".to_owned(),
        version: Ok((1, 33)),
        nodes: Ok(vec![from(
            json!({"metadata": {"labels": {"kubernetes.io/os": "linux", "kubernetes.io/arch": "arm64"}}}),
        )]),
        classes: Ok(vec![from(
            json!({"metadata": {"name": "fast", "annotations":
            {"storageclass.kubernetes.io/is-default-class": "true"}}, "provisioner": "p", "allowVolumeExpansion": true}),
        )]),
        rights: [
            "customresourcedefinitions",
            "clusterroles",
            "clusterrolebindings",
            "mutatingwebhookconfigurations",
            "validatingadmissionpolicies",
            "deployments",
        ]
        .map(|name| (name.to_owned(), Ok(true)))
        .to_vec(),
        definitions: Ok(established()),
        home: "boboyka-system".to_owned(),
        deployment: Ok(from(
            json!({"metadata": {"labels": {"app.kubernetes.io/version": env!("CARGO_PKG_VERSION")}},
            "spec": {"replicas": 2, "selector": {}, "template": {}}, "status": {"readyReplicas": 2}}),
        )),
        lease: Ok(from(
            json!({"spec": {"holderIdentity": "o-1", "renewTime": "2026-01-01T11:59:55.000000Z"}}),
        )),
        webhook: Ok(from(
            json!({"webhooks": [{"name": "w", "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "failurePolicy": "Fail", "clientConfig": {"caBundle": "YQ==",
            "service": {"name": "boboyka-operator", "namespace": "boboyka-system", "path": "/x"}}}]}),
        )),
        slices: Ok(vec![from(
            json!({"addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": true}}]}),
        )]),
        policies: Ok(all("ValidatingAdmissionPolicy")),
        bindings: Ok(all("ValidatingAdmissionPolicyBinding")),
        sidecar_role: Ok(()),
        trial: Trial {
            namespace: "agents".to_owned(),
            has_integration: true,
            pod: Ok(from(sidecar.clone())),
        },
        integrations: Ok(vec![from(json!({
            "apiVersion": "boboyka.sapixdb.com/v1alpha1", "kind": "BoboykaIntegration",
            "metadata": {"name": "boboyka", "namespace": "agents"}, "spec": {}, "status": {"conditions": [
                {"type": "Ready", "status": "True", "reason": "AsExpected", "message": "", "lastTransitionTime": "2026-01-01T11:00:00Z"},
                {"type": "SidecarsUpToDate", "status": "True", "reason": "AsExpected", "message": "", "lastTransitionTime": "2026-01-01T11:00:00Z"},
            ]},
        }))]),
        strands: Ok(vec![from(
            json!({"apiVersion": "boboyka.sapixdb.com/v1alpha1", "kind": "BoboykaStrand",
            "metadata": {"name": "boboyka-a1", "namespace": "agents"}, "spec": {"integration": "boboyka"}}),
        )]),
        pods: Ok(vec![from(sidecar)]),
        now: "2026-01-01T12:00:00Z".parse().unwrap(),
    }
}

#[track_caller]
fn assert_check(
    seen: &Seen,
    before: bool,
    name: &str,
    outcome: Outcome,
    message: &str,
    mend: &str,
) {
    let checks = run(seen, before);
    let check = checks.iter().find(|check| check.name == name).unwrap();
    assert_eq!(check.outcome, outcome, "{check:#?}");
    assert!(
        check.message.contains(message) && check.mend.contains(mend),
        "{check:#?}"
    );
}

#[test]
fn a_cluster_of_which_all_is_well_passes_every_check() {
    for (before, least) in [(true, 12), (false, 20)] {
        let checks = run(&well(), before);
        assert!(checks.len() >= least, "{}", checks.len());
        assert_eq!(count(&checks, Outcome::Passed), checks.len(), "{checks:#?}");
        assert!(checks.iter().all(|check| check.mend.is_empty()));
    }
}

#[test]
fn every_check_that_fails_says_how_to_mend_it() {
    let missing = |resource| Refusal::Missing(asked(resource));
    let mut seen = well();
    seen.version = Ok((1, 32));
    seen.nodes = Ok(Vec::new());
    seen.classes = Ok(Vec::new());
    for (_, right) in &mut seen.rights {
        *right = Ok(false);
    }
    seen.definitions = Err(missing("customresourcedefinitions"));
    seen.deployment = Err(missing("deployments"));
    seen.lease = Err(missing("leases"));
    seen.webhook = Err(missing("mutatingwebhookconfigurations"));
    seen.slices = Ok(Vec::new());
    seen.policies = Ok(Vec::new());
    seen.sidecar_role = Err(missing("clusterroles"));
    seen.trial.pod = Err(Refusal::Refused {
        asked: asked("pods"),
        why: "failed calling webhook".to_owned(),
    });
    seen.pods = Ok(vec![from(
        json!({"metadata": {"name": "bare"}, "spec": {"containers": []}}),
    )]);
    for before in [true, false] {
        for check in run(&seen, before) {
            let is_told = !check.mend.is_empty() && !check.message.is_empty();
            assert_eq!(check.outcome == Outcome::Failed, is_told, "{check:#?}");
        }
    }
    let failed = |before| count(&run(&seen, before), Outcome::Failed);
    assert_eq!((failed(true), failed(false)), (9, 14));
}

#[test]
fn a_right_that_the_user_lacks_skips_a_check_and_is_named() {
    let mut seen = well();
    seen.nodes = Err(Refusal::Right(asked("nodes")));
    assert_check(
        &seen,
        false,
        "nodes",
        Outcome::Skipped,
        "you may not list nodes",
        "",
    );
    assert_eq!(count(&run(&seen, false), Outcome::Failed), 0);
}

#[test]
fn the_trial_tells_a_webhook_that_refuses_from_one_that_does_not_answer() {
    let mut seen = well();
    let refused = |why: &str| {
        Err(Refusal::Refused {
            asked: asked("pods"),
            why: why.to_owned(),
        })
    };
    seen.trial.pod = refused("failed calling webhook: connection refused");
    assert_check(
        &seen,
        false,
        "webhook-answers",
        Outcome::Failed,
        "connection refused",
        "port 8443",
    );
    seen.trial.pod = refused("there is no BoboykaIntegration boboyka-check in namespace agents");
    assert_check(
        &seen,
        false,
        "webhook-answers",
        Outcome::Failed,
        "would be refused",
        "do what the message says",
    );
    seen.trial.has_integration = false;
    assert_check(
        &seen,
        false,
        "webhook-answers",
        Outcome::Passed,
        "the webhook answers",
        "",
    );
    seen.trial.pod = Ok(from(json!({"metadata": {}, "spec": {"containers": []}})));
    assert_check(
        &seen,
        false,
        "webhook-answers",
        Outcome::Failed,
        "would start without a sidecar",
        "",
    );
}

#[test]
fn a_policy_without_its_binding_is_named() {
    let mut seen = well();
    seen.bindings
        .as_mut()
        .unwrap()
        .retain(|name| name != "boboyka-strands");
    assert_check(
        &seen,
        false,
        "policies",
        Outcome::Failed,
        "ValidatingAdmissionPolicyBinding boboyka-strands",
        "install",
    );
}

#[test]
fn a_lease_that_nobody_renews_and_definitions_of_another_version_are_told() {
    let mut seen = well();
    seen.lease = Ok(from(
        json!({"spec": {"holderIdentity": "o-1", "renewTime": "2026-01-01T11:50:00.000000Z"}}),
    ));
    assert_check(
        &seen,
        false,
        "leader",
        Outcome::Failed,
        "o-1 has not renewed the Lease for 10m",
        "kubectl logs",
    );
    seen.definitions.as_mut().unwrap()[0]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["description"] =
        json!("old");
    assert_check(
        &seen,
        false,
        "definitions-current",
        Outcome::Warned,
        "another version",
        "upgrade the chart",
    );
}

#[test]
fn the_checks_are_written_one_below_the_other_with_their_sum() {
    let mut seen = well();
    seen.classes = Ok(Vec::new());
    let written = text(&run(&seen, true), Some(80));
    let written = anstream::adapter::strip_str(&written).to_string();
    assert!(
        written.starts_with("passed   api-server: https://cluster answers\n"),
        "{written}"
    );
    let expected = "failed   storage-class: there is no storage class\n         mend: install a storage driver";
    assert!(written.contains(expected), "{written}");
    assert!(
        written.ends_with("\n10 passed, 0 warned, 1 failed, 1 skipped\n"),
        "{written}"
    );
    assert!(
        written.lines().all(|line| line.chars().count() <= 80),
        "{written}"
    );
}
