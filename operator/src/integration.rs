//! An integration, checked once and with its defaults filled in: nothing after this reads the raw specification. Pure.

use boboyka_crds::rules::{self, Violation};
use boboyka_crds::{BoboykaIntegration, Phase, Reclaim, SecretReference};
use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::core::Selector;
use kube::{Resource as _, ResourceExt as _};
use serde_json::json;

/// A strand's volume when nobody says otherwise.
const DEFAULT_SIZE: &str = "10Gi";
/// How much an ephemeral strand may take of its node when nobody says otherwise.
const DEFAULT_EPHEMERAL_SIZE: &str = "1Gi";

/// What the operator was started with.
#[derive(Clone, Debug)]
pub struct Defaults {
    /// The sidecar's image.
    pub image: String,
    /// When the kubelet pulls it.
    pub pull_policy: String,
}

/// Where strands are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storage {
    /// On a claim each.
    Claim {
        /// Its size.
        size: String,
        /// Its class; the cluster's default when `None`.
        class: Option<String>,
    },
    /// On their nodes, for as long as their pods.
    Ephemeral {
        /// The most they may take.
        size_limit: String,
    },
}

/// An integration that keeps to every rule.
#[derive(Clone, Debug)]
pub struct Validated {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// What names it as an owner.
    pub owner: OwnerReference,
    /// The generation of the specification.
    pub generation: i64,
    /// The phase that is asked for.
    pub phase: Phase,
    /// The Secret with Supabase's URL and key.
    pub secret: Option<SecretReference>,
    /// Where strands are kept.
    pub storage: Storage,
    /// What becomes of them with the integration.
    pub reclaim: Reclaim,
    /// Which workloads get the label.
    pub selector: Option<Selector>,
    /// The sidecar's image.
    pub image: String,
    /// When the kubelet pulls it.
    pub pull_policy: String,
    /// The sidecar's requests and limits.
    pub resources: ResourceRequirements,
    /// Whether nothing may change.
    pub suspended: bool,
}

/// Why an integration can't be acted on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// The specification breaks rules, which an older definition may have let through.
    #[error("the specification is not valid: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Rules(Vec<Violation>),
    /// The selector can't be read.
    #[error("spec.workloadSelector: {0}")]
    Selector(String),
    /// The API server left something out.
    #[error("the integration has no {0}")]
    Missing(&'static str),
}

/// Checks an integration and fills in what it leaves open.
///
/// # Errors
/// [`Invalid`]: every field that is wrong.
pub fn validate(
    integration: &BoboykaIntegration,
    defaults: &Defaults,
) -> Result<Validated, Invalid> {
    let (name, spec) = (integration.name_any(), &integration.spec);
    let violations = rules::check(&name, spec);
    if !violations.is_empty() {
        return Err(Invalid::Rules(violations));
    }
    let selector = spec.workload_selector.clone().map(Selector::try_from);
    let selector = selector
        .transpose()
        .map_err(|error| Invalid::Selector(error.to_string()))?;
    let storage = spec.storage.clone().unwrap_or_default();
    let sidecar = spec.sidecar.clone().unwrap_or_default();
    Ok(Validated {
        name,
        namespace: integration
            .namespace()
            .ok_or(Invalid::Missing("namespace"))?,
        owner: integration
            .controller_owner_ref(&())
            .ok_or(Invalid::Missing("uid"))?,
        generation: integration.metadata.generation.unwrap_or_default(),
        phase: spec.phase,
        secret: spec
            .supabase
            .as_ref()
            .map(|supabase| supabase.secret_ref.clone()),
        storage: match storage.ephemeral {
            Some(ephemeral) => Storage::Ephemeral {
                size_limit: ephemeral
                    .size_limit
                    .unwrap_or_else(|| DEFAULT_EPHEMERAL_SIZE.to_owned()),
            },
            None => Storage::Claim {
                size: storage.size.unwrap_or_else(|| DEFAULT_SIZE.to_owned()),
                class: storage.storage_class_name,
            },
        },
        reclaim: storage.reclaim,
        selector,
        image: sidecar.image.unwrap_or_else(|| defaults.image.clone()),
        pull_policy: defaults.pull_policy.clone(),
        resources: sidecar.resources.unwrap_or_else(default_resources),
        suspended: spec.suspend,
    })
}

impl Validated {
    /// What owns a strand and its claim: the integration when it is to take them with it, else nobody.
    pub fn owner_of_strands(&self) -> Option<OwnerReference> {
        let owner = OwnerReference {
            controller: None,
            block_owner_deletion: None,
            ..self.owner.clone()
        };
        (self.reclaim == Reclaim::Delete).then_some(owner)
    }
}

/// Small enough for every pod; no limit on CPU, which would only throttle. Measured idle: below 20 MiB.
fn default_resources() -> ResourceRequirements {
    let resources = json!({
        "requests": {"cpu": "10m", "memory": "32Mi"},
        "limits": {"memory": "256Mi"},
    });
    serde_json::from_value(resources).unwrap_or_default()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn defaults() -> Defaults {
        Defaults {
            image: "localhost/boboyka-sidecar:0".to_owned(),
            pull_policy: "IfNotPresent".to_owned(),
        }
    }

    pub(crate) fn integration(spec: &serde_json::Value) -> BoboykaIntegration {
        serde_json::from_value(json!({
            "apiVersion": "boboyka.sapixdb.com/v1alpha1", "kind": "BoboykaIntegration",
            "metadata": {"name": "boboyka", "namespace": "agents", "uid": "u-1", "generation": 3},
            "spec": spec,
        }))
        .unwrap()
    }

    pub(crate) fn validated(spec: &serde_json::Value) -> Validated {
        validate(&integration(spec), &defaults()).unwrap()
    }

    #[test]
    fn an_empty_specification_is_filled_in() {
        let validated = validated(&json!({}));
        assert_eq!(validated.image, "localhost/boboyka-sidecar:0");
        assert_eq!(
            validated.storage,
            Storage::Claim {
                size: "10Gi".to_owned(),
                class: None
            }
        );
        assert_eq!(validated.owner_of_strands(), None);
        assert!(validated.secret.is_none() && validated.resources.requests.is_some());
    }

    #[test]
    fn every_rule_that_is_broken_is_named() {
        let spec = json!({"storage": {"size": "1Mi"}, "retention": {"maxAge": "1s"}});
        let error = validate(&integration(&spec), &defaults())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("spec.storage.size") && error.contains("spec.retention.maxAge"),
            "{error}"
        );
    }
}
