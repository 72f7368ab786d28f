//! The patch that makes the sidecar a pod's first init container. Pure: the strand was chosen before.
//!
//! The pod is patched as JSON, never read into a type and written back, so fields of a newer Kubernetes stay.

use boboyka_crds::names;
use json_patch::Patch;
use kube::ResourceExt;
use kube::api::DynamicObject;
use serde_json::{Value, json};

use crate::container::{self, USER};
use crate::integration::{Storage, Validated};
use crate::strands::held::Held;
use crate::strands::requester::Requester;
use crate::strands::slot;

/// Lists the local volumes that a pod may lose. Without it, the cluster-autoscaler removes no node with an `emptyDir`:
/// <https://github.com/kubernetes/autoscaler/blob/master/cluster-autoscaler/FAQ.md>.
const EVICTABLE_ANNOTATION: &str = "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes";

/// The patch that gives a pod its sidecar and the strand that it holds from now on.
pub(super) fn patch(
    pod: &DynamicObject,
    integration: &Validated,
    requester: &Requester,
    held: &Held,
) -> Patch {
    let mut patch = Vec::new();
    let mut add =
        |path: String, value: Value| patch.push(json!({"op": "add", "path": path, "value": value}));
    if pod.metadata.annotations.is_none() {
        add("/metadata/annotations".to_owned(), json!({}));
    }
    if matches!(integration.storage, Storage::Ephemeral { .. }) {
        let place = format!("/metadata/annotations/{}", escaped(EVICTABLE_ANNOTATION));
        add(place, json!(evictable(pod)));
    }
    let slot = requester.slot.as_ref().map(slot::text);
    let settings = integration.settings();
    for (name, value) in [
        (names::STRAND_ANNOTATION, Some(&held.strand)),
        (names::TOKEN_ANNOTATION, Some(&held.token)),
        (names::IMAGE_ANNOTATION, Some(&integration.image)),
        (names::SETTINGS_ANNOTATION, Some(&settings)),
        (names::SLOT_ANNOTATION, slot.as_ref()),
        (names::WORKLOAD_ANNOTATION, requester.workload.as_ref()),
    ] {
        if let Some(value) = value {
            add(
                format!("/metadata/annotations/{}", escaped(name)),
                json!(value),
            );
        }
    }
    let secrets = missing_pull_secrets(pod, integration);
    let mut lists = vec!["initContainers", "volumes"];
    if !secrets.is_empty() {
        lists.push("imagePullSecrets");
    }
    for list in lists {
        if pod
            .data
            .pointer(&format!("/spec/{list}"))
            .is_none_or(Value::is_null)
        {
            add(format!("/spec/{list}"), json!([]));
        }
    }
    add(
        "/spec/initContainers/0".to_owned(),
        container::sidecar(integration, &held.strand),
    );
    for volume in container::volumes_of_pod(integration, &held.strand) {
        add("/spec/volumes/-".to_owned(), volume);
    }
    for secret in secrets {
        add("/spec/imagePullSecrets/-".to_owned(), secret);
    }
    if matches!(integration.storage, Storage::Claim { .. }) && !integration.assigned_user {
        let context = pod.data.pointer("/spec/securityContext");
        if context.is_none_or(Value::is_null) {
            add("/spec/securityContext".to_owned(), json!({}));
        }
        // The volume belongs to root until the kubelet gives it to this group, which the sidecar is in.
        if context.and_then(|context| context.get("fsGroup")).is_none() {
            add("/spec/securityContext/fsGroup".to_owned(), json!(USER));
            if context
                .and_then(|context| context.get("fsGroupChangePolicy"))
                .is_none()
            {
                add(
                    "/spec/securityContext/fsGroupChangePolicy".to_owned(),
                    json!("OnRootMismatch"),
                );
            }
        }
    }
    serde_json::from_value(Value::Array(patch)).unwrap_or_default()
}

/// The Secrets for the sidecar's image that a pod does not name itself.
fn missing_pull_secrets(pod: &DynamicObject, integration: &Validated) -> Vec<Value> {
    let own = pod.data.pointer("/spec/imagePullSecrets");
    let own = own.and_then(Value::as_array);
    let mut secrets = container::pull_secrets(integration);
    secrets.retain(|secret| own.is_none_or(|own| !own.contains(secret)));
    secrets
}

/// The local volumes that a pod may lose, the strand among them.
fn evictable(pod: &DynamicObject) -> String {
    let listed = pod.annotations().get(EVICTABLE_ANNOTATION);
    match listed.filter(|list| !list.is_empty()) {
        Some(list) => format!("{list},{}", names::STRAND_VOLUME),
        None => names::STRAND_VOLUME.to_owned(),
    }
}

/// A key as JSON Pointer writes it.
fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::integration::tests::validated;

    fn pod(value: Value) -> DynamicObject {
        serde_json::from_value(value).unwrap()
    }

    fn injected(value: Value) -> Value {
        let spec = json!({"supabase": {"secretRef": {"name": "s"}}});
        injected_for(&validated(&spec), value)
    }

    fn injected_for(integration: &Validated, mut value: Value) -> Value {
        let held = Held {
            strand: "boboyka-0".to_owned(),
            token: "t-1".to_owned(),
        };
        let requester = Requester {
            slot: slot::read("StatefulSet/web/0"),
            workload: Some("StatefulSet/web".to_owned()),
            ..Requester::default()
        };
        let patch = patch(&pod(value.clone()), integration, &requester, &held);
        json_patch::patch(&mut value, &patch).unwrap();
        value
    }

    #[test]
    fn the_sidecar_comes_first_and_everything_else_stays() {
        let before = json!({
            "metadata": {"name": "p", "annotations": {"mine": "1"}},
            "spec": {
                "initContainers": [{"name": "setup", "image": "i", "fieldOfTomorrow": {"a": 1}}],
                "containers": [{"name": "app", "image": "a"}],
                "volumes": [{"name": "mine", "emptyDir": {}}],
                "securityContext": {"fsGroup": 7},
            },
        });
        let after = injected(before.clone());
        assert_eq!(
            after["spec"]["initContainers"][0]["name"],
            "boboyka-sidecar"
        );
        assert_eq!(
            after["spec"]["initContainers"][1],
            before["spec"]["initContainers"][0]
        );
        assert_eq!(after["spec"]["containers"], before["spec"]["containers"]);
        assert_eq!(after["spec"]["volumes"][0], before["spec"]["volumes"][0]);
        assert_eq!(after["spec"]["securityContext"], json!({"fsGroup": 7}));
        assert_eq!(after["metadata"]["annotations"]["mine"], "1");
        assert_eq!(
            after["metadata"]["annotations"]["boboyka.sapixdb.com/strand"],
            "boboyka-0"
        );
    }

    #[test]
    fn a_bare_pod_gets_all_that_is_missing() {
        let after = injected(json!({"metadata": {}, "spec": {"containers": [{"name": "app"}]}}));
        assert_eq!(after["spec"]["securityContext"]["fsGroup"], USER);
        assert_eq!(after["spec"]["volumes"].as_array().unwrap().len(), 3);
        let annotations = &after["metadata"]["annotations"];
        assert_eq!(annotations[names::SLOT_ANNOTATION], "StatefulSet/web/0");
        assert_eq!(annotations[names::WORKLOAD_ANNOTATION], "StatefulSet/web");
    }

    #[test]
    fn secrets_to_pull_the_image_come_after_those_of_the_pod() {
        let mut integration = validated(&json!({}));
        integration.pull_secrets = vec!["own".to_owned(), "registry".to_owned()];
        let value = json!({
            "metadata": {"name": "p"},
            "spec": {"containers": [{"name": "app", "image": "a"}], "imagePullSecrets": [{"name": "own"}]},
        });
        let after = injected_for(&integration, value);
        let expected = json!([{"name": "own"}, {"name": "registry"}]);
        assert_eq!(after["spec"]["imagePullSecrets"], expected);
    }

    #[test]
    fn an_ephemeral_strand_keeps_no_node_from_being_removed() {
        let spec = json!({"supabase": {"secretRef": {"name": "s"}}, "storage": {"ephemeral": {}}});
        let integration = validated(&spec);
        for (annotations, expected) in [
            (json!({}), "boboyka-strand"),
            (
                json!({EVICTABLE_ANNOTATION: "cache"}),
                "cache,boboyka-strand",
            ),
        ] {
            let value = json!({
                "metadata": {"name": "p", "annotations": annotations},
                "spec": {"containers": [{"name": "app", "image": "a"}]},
            });
            let after = injected_for(&integration, value);
            assert_eq!(
                after["metadata"]["annotations"][EVICTABLE_ANNOTATION],
                expected
            );
        }
    }
}
