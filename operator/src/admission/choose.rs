//! The decision on one pod: finds its integration, gives it a strand, and answers with the patch.
//!
//! A choice is written before it is answered, with the version that was read, so of two pods that want one strand one is
//! told no and tries the next. Dry runs write nothing. A pod without its integration waits: it would lose its records.

mod given;
mod refusal;

use std::collections::HashSet;
use std::sync::Arc;

use boboyka_crds::{BoboykaIntegration, BoboykaStrand, BoboykaStrandSpec, Holder, names};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use kube::core::admission::AdmissionRequest;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;

use super::Decision;
use super::inject::{Found, Held, look, patch};
use crate::build::{claim, strand};
use crate::caches::Caches;
use crate::integration::{Defaults, Storage, Validated, validate};
use crate::strands::{Asker, Choice, Place, asker_of, choose};
use given::{Given, version};
use refusal::{Refusal, api_error, is_conflict};

/// So many others may be quicker before a pod is told to try again.
const ATTEMPTS: usize = 16;
/// So many pods that may be gone are asked for, lest an admission takes long.
const ASKED_MAX: usize = 4;

/// Decides on pods.
pub struct Chooser {
    client: Client,
    caches: Caches,
    defaults: Defaults,
    given: Given,
}

impl std::fmt::Debug for Chooser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Chooser")
    }
}

impl Chooser {
    /// Decides with what is in the caches.
    pub fn new(client: Client, caches: Caches, defaults: Defaults) -> Self {
        Self {
            client,
            caches,
            defaults,
            given: Given::default(),
        }
    }

    /// Decides on one pod.
    pub async fn decide(&self, request: AdmissionRequest<DynamicObject>) -> Decision {
        let Some(pod) = &request.object else {
            return Decision::Skip("there is no pod in the request".to_owned());
        };
        let Some(integration) = pod.labels().get(names::INTEGRATION_LABEL) else {
            return Decision::Skip(format!("the pod has no label {}", names::INTEGRATION_LABEL));
        };
        let namespace = request.namespace.as_deref().unwrap_or_default();
        let decided = self
            .decide_on(pod, namespace, integration, request.dry_run)
            .await;
        decided.unwrap_or_else(|refusal| {
            let pod = pod.metadata.name.as_ref().or(pod.metadata.generate_name.as_ref());
            tracing::warn!(namespace, integration, pod, %refusal, "a pod of {namespace}/{integration} is refused");
            Decision::Refuse(refusal.to_string())
        })
    }

    async fn decide_on(
        &self,
        pod: &DynamicObject,
        namespace: &str,
        integration: &str,
        dry_run: bool,
    ) -> Result<Decision, Refusal> {
        let integration = self.integration(namespace, integration).await?;
        let held = match look(pod) {
            Found::Forged(what) => return Err(Refusal::Forged(what)),
            Found::Injected(held) => {
                self.check_held(namespace, &held).await?;
                return Ok(Decision::Skip("it has its sidecar already".to_owned()));
            }
            Found::Untouched => {
                self.give_strand(&integration, &asker_of(pod), dry_run)
                    .await?
            }
        };
        Ok(Decision::Inject(patch(pod, &integration, &held)))
    }

    /// From the cache, or, for one that was made a moment ago, from the API server.
    async fn integration(&self, namespace: &str, name: &str) -> Result<Validated, Refusal> {
        let invalid = |why: String| Refusal::Invalid {
            name: name.to_owned(),
            why,
        };
        let cached = self
            .caches
            .integrations
            .get(&ObjectRef::new(name).within(namespace));
        if let Some(found) = cached {
            let read = found
                .0
                .as_ref()
                .map_err(|error| invalid(error.error.clone()))?;
            return validate(read, &self.defaults).map_err(|error| invalid(error.to_string()));
        }
        let api: Api<BoboykaIntegration> = Api::namespaced(self.client.clone(), namespace);
        let found = api
            .get_opt(name)
            .await
            .map_err(api_error("read the integration"))?;
        let found = found.ok_or_else(|| Refusal::NoIntegration {
            name: name.to_owned(),
            namespace: namespace.to_owned(),
        })?;
        validate(&found, &self.defaults).map_err(|error| invalid(error.to_string()))
    }

    /// A pod that comes with our annotations must hold what they say.
    async fn check_held(&self, namespace: &str, held: &Held) -> Result<(), Refusal> {
        let api: Api<BoboykaStrand> = Api::namespaced(self.client.clone(), namespace);
        let found = api
            .get_opt(&held.strand)
            .await
            .map_err(api_error("read the strand"))?;
        let holder = found.and_then(|strand| strand.spec.holder);
        let holds =
            holder.is_some_and(|holder| holder.token == held.token && holder.pod_uid.is_none());
        holds
            .then_some(())
            .ok_or_else(|| Refusal::NotHeld(held.strand.clone()))
    }

    async fn give_strand(
        &self,
        integration: &Validated,
        asker: &Asker,
        dry_run: bool,
    ) -> Result<Held, Refusal> {
        let token = uuid::Uuid::new_v4().to_string();
        let ephemeral = matches!(integration.storage, Storage::Ephemeral { .. });
        let mut lost = HashSet::new();
        for _ in 0..ATTEMPTS {
            let (strands, mut passed_over) = self.candidates(integration, asker).await?;
            passed_over.extend(lost.iter().cloned());
            let gone = self.gone_of(integration, asker, &strands).await?;
            let gone = |uid: &str| gone.contains(uid);
            let choice = choose(
                &integration.name,
                asker,
                ephemeral,
                &strands,
                gone,
                |name: &str| passed_over.contains(name),
            );
            let name = match &choice {
                Choice::Take(strand) => strand.name_any(),
                Choice::Make(name) => name.clone(),
            };
            let held = Held {
                strand: name.clone(),
                token: token.clone(),
            };
            if dry_run {
                return Ok(held);
            }
            let key = format!("{}/{name}", integration.namespace);
            if self.given.begin(&key) {
                let written = self.write(integration, asker, choice, &held).await;
                self.given
                    .end(key, written.as_ref().ok().copied().flatten());
                if written?.is_some() {
                    return Ok(held);
                }
            }
            if !is_only_one(&asker.place) {
                lost.insert(name);
            }
        }
        Err(Refusal::Crowded)
    }

    /// The strands to choose from, and those of them to pass over.
    async fn candidates(
        &self,
        integration: &Validated,
        asker: &Asker,
    ) -> Result<(Vec<Arc<BoboykaStrand>>, HashSet<String>), Refusal> {
        if !is_only_one(&asker.place) {
            let strands = self
                .caches
                .strands_of(&integration.namespace, &integration.name);
            let passed_over = self.given.not_yet_known(&integration.namespace, &strands);
            return Ok((strands, passed_over));
        }
        // There is one strand for it and no other will do, so the API server is asked what it is like now.
        let nothing = |_: &str| false;
        let Choice::Make(name) = choose(&integration.name, asker, false, &[], nothing, nothing)
        else {
            return Ok((Vec::new(), HashSet::new()));
        };
        let api: Api<BoboykaStrand> = Api::namespaced(self.client.clone(), &integration.namespace);
        let found = api
            .get_opt(&name)
            .await
            .map_err(api_error("read the strand"))?;
        Ok((found.into_iter().map(Arc::new).collect(), HashSet::new()))
    }

    /// The holders of a place's strands that are no more. One that was about to go may have gone before the cache knows,
    /// and the pod in its stead is asking: then the API server is asked about it.
    async fn gone_of(
        &self,
        integration: &Validated,
        asker: &Asker,
        strands: &[Arc<BoboykaStrand>],
    ) -> Result<HashSet<String>, Refusal> {
        let mut gone = HashSet::new();
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &integration.namespace);
        let mut calls = 0;
        for strand in strands.iter().filter(|strand| is_of(strand, &asker.place)) {
            let Some(holder) = &strand.spec.holder else {
                continue;
            };
            let (Some(name), Some(uid)) = (&holder.pod_name, &holder.pod_uid) else {
                continue;
            };
            if self.caches.changes.is_gone(uid) {
                gone.insert(uid.clone());
                continue;
            }
            let cached = self.caches.pods.get(&integration.namespace, name);
            let stays = cached.is_some_and(|pod| pod.uid == *uid && !pod.terminating);
            if stays || calls == ASKED_MAX {
                continue;
            }
            calls += 1;
            let found = pods.get_opt(name).await.map_err(api_error("read a pod"))?;
            if !found.is_some_and(|pod| is_alive(&pod, uid)) {
                gone.insert(uid.clone());
            }
        }
        Ok(gone)
    }

    /// Writes a choice; the version of the strand's resource, if the strand is ours then.
    async fn write(
        &self,
        integration: &Validated,
        asker: &Asker,
        choice: Choice,
        held: &Held,
    ) -> Result<Option<u64>, Refusal> {
        let api: Api<BoboykaStrand> = Api::namespaced(self.client.clone(), &integration.namespace);
        match choice {
            Choice::Take(found) => match take(&api, &found, asker, held).await? {
                Some(version) => Ok(Some(version)),
                // It changed, perhaps only by the last report of the sidecar that left it.
                None => self.take_as_it_is(&api, integration, asker, held).await,
            },
            Choice::Make(name) => {
                let slot = match &asker.place {
                    Place::Slot(slot) => Some(slot.clone()),
                    Place::Pool => None,
                };
                let spec = BoboykaStrandSpec {
                    slot,
                    workload: asker.workload.clone(),
                    holder: Some(holder(held)),
                    ..BoboykaStrandSpec::default()
                };
                let made = strand::new(integration, &name, spec);
                let claim = claim::new(integration, &made);
                let claims: Api<PersistentVolumeClaim> =
                    Api::namespaced(self.client.clone(), &integration.namespace);
                let parameters = PostParams::default();
                let make_claim = async {
                    match &claim {
                        Some(claim) => claims.create(&parameters, claim).await.map(drop),
                        None => Ok(()),
                    }
                };
                let (made, claimed) = tokio::join!(api.create(&parameters, &made), make_claim);
                // A claim that is there holds the strand of an integration that was here before.
                if let Err(error) = claimed
                    && !is_conflict(&error)
                {
                    return Err(api_error("make the claim")(error));
                }
                match made {
                    Ok(made) => Ok(Some(version(&made))),
                    Err(error) if is_conflict(&error) => {
                        self.take_as_it_is(&api, integration, asker, held).await
                    }
                    Err(error) => Err(api_error("make the strand")(error)),
                }
            }
        }
    }

    /// Takes a strand that is not as the cache says, if it is free as the API server says.
    async fn take_as_it_is(
        &self,
        api: &Api<BoboykaStrand>,
        integration: &Validated,
        asker: &Asker,
        held: &Held,
    ) -> Result<Option<u64>, Refusal> {
        let found = api
            .get_opt(&held.strand)
            .await
            .map_err(api_error("read the strand"))?;
        let ours = found.filter(|found| found.spec.integration == integration.name);
        let found: Vec<_> = ours.into_iter().map(Arc::new).collect();
        let gone = self.gone_of(integration, asker, &found).await?;
        let (gone, nothing) = (|uid: &str| gone.contains(uid), |_: &str| false);
        match choose(&integration.name, asker, false, &found, gone, nothing) {
            Choice::Take(found) => take(api, &found, asker, held).await,
            Choice::Make(_) => Ok(None),
        }
    }
}

/// Whether a pod is still the one of this UID, and has not come to its end.
pub(crate) fn is_alive(pod: &Pod, uid: &str) -> bool {
    let status = pod.status.as_ref();
    let phase = status.and_then(|status| status.phase.as_deref());
    pod.metadata.uid.as_deref() == Some(uid) && !matches!(phase, Some("Succeeded" | "Failed"))
}

/// Whether a strand is for pods of a place.
fn is_of(strand: &BoboykaStrand, place: &Place) -> bool {
    match place {
        Place::Slot(slot) => strand.spec.slot.as_ref() == Some(slot),
        Place::Pool => strand.spec.slot.is_none(),
    }
}

/// A StatefulSet's pod can have the strand of its ordinal and no other.
fn is_only_one(place: &Place) -> bool {
    matches!(place, Place::Slot(slot) if slot.kind == "StatefulSet")
}

async fn take(
    api: &Api<BoboykaStrand>,
    found: &BoboykaStrand,
    asker: &Asker,
    held: &Held,
) -> Result<Option<u64>, Refusal> {
    let holder = json!({
        "token": held.token, "since": Time(Timestamp::now()), "podName": null, "podUid": null,
    });
    let change = json!({
        "metadata": {"resourceVersion": found.metadata.resource_version},
        "spec": {
            "holder": holder, "workload": asker.workload, "witnessed": strand::witnessed(found),
        },
    });
    let parameters = PatchParams {
        field_manager: Some(names::OPERATOR_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    match api
        .patch(&held.strand, &parameters, &Patch::Merge(&change))
        .await
    {
        Ok(taken) => Ok(Some(version(&taken))),
        Err(kube::Error::Api(status)) if status.is_conflict() || status.is_not_found() => Ok(None),
        Err(error) => Err(api_error("take the strand")(error)),
    }
}

fn holder(held: &Held) -> Holder {
    Holder {
        token: held.token.clone(),
        since: Some(Time(Timestamp::now())),
        ..Holder::default()
    }
}
