//! An integration, checked once and with its defaults filled in. Pure. Nothing after this reads the raw specification.

use std::collections::BTreeMap;
use std::sync::Arc;

use boboyka_crds::phases::Request;
use boboyka_crds::rules::{self, Violation};
use boboyka_crds::{
    Archive, Backfill, BoboykaIntegration, BoboykaIntegrationSpec, MirrorTable, Phase, Reclaim,
    SecretReference,
};
use boboyka_otlp::TraceOptions;
use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::core::Selector;
use kube::{Resource as _, ResourceExt as _};
use serde_json::json;

use crate::causes::causes;
use crate::signature;
use crate::witness_key::WitnessKey;

const SELECTOR_FIELD: &str = "spec.workloadSelector";
/// The default size of a strand's volume.
const DEFAULT_SIZE: &str = "10Gi";
/// The default limit of an ephemeral strand on its node.
const DEFAULT_EPHEMERAL_SIZE: &str = "1Gi";

/// What integrations leave open, from the flags of the operator.
#[derive(Clone, Debug)]
pub(crate) struct Defaults {
    /// The sidecar's image.
    pub(crate) image: String,
    /// Its pull policy.
    pub(crate) pull_policy: String,
    /// Names of the Secrets to pull it with.
    pub(crate) pull_secrets: Vec<String>,
    /// The access mode of claims.
    pub(crate) access_mode: String,
    /// Whether the cluster chooses users and groups.
    pub(crate) assigned_user: bool,
    /// The operator's own key as a witness, if it is one.
    pub(crate) witness: Option<Arc<WitnessKey>>,
    /// Where traces go.
    pub(crate) traces: TraceOptions,
}

/// Where strands are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Storage {
    /// Each on a persistent volume claim.
    Claim {
        /// Its size.
        size: String,
        /// Its class; the cluster's default when `None`.
        class: Option<String>,
    },
    /// In the emptyDir of its pod.
    Ephemeral {
        /// The limit of the emptyDir.
        size_limit: String,
    },
}

/// An integration that breaks no rule.
#[derive(Clone, Debug)]
pub(crate) struct Validated {
    /// Its name.
    pub(crate) name: String,
    /// Its namespace.
    pub(crate) namespace: String,
    /// Its owner reference.
    pub(crate) owner: OwnerReference,
    /// The generation of the specification.
    pub(crate) generation: i64,
    /// The requested phase.
    pub(crate) phase: Phase,
    /// What it asks of the machine of phases.
    pub(crate) request: Request,
    /// The Secret with Supabase's URL and key; none after the end of the migration.
    pub(crate) secret: Option<SecretReference>,
    /// Where the strands are archived.
    pub(crate) archive: Option<Archive>,
    /// The tables that differ from those of the product, by record type; none without a Supabase.
    pub(crate) tables: Option<BTreeMap<String, MirrorTable>>,
    /// Where strands are kept.
    pub(crate) storage: Storage,
    /// What happens to strands when the integration is deleted.
    pub(crate) reclaim: Reclaim,
    /// The workloads that get the label.
    pub(crate) selector: Option<Selector>,
    /// Why the selector can't be read. It selects nothing then, and everything else goes on.
    pub(crate) unreadable_selector: Option<String>,
    /// The sidecar's image.
    pub(crate) image: String,
    /// Its pull policy.
    pub(crate) pull_policy: String,
    /// Names of the Secrets to pull it with.
    pub(crate) pull_secrets: Vec<String>,
    /// The access mode of claims.
    pub(crate) access_mode: String,
    /// Whether the cluster chooses users and groups.
    pub(crate) assigned_user: bool,
    /// Where its traces go.
    pub(crate) traces: TraceOptions,
    /// The sidecar's requests and limits.
    pub(crate) resources: ResourceRequirements,
    /// Who witnesses the strands' logs, as a policy.
    pub(crate) witness_policy: Option<String>,
    /// Whether nothing may change.
    pub(crate) suspended: bool,
}

/// Why an integration is not valid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Invalid {
    /// The specification breaks rules that an older definition did not have.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Rules(Vec<Violation>),
    /// The API server left a field of the metadata out.
    #[error("metadata.{0} is missing")]
    Missing(&'static str),
}

/// Checks an integration and fills in its defaults.
///
/// # Errors
/// [`Invalid`]: every rule that is broken, with its field.
pub(crate) fn validate(
    integration: &BoboykaIntegration,
    defaults: &Defaults,
) -> Result<Validated, Invalid> {
    let (name, spec) = (integration.name_any(), &integration.spec);
    let mut violations = rules::check(&name, spec);
    // Pods that have the label already need no selector.
    violations.retain(|violation| !violation.field.starts_with(SELECTOR_FIELD));
    if !violations.is_empty() {
        return Err(Invalid::Rules(violations));
    }
    let (selector, unreadable_selector) = match selector_of(integration).transpose() {
        Ok(selector) => (selector, None),
        Err(error) => (None, Some(error)),
    };
    let generation = integration.metadata.generation.unwrap_or_default();
    let has_ended = integration
        .status
        .as_ref()
        .is_some_and(|status| status.finalized.is_some());
    let supabase = spec.supabase.as_ref().filter(|_| !has_ended);
    let secret = supabase.map(|supabase| supabase.secret_ref.clone());
    // What was imported from them stays so after the end.
    let tables = spec.supabase.as_ref().map(|supabase| {
        let mirror = supabase.mirror.as_ref();
        mirror
            .map(|mirror| mirror.tables.clone())
            .unwrap_or_default()
    });
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
        generation,
        phase: spec.phase,
        request: Request {
            has_supabase: secret.is_some(),
            ..Request::of(spec, generation, signature::author(integration))
        },
        secret,
        archive: spec.archive.clone(),
        tables,
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
        unreadable_selector,
        image: sidecar.image.unwrap_or_else(|| defaults.image.clone()),
        pull_policy: defaults.pull_policy.clone(),
        pull_secrets: defaults.pull_secrets.clone(),
        access_mode: defaults.access_mode.clone(),
        assigned_user: defaults.assigned_user,
        traces: defaults.traces.clone(),
        resources: sidecar.resources.unwrap_or_else(default_resources),
        witness_policy: witness_policy(spec, defaults),
        suspended: spec.suspend,
    })
}

fn witness_policy(spec: &BoboykaIntegrationSpec, defaults: &Defaults) -> Option<String> {
    let audit = spec.audit.clone().unwrap_or_default();
    let own = defaults.witness.as_deref();
    let vkey = own.and_then(WitnessKey::vkey);
    audit.policy(vkey.as_deref().zip(own.map(WitnessKey::url)))
}

/// The selector of an integration, or why it can't be read.
pub(crate) fn selector_of(integration: &BoboykaIntegration) -> Option<Result<Selector, String>> {
    let selector = integration.spec.workload_selector.clone()?;
    Some(Selector::try_from(selector).map_err(|error| causes(&error)))
}

impl Validated {
    /// What it asks of the machine of phases.
    pub(crate) fn request(&self) -> &Request {
        &self.request
    }

    /// The backfill that it asks for.
    pub(crate) fn backfill(&self) -> Option<&Backfill> {
        self.request.migration.as_ref()?.backfill.as_ref()
    }

    /// The name of the archive's Secret, if it has one.
    pub(crate) fn archive_secret(&self) -> Option<&str> {
        self.archive.as_ref()?.secret()
    }

    /// A hash of what a sidecar gets when its pod is created and keeps until the pod ends: Secrets and resources.
    pub(crate) fn settings(&self) -> String {
        match self.archive_secret() {
            // As it was before there were archives: pods that run are up to date.
            None => self.job_settings(),
            Some(archive) => Self::hashed(&json!([self.secret, self.resources, archive])),
        }
    }

    /// The same of a Job, which archives nothing.
    pub(crate) fn job_settings(&self) -> String {
        Self::hashed(&json!([self.secret, self.resources]))
    }

    fn hashed(given: &serde_json::Value) -> String {
        let hash = blake3::hash(given.to_string().as_bytes()).to_hex();
        hash.get(..16).unwrap_or_default().to_owned()
    }

    /// The owner of strands and claims: the integration if they are deleted with it, else nobody. Under a legal hold nothing is.
    pub(crate) fn owner_of_strands(&self) -> Option<OwnerReference> {
        let owner = OwnerReference {
            controller: None,
            block_owner_deletion: None,
            ..self.owner.clone()
        };
        (self.reclaim == Reclaim::Delete && !self.request.hold).then_some(owner)
    }
}

/// Small requests, which fit into every pod; an idle sidecar takes below 20 MiB. Both limits are set, because namespaces with
/// a quota refuse containers without; the CPU limit is high, because it only throttles.
fn default_resources() -> ResourceRequirements {
    let resources = json!({
        "requests": {"cpu": "10m", "memory": "32Mi"},
        "limits": {"cpu": "1", "memory": "256Mi"},
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
            pull_secrets: Vec::new(),
            access_mode: "ReadWriteOncePod".to_owned(),
            assigned_user: false,
            witness: None,
            traces: TraceOptions::default(),
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
    fn only_the_secret_of_an_archive_takes_a_new_pod() {
        let of = |archive: serde_json::Value| validated(&json!({"archive": archive}));
        let none = of(json!(null));
        let keyless = of(json!({"url": "s3://bucket", "after": "5m"}));
        let keyed = of(json!({"url": "s3://bucket", "secretRef": {"name": "a"}}));
        let elsewhere = of(json!({"url": "s3://other", "secretRef": {"name": "a"}}));
        let other = of(json!({"url": "s3://bucket", "secretRef": {"name": "b"}}));
        assert_eq!(none.settings(), keyless.settings());
        assert_eq!(keyed.settings(), elsewhere.settings());
        assert_ne!(none.settings(), keyed.settings());
        assert_ne!(keyed.settings(), other.settings());
        assert_eq!(none.job_settings(), keyed.job_settings());
    }

    #[test]
    fn strands_that_are_deleted_with_their_integration_are_not_while_a_legal_hold_is_on() {
        let owner = |hold| {
            let spec = json!({"retention": {"hold": hold}, "storage": {"reclaim": "Delete"}});
            validated(&spec).owner_of_strands()
        };
        assert!(owner(false).is_some());
        assert_eq!(owner(true), None);
    }

    #[test]
    fn a_selector_that_cannot_be_read_selects_nothing_and_breaks_nothing_else() {
        let typo = json!({"matchExpressions": [{"key": "a", "operator": "Inn", "values": ["b"]}]});
        let validated = validated(&json!({"workloadSelector": typo}));
        assert!(validated.selector.is_none());
        let why = validated.unreadable_selector.unwrap();
        assert!(!why.is_empty(), "{why}");
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
