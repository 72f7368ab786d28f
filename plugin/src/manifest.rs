//! The manifest of the product as this program was built with it: what an installation consists of. Pure.

use anyhow::{Context as _, Result};
use serde::Deserialize as _;
use serde_json::Value;

const INSTALL: &str = include_str!("../../charts/install.yaml");

/// The manifest as text.
pub(crate) fn text() -> &'static str {
    INSTALL
}

/// Its objects, in the order in which they are to be applied.
pub(crate) fn objects() -> Result<Vec<Value>> {
    let documents = serde_yaml::Deserializer::from_str(INSTALL);
    let objects =
        documents.map(|document| Value::deserialize(document).context("charts/install.yaml"));
    let objects: Result<Vec<Value>> = objects.collect();
    Ok(objects?
        .into_iter()
        .filter(|object| !object.is_null())
        .collect())
}

/// The objects of a kind.
pub(crate) fn of_kind(kind: &str) -> Vec<Value> {
    let objects = objects().unwrap_or_default().into_iter();
    objects
        .filter(|object| text_at(object, "/kind") == kind)
        .collect()
}

/// The name of an object.
pub(crate) fn name(object: &Value) -> &str {
    text_at(object, "/metadata/name")
}

/// The text at a place in an object; empty when there is none.
pub(crate) fn text_at<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_has_every_part_of_an_installation() {
        let objects = objects().unwrap();
        assert!(objects.len() > 40, "{}", objects.len());
        for (kind, least) in [
            ("CustomResourceDefinition", 2),
            ("Deployment", 1),
            ("MutatingWebhookConfiguration", 1),
            ("ValidatingAdmissionPolicy", 10),
            ("ValidatingAdmissionPolicyBinding", 10),
        ] {
            assert!(of_kind(kind).len() >= least, "{kind}");
        }
    }
}
