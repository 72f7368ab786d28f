//! The labels of every object that the operator creates. Pure.

use std::collections::BTreeMap;

use boboyka_crds::names;

use crate::integration::Validated;

/// Its manager and its integration.
pub(super) fn labels(integration: &Validated) -> BTreeMap<String, String> {
    let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    BTreeMap::from([
        label("app.kubernetes.io/managed-by", names::OPERATOR_MANAGER),
        label("app.kubernetes.io/part-of", "boboyka"),
        label(names::INTEGRATION_LABEL, &integration.name),
    ])
}
