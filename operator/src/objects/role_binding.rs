//! The role binding that lets sidecars read their integration and write the status of their strands.

use boboyka_crds::names;
use k8s_openapi::api::rbac::v1::RoleBinding;
use serde_json::json;

use super::labels::labels;
use crate::integration::Validated;

/// A pod may use any service account, so the role is bound to all service accounts of the namespace. An admission policy
/// lets a sidecar write only the strand that its own pod holds: the pod is named in its token.
pub(crate) fn new(integration: &Validated) -> Option<RoleBinding> {
    serde_json::from_value(json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {
            "name": name(&integration.name), "namespace": integration.namespace,
            "labels": labels(integration), "ownerReferences": [integration.owner],
        },
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": names::SIDECAR_ROLE},
        "subjects": [{
            "apiGroup": "rbac.authorization.k8s.io", "kind": "Group",
            "name": format!("system:serviceaccounts:{}", integration.namespace),
        }],
    }))
    .ok()
}

/// The name of an integration's role binding.
pub(crate) fn name(integration: &str) -> String {
    format!("{}-{integration}", names::SIDECAR_ROLE)
}
