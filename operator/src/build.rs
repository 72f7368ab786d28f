//! The objects that the operator makes, each from a validated integration. Pure.

pub mod claim;
pub mod drain;
pub mod role_binding;
pub mod strand;

use std::collections::BTreeMap;

use boboyka_crds::names;

use crate::integration::Validated;

/// What is on everything of ours: who made it, and whose it is.
fn labels(integration: &Validated) -> BTreeMap<String, String> {
    let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    BTreeMap::from([
        label("app.kubernetes.io/managed-by", names::OPERATOR_MANAGER),
        label("app.kubernetes.io/part-of", "boboyka"),
        label(names::INTEGRATION_LABEL, &integration.name),
    ])
}
