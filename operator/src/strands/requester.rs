//! A pod that needs a strand, as its admission shows it. Pure.

use boboyka_crds::Slot;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use serde_json::Value;

use super::placement::Placement;
use super::refusal::Refusal;

/// The StatefulSet controller writes a pod's ordinal here.
const POD_INDEX_LABEL: &str = "apps.kubernetes.io/pod-index";
/// The Deployment controller writes the hash of its template here.
const TEMPLATE_HASH_LABEL: &str = "pod-template-hash";
/// All controllers, where they share one account.
const ALL_CONTROLLERS: &str = "system:kube-controller-manager";

/// A pod that needs a strand.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Requester {
    /// The ordinal or node whose strands it may have; `None`: any strand that is for no slot.
    pub(crate) slot: Option<Slot>,
    /// Its workload as `KIND/NAME`; `None` for a pod without a controller.
    pub(crate) workload: Option<String>,
    /// Where it may run.
    pub(crate) placement: Placement,
}

impl Requester {
    /// Reads a pod at its admission; `user` creates it.
    ///
    /// # Errors
    /// [`Refusal::NotItsController`]: the pod would take a slot, and its controller does not create it.
    pub(crate) fn of(pod: &DynamicObject, user: &str) -> Result<Self, Refusal> {
        let placement = Placement::of(&pod.data);
        let mut owners = pod.metadata.owner_references.iter().flatten();
        let Some(owner) = owners.find(|owner| owner.controller == Some(true)) else {
            return Ok(Self {
                placement,
                ..Self::default()
            });
        };
        let mut requester = Self {
            slot: None,
            workload: Some(workload_of(pod, owner)),
            placement,
        };
        let Some(controller) = controller_of(owner) else {
            return Ok(requester);
        };
        if ![controller, ALL_CONTROLLERS].contains(&user) {
            return Err(Refusal::NotItsController {
                owner: format!("{} {}", owner.kind, owner.name),
                user: user.to_owned(),
            });
        }
        requester.slot = slot_of(pod, owner);
        Ok(requester)
    }

    /// Whether exactly one strand will do: a StatefulSet's pod needs the strand of its ordinal.
    pub(crate) fn ordinal(&self) -> Option<&Slot> {
        self.slot.as_ref().filter(|slot| slot.kind == "StatefulSet")
    }
}

/// The account of the controller whose pods have slots.
fn controller_of(owner: &OwnerReference) -> Option<&'static str> {
    match (owner.api_version.as_str(), owner.kind.as_str()) {
        ("apps/v1", "StatefulSet") => {
            Some("system:serviceaccount:kube-system:statefulset-controller")
        }
        ("apps/v1", "DaemonSet") => Some("system:serviceaccount:kube-system:daemon-set-controller"),
        _ => None,
    }
}

/// A Deployment owns its pods through replica sets, whose names end with the hash of a template.
fn workload_of(pod: &DynamicObject, owner: &OwnerReference) -> String {
    let hash = pod.labels().get(TEMPLATE_HASH_LABEL);
    let deployment = hash.and_then(|hash| owner.name.strip_suffix(hash)?.strip_suffix('-'));
    match deployment {
        Some(deployment) if owner.kind == "ReplicaSet" => format!("Deployment/{deployment}"),
        _ => format!("{}/{}", owner.kind, owner.name),
    }
}

fn slot_of(pod: &DynamicObject, owner: &OwnerReference) -> Option<Slot> {
    let key = match owner.kind.as_str() {
        "StatefulSet" => ordinal(pod),
        "DaemonSet" => node_of_daemon(&pod.data),
        _ => None,
    };
    Some(Slot {
        kind: owner.kind.clone(),
        name: owner.name.clone(),
        key: key?,
    })
}

fn ordinal(pod: &DynamicObject) -> Option<String> {
    let label = pod.labels().get(POD_INDEX_LABEL).cloned();
    label.or_else(|| {
        let (_, ordinal) = pod.metadata.name.as_deref()?.rsplit_once('-')?;
        ordinal.parse::<u32>().ok().map(|number| number.to_string())
    })
}

/// A DaemonSet's pod names its node in its affinity: it is not scheduled yet.
fn node_of_daemon(pod: &Value) -> Option<String> {
    let terms = pod.pointer(
        "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms",
    )?;
    let fields = terms
        .as_array()?
        .iter()
        .filter_map(|term| term.get("matchFields"));
    let mut fields = fields.filter_map(Value::as_array).flatten();
    let field = fields.find(|field| field.get("key") == Some(&"metadata.name".into()))?;
    Some(field.pointer("/values/0")?.as_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const STATEFUL: &str = "system:serviceaccount:kube-system:statefulset-controller";
    const DAEMON: &str = "system:serviceaccount:kube-system:daemon-set-controller";

    fn owner(kind: &str) -> Value {
        json!([{"apiVersion": "apps/v1", "kind": kind, "name": "web", "uid": "u", "controller": true}])
    }

    fn slot_of(value: &Value, user: &str) -> Result<Option<String>, Refusal> {
        let pod: DynamicObject = serde_json::from_value(value.clone()).unwrap();
        let requester = Requester::of(&pod, user)?;
        Ok(requester
            .slot
            .map(|slot| format!("{}/{}", slot.kind, slot.key)))
    }

    #[test]
    fn slots_are_read_from_pods_as_their_controllers_make_them() {
        let set = json!({"metadata": {"name": "web-3", "ownerReferences": owner("StatefulSet")}});
        let daemon = json!({
            "metadata": {"generateName": "web-", "ownerReferences": owner("DaemonSet")},
            "spec": {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n2"]}]}],
            }}}},
        });
        let other =
            json!({"metadata": {"generateName": "web-", "ownerReferences": owner("ReplicaSet")}});
        for (pod, user, slot) in [
            (&set, STATEFUL, Some("StatefulSet/3")),
            (&set, ALL_CONTROLLERS, Some("StatefulSet/3")),
            (&daemon, DAEMON, Some("DaemonSet/n2")),
            (&other, "anybody", None),
            (&json!({"metadata": {"name": "alone"}}), "anybody", None),
        ] {
            assert_eq!(slot_of(pod, user).unwrap().as_deref(), slot);
        }
    }

    #[test]
    fn nobody_but_its_controller_makes_a_pod_for_a_slot() {
        for kind in ["StatefulSet", "DaemonSet"] {
            let pod = json!({"metadata": {"name": "web-0", "ownerReferences": owner(kind)}});
            for user in [
                "mallory",
                "system:serviceaccount:agents:statefulset-controller",
            ] {
                let refused = slot_of(&pod, user).unwrap_err().to_string();
                assert!(
                    refused.contains(&format!("{kind} web")) && refused.contains(user),
                    "{refused}"
                );
            }
        }
        let mut foreign =
            json!({"metadata": {"name": "web-0", "ownerReferences": owner("StatefulSet")}});
        foreign["metadata"]["ownerReferences"][0]["apiVersion"] = json!("apps.example.com/v1");
        assert_eq!(slot_of(&foreign, "mallory").unwrap(), None);
    }

    #[test]
    fn a_deployment_is_named_and_not_its_replica_set() {
        let pod = |hash: &str| -> DynamicObject {
            serde_json::from_value(json!({"metadata": {
                "generateName": "web-abc-", "labels": {"pod-template-hash": hash},
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-abc", "uid": "u", "controller": true}],
            }}))
            .unwrap()
        };
        let workload = |hash: &str| Requester::of(&pod(hash), "anybody").unwrap().workload;
        assert_eq!(workload("abc").as_deref(), Some("Deployment/web"));
        assert_eq!(workload("xyz").as_deref(), Some("ReplicaSet/web-abc"));
    }
}
