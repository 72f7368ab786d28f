//! The names of legacy projects in a ConfigMap's document. Pure.

use boboyka_crds::{ConfigMapKeyReference, names_in};

use super::named::Named;
use super::wrong::Wrong;

/// The field that refers to one.
pub(super) const FIELD: &str = "spec.migration.legacyProjectsFrom.configMapKeyRef.name";

/// The names that an integration refers to.
///
/// # Errors
/// They are not there, or a line is no name.
pub(super) fn names(
    map: &Named<'_>,
    reference: &ConfigMapKeyReference,
) -> Result<Vec<String>, Wrong> {
    let key = reference.key.as_str();
    let Some(value) = map.section("data").and_then(|data| data.get(key)) else {
        return Err(map.wrong("data", &format!("has no key {key}")));
    };
    let field = format!("data.{key}");
    let Some(value) = value.as_str() else {
        let why = "must be a text: write it behind a |, one name a line";
        return Err(map.wrong(&field, why));
    };
    names_in(value).map_err(|error| map.wrong(&field, &error.to_string()))
}
