//! The CA bundle in the webhook configuration: what it has, and what it needs. Pure.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use boboyka_crds::names;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use kube::ResourceExt as _;
use serde_json::{Value, json};

use super::bundle;

/// The namespace of the operator that the configuration names, if it is another one.
pub(super) fn other_namespace(
    hook: &MutatingWebhookConfiguration,
    namespace: &str,
) -> Option<String> {
    let services = hook.webhooks.iter().flatten();
    let mut services = services.filter_map(|one| one.client_config.service.as_ref());
    let foreign = services.find(|service| service.namespace != namespace)?;
    Some(foreign.namespace.clone())
}

/// Whether every webhook of the configuration has the authority.
pub(super) fn trusts(hook: Option<&MutatingWebhookConfiguration>, pem: &str) -> bool {
    let mut bundles = bundles_of(hook).peekable();
    bundles.peek().is_some() && bundles.all(|bundle| bundle::has(bundle, pem))
}

/// Whether every webhook of the configuration has exactly the bundle of the published authorities.
pub(super) fn has_bundle(
    hook: &MutatingWebhookConfiguration,
    data: &BTreeMap<String, String>,
) -> bool {
    let wanted = bundle::joined(&bundle::bundle(data));
    bundles_of(Some(hook)).all(|bundle| bundle == wanted.as_bytes())
}

/// What to apply so that every webhook has the bundle. It applies only to the version that was seen.
pub(super) fn with_bundle(
    hook: &MutatingWebhookConfiguration,
    data: &BTreeMap<String, String>,
) -> Value {
    let text = STANDARD.encode(bundle::joined(&bundle::bundle(data)));
    let webhooks = hook.webhooks.iter().flatten();
    let webhooks: Vec<_> = webhooks
        .map(|one| json!({"name": one.name, "clientConfig": {"caBundle": text}}))
        .collect();
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": names::WEBHOOK, "resourceVersion": hook.resource_version()},
        "webhooks": webhooks,
    })
}

/// The bundles of the configuration's webhooks; empty ones where there is none.
fn bundles_of(hook: Option<&MutatingWebhookConfiguration>) -> impl Iterator<Item = &[u8]> {
    let webhooks = hook.and_then(|hook| hook.webhooks.as_ref());
    webhooks.into_iter().flatten().map(|one| {
        let bundle = one.client_config.ca_bundle.as_ref();
        bundle.map_or(&[][..], |bundle| bundle.0.as_slice())
    })
}
