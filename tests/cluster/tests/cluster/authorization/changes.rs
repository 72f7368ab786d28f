//! What may be changed of a pod that has its sidecar.

use boboyka_cluster::wait_for;
use boboyka_crds::names;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::pods::{injected, mount};
use super::{Caller, LIMIT, OPERATOR, assert_refused, tenancy};
use crate::shared::run;

async fn patch(api: &Api<Pod>, change: &Value) -> kube::Result<Pod> {
    let parameters = PatchParams {
        dry_run: true,
        ..PatchParams::default()
    };
    api.patch("agent", &parameters, &Patch::Strategic(change))
        .await
}

fn label(key: &str, value: impl Into<Value>) -> Value {
    let value = value.into();
    json!({"metadata": {"labels": {key: value}}})
}

fn annotation(key: &str, value: impl Into<Value>) -> Value {
    let value = value.into();
    json!({"metadata": {"annotations": {key: value}}})
}

fn image(list: &str, name: &str) -> Value {
    json!({"spec": {list: [{"name": name, "image": "localhost/boboyka-sidecar:2"}]}})
}

#[test]
fn what_ties_a_pod_to_its_strand_stays_as_its_admission_left_it() {
    run(async {
        let namespace = tenancy().await;
        namespace.create::<Pod>(injected()).await.unwrap();
        let tenant = Caller::person("tenant").api::<Pod>(&namespace).await;
        let (integration, kept, operators) = (
            names::INTEGRATION_LABEL,
            "can't change after its creation",
            "only the operator may change annotations",
        );
        for (change, why) in [
            (label(integration, "other"), kept),
            (label(integration, Value::Null), kept),
            (label(names::JOB_LABEL, "s"), kept),
            (annotation(names::STRAND_ANNOTATION, "boboyka-1"), operators),
            (annotation(names::TOKEN_ANNOTATION, Value::Null), operators),
            (
                image("initContainers", names::CONTAINER),
                "only the operator may change the container boboyka-sidecar",
            ),
        ] {
            assert_refused(&change.to_string(), patch(&tenant, &change).await, why);
        }
        for change in [
            label("team", "x"),
            annotation("note", "x"),
            image("containers", "app"),
        ] {
            patch(&tenant, &change).await.unwrap();
        }
        let bare = json!({"metadata": {"name": "bare"}, "spec": {"containers": [{"name": "a", "image": "a"}]}});
        namespace.create::<Pod>(bare).await.unwrap();
        let late = Patch::Merge(label(integration, "boboyka"));
        let answer = tenant.patch("bare", &PatchParams::default(), &late).await;
        assert_refused(
            "a label put on later",
            answer,
            "change the pod template instead",
        );
    });
}

#[test]
fn the_operator_changes_its_own_part_of_a_pod_only() {
    run(async {
        let namespace = tenancy().await;
        namespace.create::<Pod>(injected()).await.unwrap();
        let operator = Caller::account(OPERATOR).api::<Pod>(&namespace).await;
        for change in [
            image("initContainers", names::CONTAINER),
            annotation(names::UPDATING_ANNOTATION, "2026-01-01T00:00:00Z"),
            annotation(names::IMAGE_ANNOTATION, "other:2"),
        ] {
            patch(&operator, &change).await.unwrap();
        }
        let others =
            json!({"spec": {"initContainers": [{"name": names::CONTAINER, "image": "other:2"}]}});
        let owner = json!({"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "x"}]}});
        for (change, why) in [
            (others, "only an image of the chart's values"),
            (owner, "no owner reference and no finalizer of a pod"),
            (
                image("containers", "app"),
                "no container except boboyka-sidecar",
            ),
            (
                image("initContainers", "setup"),
                "no container except boboyka-sidecar",
            ),
            (label("app", "other"), "no label of a pod"),
            (
                label(names::INTEGRATION_LABEL, "other"),
                "can't change after its creation",
            ),
            (
                annotation("note", "x"),
                "only annotations that begin with boboyka.sapixdb.com/",
            ),
        ] {
            assert_refused(&change.to_string(), patch(&operator, &change).await, why);
        }
    });
}

#[test]
fn a_container_for_debugging_reaches_no_strand() {
    run(async {
        let namespace = tenancy().await;
        namespace.create::<Pod>(injected()).await.unwrap();
        let role = json!({"metadata": {"name": "debugger"}, "rules": [{"apiGroups": [""],
            "resources": ["pods", "pods/ephemeralcontainers"], "verbs": ["get", "patch"]}]});
        namespace.create::<Role>(role).await.unwrap();
        let bound = json!({"metadata": {"name": "debugger"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "debugger"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "tenant"}]});
        namespace.create::<RoleBinding>(bound).await.unwrap();
        let attempt = async |caller: Caller, container: Value| {
            let api = caller.api::<Pod>(&namespace).await;
            let change = json!({"spec": {"ephemeralContainers": [container]}});
            let parameters = PatchParams {
                dry_run: true,
                ..PatchParams::default()
            };
            api.patch_subresource(
                "ephemeralcontainers",
                "agent",
                &parameters,
                &Patch::Strategic(&change),
            )
            .await
        };
        let (tenant, admin) = (Caller::person("tenant"), Caller::administrator());
        let plain = json!({"name": "debug", "image": "debug", "targetContainerName": "app"});
        wait_for("the role to be the tenant's", LIMIT, || async {
            Ok(attempt(tenant.clone(), plain.clone()).await.is_ok())
        })
        .await
        .unwrap();
        let mounts = json!({"name": "debug", "image": "debug", "volumeMounts": mount()});
        for caller in [&tenant, &admin] {
            let answer = attempt(caller.clone(), mounts.clone()).await;
            assert_refused(
                "the strand's volume",
                answer,
                "only the sidecar may mount the volume of a strand",
            );
        }
        let beside =
            json!({"name": "debug", "image": "debug", "targetContainerName": "boboyka-sidecar"});
        let answer = attempt(tenant, beside.clone()).await;
        assert_refused("the sidecar's processes", answer, "verb administer");
        attempt(admin, beside).await.unwrap();
    });
}
