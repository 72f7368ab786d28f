//! Signing a change of an integration: who made it stands in an annotation, whatever the request says there. The end of a
//! migration is announced in warnings, also in a dry run. `fence` signs the fence of a strand. Pure.

mod fence;

use std::collections::BTreeMap;

use boboyka_crds::{names, notice};
use json_patch::Patch;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use kube::core::admission::AdmissionRequest;
use serde_json::{Value, json};

use super::decision::Decision;
use crate::signature;

/// Whether a review is about an integration or a strand, not a pod.
pub(super) fn is_ours(request: &AdmissionRequest<DynamicObject>) -> bool {
    request.resource.group == names::GROUP
}

/// Signs the change, which is made now.
pub(super) fn sign(request: &AdmissionRequest<DynamicObject>, now: &Time) -> Decision {
    let Some(new) = &request.object else {
        return Decision::Skip("the request has no object".to_owned());
    };
    let old = request.old_object.as_ref();
    let user = request.user_info.username.as_deref().unwrap_or_default();
    if request.resource.resource == names::STRANDS {
        return fence::sign(old, new, user, now);
    }
    Decision::Sign {
        patch: patch(new, wanted(old, new, user)),
        warnings: warnings(old, new),
    }
}

/// What the annotation is to say: who made this change or, if it is none of the specification, what it said before.
fn wanted(old: Option<&DynamicObject>, new: &DynamicObject, user: &str) -> Option<String> {
    let Some(old) = old else {
        return Some(signature::value(1, user));
    };
    if old.data.get("spec") == new.data.get("spec") {
        return old.annotations().get(names::CHANGED_BY_ANNOTATION).cloned();
    }
    let generation = old.metadata.generation.unwrap_or_default() + 1;
    Some(signature::value(generation, user))
}

fn patch(new: &DynamicObject, wanted: Option<String>) -> Patch {
    let before = &new.metadata.annotations;
    let mut after = before.clone().unwrap_or_default();
    after.remove(names::CHANGED_BY_ANNOTATION);
    after.extend(wanted.map(|value| (names::CHANGED_BY_ANNOTATION.to_owned(), value)));
    let after = before
        .as_ref()
        .map_or_else(|| (!after.is_empty()).then_some(&after), |_| Some(&after));
    let object = |annotations: Option<&BTreeMap<String, String>>| match annotations {
        None => json!({"metadata": {}}),
        Some(annotations) => json!({"metadata": {"annotations": annotations}}),
    };
    json_patch::diff(&object(before.as_ref()), &object(after))
}

/// What becomes irreversible, if this change asks for the end of the migration; each a line of kubectl.
fn warnings(old: Option<&DynamicObject>, new: &DynamicObject) -> Vec<String> {
    let ends = |object: &DynamicObject| {
        let finalized = object.data.pointer("/spec/migration/finalized");
        finalized == Some(&Value::Bool(true))
    };
    if !ends(new) || old.is_some_and(ends) {
        return Vec::new();
    }
    let said = |pointer| old.and_then(|old| old.data.pointer(pointer)?.as_i64());
    let notice = notice(said("/status/unmirrored"), said("/status/unmirroredBytes"));
    let lines = notice.split("; ");
    lines
        .map(|line| format!("spec.migration.finalized: {line}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(spec: &Value, annotation: Option<&str>) -> DynamicObject {
        let annotations = annotation.map(|text| json!({names::CHANGED_BY_ANNOTATION: text}));
        serde_json::from_value(json!({
            "apiVersion": "boboyka.sapixdb.com/v1alpha1", "kind": "BoboykaIntegration",
            "metadata": {"name": "b", "generation": 4, "annotations": annotations},
            "spec": spec, "status": {"unmirrored": 7, "unmirroredBytes": 4096},
        }))
        .unwrap()
    }

    /// What the annotation is after admission, of a change by alice.
    fn signed(old: Option<&DynamicObject>, new: &DynamicObject) -> Option<String> {
        let patch = patch(new, wanted(old, new, "alice"));
        let mut after = serde_json::to_value(new).unwrap();
        json_patch::patch(&mut after, &patch).unwrap();
        let annotation = &after["metadata"]["annotations"][names::CHANGED_BY_ANNOTATION];
        annotation.as_str().map(ToOwned::to_owned)
    }

    #[test]
    fn the_annotation_is_about_who_changes_the_specification_whatever_the_request_says() {
        let (one, two) = (json!({"phase": "DualWrite"}), json!({"phase": "CutOver"}));
        let is = |text: &str| Some(text.to_owned());
        assert_eq!(signed(None, &object(&one, None)), is("1 alice"));
        assert_eq!(
            signed(None, &object(&one, Some("1 mallory"))),
            is("1 alice")
        );
        let old = object(&one, Some("4 bob"));
        assert_eq!(signed(Some(&old), &object(&two, None)), is("5 alice"));
        assert_eq!(
            signed(Some(&old), &object(&two, Some("5 mallory"))),
            is("5 alice")
        );
        // A change of anything else leaves what was there.
        assert_eq!(
            signed(Some(&old), &object(&one, Some("4 mallory"))),
            is("4 bob")
        );
        assert_eq!(signed(Some(&old), &object(&one, None)), is("4 bob"));
        let unsigned = object(&one, None);
        assert_eq!(
            signed(Some(&unsigned), &object(&one, Some("4 mallory"))),
            None
        );
        assert!(patch(&unsigned, None).is_empty());
    }

    #[test]
    fn the_end_is_announced_once_with_what_becomes_irreversible() {
        let (goes_on, ends) = (json!({}), json!({"migration": {"finalized": true}}));
        let (goes_on, ends) = (object(&goes_on, None), object(&ends, None));
        let said = warnings(Some(&goes_on), &ends).join(" ");
        assert!(
            said.contains("7 records") && said.contains("no way back"),
            "{said}"
        );
        assert!(
            warnings(Some(&goes_on), &ends)
                .iter()
                .all(|line| line.len() < 256)
        );
        assert!(warnings(Some(&ends), &ends).is_empty() && warnings(None, &goes_on).is_empty());
        assert!(!warnings(None, &ends).is_empty());
    }
}
