//! Signing a fence: who set it and when stand in it, whatever the request says there. Pure.

use json_patch::Patch;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use serde_json::{Map, Value, json};

use crate::admission::decision::Decision;

/// Signs a fence that this change sets, or whose reason it changes. Who fences a strand that a pod holds is told so.
pub(super) fn sign(
    old: Option<&DynamicObject>,
    new: &DynamicObject,
    user: &str,
    now: &Time,
) -> Decision {
    let before = old.and_then(fence);
    let Some(fence) = fence(new).filter(|fence| Some(*fence) != before) else {
        return Decision::Sign {
            patch: Patch::default(),
            warnings: Vec::new(),
        };
    };
    // Who repeats a reason does not take the fence over.
    let same = before.filter(|before| before.get("reason") == fence.get("reason"));
    let same = same.filter(|before| before.contains_key("by"));
    let signed = same.cloned().unwrap_or_else(|| signed(fence, user, now));
    Decision::Sign {
        patch: patch(fence, &signed),
        warnings: still_held(new).into_iter().collect(),
    }
}

fn fence(strand: &DynamicObject) -> Option<&Map<String, Value>> {
    strand.data.pointer("/spec/fenced")?.as_object()
}

fn signed(fence: &Map<String, Value>, user: &str, now: &Time) -> Map<String, Value> {
    let mut signed = fence.clone();
    signed.extend([
        ("by".to_owned(), user.into()),
        ("at".to_owned(), now.0.to_string().into()),
    ]);
    signed
}

fn patch(fence: &Map<String, Value>, signed: &Map<String, Value>) -> Patch {
    let object = |fence: &Map<String, Value>| json!({"spec": {"fenced": fence}});
    json_patch::diff(&object(fence), &object(signed))
}

fn still_held(strand: &DynamicObject) -> Option<String> {
    let pod = strand.data.pointer("/spec/holder/podName")?.as_str()?;
    Some(format!(
        "strand {} is still held by pod {pod}, which keeps it until the pod is gone",
        strand.name_any()
    ))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::jiff::Timestamp;

    use super::*;

    fn strand(fenced: &Value) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "boboyka.sapixdb.com/v1alpha1", "kind": "BoboykaStrand", "metadata": {"name": "s"},
            "spec": {"holder": {"podName": "p"}, "fenced": fenced},
        }))
        .unwrap()
    }

    /// The fence after a change by alice, and what she is told.
    fn signed(old: &Value, new: &Value) -> (Value, Vec<String>) {
        let now = Time(Timestamp::from_second(1_800_000_000).unwrap());
        let (old, new) = (strand(old), strand(new));
        let Decision::Sign { patch, warnings } = sign(Some(&old), &new, "alice", &now) else {
            panic!("a fence is signed");
        };
        let mut after = serde_json::to_value(new).unwrap();
        json_patch::patch(&mut after, &patch).unwrap();
        (after["spec"]["fenced"].clone(), warnings)
    }

    #[test]
    fn a_fence_is_signed_by_who_sets_it_or_changes_its_reason_whatever_the_request_says() {
        let by = |who: &str, reason: &str| json!({"reason": reason, "by": who, "at": "2027-01-15T08:00:00Z"});
        let (fence, told) = signed(
            &Value::Null,
            &json!({"reason": "r", "by": "mallory", "at": "x"}),
        );
        assert_eq!(fence, by("alice", "r"));
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(
            told[0].contains("strand s is still held by pod p"),
            "{told:?}"
        );
        let (fence, _) = signed(&by("bob", "r"), &by("bob", "other"));
        assert_eq!(fence, by("alice", "other"));
        // The definition refuses one without a reason after this.
        let (nameless, _) = signed(&by("bob", "r"), &json!({}));
        assert_eq!(nameless["by"], "alice");
        // What does not change stays signed as it was; what nobody signed is signed.
        let again = json!({"reason": "r"});
        assert_eq!(signed(&by("bob", "r"), &again).0, by("bob", "r"));
        assert_eq!(signed(&again, &by("mallory", "r")).0, by("alice", "r"));
        assert_eq!(
            signed(&by("bob", "r"), &by("bob", "r")),
            (by("bob", "r"), Vec::new())
        );
        assert_eq!(
            signed(&by("bob", "r"), &Value::Null),
            (Value::Null, Vec::new())
        );
    }
}
