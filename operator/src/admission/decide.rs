//! The decision about one pod: finds its integration, gives it a strand, and patches it.
//!
//! A pod without its integration is refused, not admitted without a sidecar: it would lose its records.

use boboyka_crds::{BoboykaIntegration, names};
use kube::api::DynamicObject;
use kube::core::admission::AdmissionRequest;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Client, ResourceExt as _};

use super::decision::Decision;
use super::inject::patch;
use super::servable::{Unservable, check};
use super::sign;
use crate::caches::Caches;
use crate::causes::causes;
use crate::clock;
use crate::integration::{Defaults, Validated, validate};
use crate::strands::give::Giver;
use crate::strands::refusal::Refusal;
use crate::strands::requester::Requester;

/// Why a pod is refused. Its creator reads the message, with its causes.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("the pod can't have a sidecar: {0}")]
    Unservable(#[from] Unservable),
    #[error(transparent)]
    NoStrand(#[from] Refusal),
}

/// Decides about pods.
pub(crate) struct Decider {
    client: Client,
    caches: Caches,
    defaults: Defaults,
    giver: Giver,
}

impl Decider {
    /// Decides with what is in the caches.
    pub(crate) fn new(client: Client, caches: Caches, defaults: Defaults) -> Self {
        Self {
            giver: Giver::new(client.clone(), caches.clone()),
            client,
            caches,
            defaults,
        }
    }

    /// Decides about one pod, or one change of an integration or a strand.
    pub(crate) async fn decide(&self, request: AdmissionRequest<DynamicObject>) -> Decision {
        if sign::is_ours(&request) {
            return sign::sign(&request, &clock::now());
        }
        let Some(pod) = &request.object else {
            return Decision::Skip("the request has no pod".to_owned());
        };
        let Some(integration) = pod.labels().get(names::INTEGRATION_LABEL) else {
            return Decision::Skip(format!("the pod has no label {}", names::INTEGRATION_LABEL));
        };
        let namespace = request.namespace.as_deref().unwrap_or_default();
        let decided = self.decide_on(pod, namespace, integration, &request).await;
        decided.unwrap_or_else(|refusal| {
            let name = pod
                .metadata
                .name
                .as_ref()
                .or(pod.metadata.generate_name.as_ref());
            let name = name.map_or("", String::as_str);
            let error = causes(&refusal);
            tracing::warn!(
                namespace,
                integration,
                pod = name,
                error,
                "refused pod {namespace}/{name}"
            );
            Decision::Refuse(error)
        })
    }

    async fn decide_on(
        &self,
        pod: &DynamicObject,
        namespace: &str,
        integration: &str,
        request: &AdmissionRequest<DynamicObject>,
    ) -> Result<Decision, Refused> {
        check(pod)?;
        let user = request.user_info.username.as_deref().unwrap_or_default();
        let requester = Requester::of(pod, user)?;
        let integration = self.integration(namespace, integration).await?;
        let giver = &self.giver;
        let held = giver
            .give(&integration, &requester, request.dry_run)
            .await?;
        Ok(Decision::Inject(patch(
            pod,
            &integration,
            &requester,
            &held,
        )))
    }

    /// The pod's integration, from the cache or, if it was created a moment ago, from the API server.
    async fn integration(&self, namespace: &str, name: &str) -> Result<Validated, Refusal> {
        if name.is_empty() {
            return Err(Refusal::NoName);
        }
        let invalid = |why: String| Refusal::Invalid {
            name: name.to_owned(),
            why,
        };
        let cached = self
            .caches
            .integrations
            .get(&ObjectRef::new(name).within(namespace));
        if let Some(found) = cached {
            let read = found.0.as_ref();
            let read = read.map_err(|error| invalid(error.error.clone()))?;
            return validate(read, &self.defaults).map_err(|error| invalid(error.to_string()));
        }
        let api: Api<BoboykaIntegration> = Api::namespaced(self.client.clone(), namespace);
        let found = api.get_opt(name).await.map_err(|source| Refusal::Api {
            doing: format!("read BoboykaIntegration {name}"),
            source: Box::new(source),
        })?;
        let found = found.ok_or_else(|| Refusal::NoIntegration {
            name: name.to_owned(),
            namespace: namespace.to_owned(),
        })?;
        validate(&found, &self.defaults).map_err(|error| invalid(error.to_string()))
    }
}
