//! What lets the sidecars of a namespace read their integration and write their strand's status.

use boboyka_crds::names;
use k8s_openapi::api::rbac::v1::RoleBinding;
use serde_json::json;

use super::labels;
use crate::integration::Validated;

/// Pods run under whatever service account they like, so the role is bound to all of the namespace's; which strand one of
/// them may write, a policy of the API server tells by the pod that its token is bound to.
pub fn new(integration: &Validated) -> Option<RoleBinding> {
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

/// The binding's name.
pub fn name(integration: &str) -> String {
    format!("{}-{integration}", names::SIDECAR_ROLE)
}
