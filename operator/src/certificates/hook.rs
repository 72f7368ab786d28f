//! What the webhook configuration has and needs: the CA bundle, and the secret path at which the operator is called. Pure.
//!
//! The path moves in two steps. An annotation names the next path until every replica has seen it; then API servers are told.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use boboyka_crds::names;
use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhook, MutatingWebhookConfiguration};
use kube::ResourceExt as _;
use serde_json::{Value, json};

use super::bundle;
use crate::admission::paths::{is_secret, new_path};

/// How long a path is used, and how long its successor is only announced.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    used: Duration,
    announced: Duration,
}

impl Pace {
    /// Ten minutes and half a minute, or less beside authorities that live shortly.
    pub(super) fn beside(authority_lifetime: Duration) -> Self {
        let used = Duration::from_mins(10).min(authority_lifetime / 4);
        Self {
            used,
            announced: Duration::from_secs(30).min(used / 3),
        }
    }
}

/// The paths in the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Route {
    /// The path that API servers call.
    pub(super) path: Option<String>,
    /// The path that they will call next.
    pub(super) next: Option<String>,
    /// Since when both are as they are.
    since: Option<Timestamp>,
}

impl Route {
    /// Reads a configuration. A path that is no secret, or not that of every webhook, is none.
    pub(super) fn of(hook: &MutatingWebhookConfiguration) -> Self {
        let mut paths = hook.webhooks.iter().flatten().map(path_of);
        let first = paths.next().flatten();
        let path = first.filter(|first| paths.all(|path| path.as_ref() == Some(first)));
        let annotation = |name: &str| hook.annotations().get(name).cloned();
        Self {
            path: path.filter(|path| is_secret(path)),
            next: annotation(names::NEXT_PATH_ANNOTATION).filter(|path| is_secret(path)),
            since: annotation(names::PATH_SINCE_ANNOTATION).and_then(|text| text.parse().ok()),
        }
    }

    /// Every path by which an API server may call.
    pub(super) fn paths(&self) -> impl Iterator<Item = String> + use<> {
        [self.path.clone(), self.next.clone()].into_iter().flatten()
    }

    /// The paths that the configuration should have now.
    pub(super) fn step(&self, pace: Pace, now: Timestamp) -> Self {
        let age = self.since.map(|since| now.duration_since(since));
        // A time in the future was written by nobody whose clock can be trusted.
        let age = age.and_then(|age| Duration::try_from(age).ok());
        let is_older = |most: Duration| age.is_none_or(|age| age >= most);
        let (path, next) = match (&self.path, &self.next) {
            (None, next) => (next.clone().unwrap_or_else(new_path), None),
            (Some(path), None) if is_older(pace.used) => (path.clone(), Some(new_path())),
            (Some(_), Some(next)) if is_older(pace.announced) => (next.clone(), None),
            (Some(_), _) => return self.clone(),
        };
        Self {
            path: Some(path),
            next,
            since: Some(now),
        }
    }
}

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

/// Whether every webhook of the configuration has exactly the bundle of the published authorities, and the route.
pub(super) fn is_as(
    hook: &MutatingWebhookConfiguration,
    data: &BTreeMap<String, String>,
    route: &Route,
) -> bool {
    let wanted = bundle::joined(&bundle::bundle(data));
    bundles_of(Some(hook)).all(|bundle| bundle == wanted.as_bytes()) && Route::of(hook) == *route
}

/// What to apply so that every webhook has the bundle and the route. It applies only to the version that was seen.
pub(super) fn wanted(
    hook: &MutatingWebhookConfiguration,
    data: &BTreeMap<String, String>,
    route: &Route,
) -> Value {
    let text = STANDARD.encode(bundle::joined(&bundle::bundle(data)));
    let webhooks = hook.webhooks.iter().flatten();
    let webhooks: Vec<_> = webhooks
        .map(|one| {
            let path = route.path.as_deref().unwrap_or_default();
            let (kind, address) = address(one, path);
            json!({"name": one.name, "clientConfig": {"caBundle": text, kind: address}})
        })
        .collect();
    let since = route.since.map(|since| since.to_string());
    let annotations = [
        (names::PATH_SINCE_ANNOTATION, since),
        (names::NEXT_PATH_ANNOTATION, route.next.clone()),
    ];
    let annotations = annotations
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)));
    let annotations: BTreeMap<&str, String> = annotations.collect();
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
        "metadata": {
            "name": names::WEBHOOK, "resourceVersion": hook.resource_version(), "annotations": annotations,
        },
        "webhooks": webhooks,
    })
}

/// The address of a webhook with this path, and the field that has it.
fn address(webhook: &MutatingWebhook, path: &str) -> (&'static str, Value) {
    match &webhook.client_config.url {
        Some(url) => {
            let host = url.find("://").map_or(0, |scheme| scheme + 3);
            let end = url.get(host..).and_then(|rest| rest.find('/'));
            let base = end.and_then(|end| url.get(..host + end)).unwrap_or(url);
            ("url", json!(format!("{base}{path}")))
        }
        None => ("service", json!({"path": path})),
    }
}

/// The path of a webhook.
fn path_of(webhook: &MutatingWebhook) -> Option<String> {
    let config = &webhook.client_config;
    match (&config.service, &config.url) {
        (Some(service), _) => service.path.clone(),
        (None, Some(url)) => {
            let (_, rest) = url.split_once("://")?;
            Some(rest.get(rest.find('/')?..)?.to_owned())
        }
        (None, None) => None,
    }
}

/// The bundles of the configuration's webhooks; empty ones where there is none.
fn bundles_of(hook: Option<&MutatingWebhookConfiguration>) -> impl Iterator<Item = &[u8]> {
    let webhooks = hook.and_then(|hook| hook.webhooks.as_ref());
    webhooks.into_iter().flatten().map(|one| {
        let bundle = one.client_config.ca_bundle.as_ref();
        bundle.map_or(&[][..], |bundle| bundle.0.as_slice())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hook(config: &Value, annotations: &Value) -> MutatingWebhookConfiguration {
        serde_json::from_value(json!({
            "metadata": {"name": names::WEBHOOK, "annotations": annotations},
            "webhooks": [{"name": "a", "clientConfig": config, "sideEffects": "None", "admissionReviewVersions": ["v1"]}],
        }))
        .unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    const PACE: Pace = Pace {
        used: Duration::from_secs(100),
        announced: Duration::from_secs(10),
    };

    #[test]
    fn a_path_that_can_be_guessed_is_replaced_at_once() {
        for config in [
            json!({"service": {"name": "s", "namespace": "n"}}),
            json!({"service": {"name": "s", "namespace": "n", "path": "/inject"}}),
            json!({"url": "https://127.0.0.1:1/inject"}),
            json!({"url": "https://127.0.0.1:1"}),
        ] {
            let hook = hook(&config, &json!({}));
            let route = Route::of(&hook);
            assert_eq!(route.paths().count(), 0, "{config}");
            let route = route.step(PACE, at(0));
            let applied = wanted(&hook, &BTreeMap::new(), &route);
            let path = route.path.unwrap();
            let config = &applied["webhooks"][0]["clientConfig"];
            let url = format!("https://127.0.0.1:1{path}");
            assert!(
                config["service"]["path"] == json!(path) || config["url"] == json!(url),
                "{config}"
            );
        }
    }

    #[test]
    fn a_path_is_announced_before_api_servers_call_by_it() {
        let first = Route::default().step(PACE, at(0));
        assert_eq!(first.step(PACE, at(99)), first);
        let announced = first.step(PACE, at(100));
        assert!(announced.path == first.path && announced.next.is_some());
        assert_eq!(announced.step(PACE, at(109)), announced);
        let second = announced.step(PACE, at(110));
        assert!(second.path == announced.next && second.next.is_none());
    }

    #[test]
    fn what_was_applied_is_read_back() {
        let config = json!({"service": {"name": "s", "namespace": "n"}});
        let route = Route::default().step(PACE, at(0)).step(PACE, at(100));
        let applied = wanted(&hook(&config, &json!({})), &BTreeMap::new(), &route);
        let mut config = config;
        config["service"]["path"] =
            applied["webhooks"][0]["clientConfig"]["service"]["path"].clone();
        let stored = hook(&config, &applied["metadata"]["annotations"]);
        assert_eq!(Route::of(&stored), route);
    }
}
