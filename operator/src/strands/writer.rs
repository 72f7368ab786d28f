//! The strands of one integration and the claims on their volumes. Writer: nothing else writes either.
//!
//! A strand changes only if it still has the version that was read, and it is freed only after the API server itself was
//! asked about its pod: a cache that lags must not hand out a strand that is open.

use std::collections::HashSet;

use boboyka_crds::{BoboykaStrand, Contradiction, Holder, names};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{DeleteParams, ListParams, Patch, PostParams, Preconditions};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::change::StrandChange;
use super::held::Held;
use super::requester::Requester;
use super::witness;
use crate::clock;
use crate::integration::Validated;
use crate::objects;
use crate::token::{digest, new_token};
use crate::writes::{Outcome, is_conflict, is_outdated, merge_parameters};

/// The strands and claims of one integration.
pub(crate) struct Writer<'a> {
    integration: &'a Validated,
    strands: Api<BoboykaStrand>,
    claims: Api<PersistentVolumeClaim>,
    pods: Api<Pod>,
    carried: OnceCell<HashSet<String>>,
}

impl<'a> Writer<'a> {
    /// The writer for an integration.
    pub(crate) fn new(client: &Client, integration: &'a Validated) -> Self {
        let namespace = &integration.namespace;
        Self {
            integration,
            strands: Api::namespaced(client.clone(), namespace),
            claims: Api::namespaced(client.clone(), namespace),
            pods: Api::namespaced(client.clone(), namespace),
            carried: OnceCell::new(),
        }
    }

    /// A strand as the API server has it now.
    pub(crate) async fn read(&self, name: &str) -> Result<Option<BoboykaStrand>, kube::Error> {
        self.strands.get_opt(name).await
    }

    /// Whether a pod of this name and UID exists and still runs, as the API server knows it now.
    pub(crate) async fn is_pod_alive(&self, name: &str, uid: &str) -> Result<bool, kube::Error> {
        let pod = self.pods.get_opt(name).await?;
        Ok(pod.is_some_and(|pod| {
            let status = pod.status.as_ref();
            let phase = status.and_then(|status| status.phase.as_deref());
            pod.metadata.uid.as_deref() == Some(uid)
                && !matches!(phase, Some("Succeeded" | "Failed"))
        }))
    }

    /// Creates a strand, and before it its claim: a pod waits for the claim, and where a quota refuses the claim no strand
    /// is left over.
    pub(crate) async fn make(&self, strand: &BoboykaStrand) -> Outcome {
        match self.make_claim(strand).await {
            // An existing claim holds the strand of an earlier integration of this name, or one that was deleted.
            Err(error) if !is_conflict(&error) => return Err(error),
            _ => {}
        }
        let made = self.strands.create(&PostParams::default(), strand).await;
        made.map(drop)
    }

    /// Creates the claim that a strand names, if it names one.
    pub(crate) async fn make_claim(&self, strand: &BoboykaStrand) -> Outcome {
        match objects::claim::new(self.integration, strand) {
            Some(claim) => {
                let made = self.claims.create(&PostParams::default(), &claim).await;
                made.map(drop)
            }
            None => Ok(()),
        }
    }

    /// Gives a strand to a pod that is being admitted. `None` when the strand has changed since it was read, or is gone.
    pub(crate) async fn give(
        &self,
        strand: &BoboykaStrand,
        requester: &Requester,
        held: &Held,
    ) -> Result<Option<BoboykaStrand>, kube::Error> {
        let spec = json!({
            "holder": {"token": digest(&held.token), "since": clock::now(), "podName": null, "podUid": null},
            "workload": requester.workload,
            "witnessed": witness::newest(strand),
        });
        match self.write(strand, spec).await {
            Ok(given) => Ok(Some(given)),
            Err(error) if is_outdated(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reserves a strand for the Job that works on it, so that no pod is given it.
    pub(crate) async fn reserve(&self, strand: &BoboykaStrand) -> Result<Held, kube::Error> {
        let held = Held {
            strand: strand.name_any(),
            token: new_token(),
        };
        let holder = held.holder(clock::now());
        self.write(strand, json!({"holder": holder})).await?;
        Ok(held)
    }

    /// Changes a strand.
    pub(crate) async fn change(&self, strand: &BoboykaStrand, change: &StrandChange) -> Outcome {
        match change {
            StrandChange::Bind { pod_name, pod_uid } => self.bind(strand, pod_name, pod_uid).await,
            StrandChange::Adopt(holder) => self.set(strand, json!({"holder": holder})).await,
            StrandChange::Release {
                pod_name,
                pod_uid,
                next,
            } => self.release(strand, pod_name, pod_uid, next.as_ref()).await,
            StrandChange::TakeBack { token } => self.take_back(strand, token).await,
            StrandChange::Witness(head) => self.set(strand, json!({"witnessed": head})).await,
            StrandChange::Claim(uid) => self.set(strand, json!({"claimUid": uid})).await,
            StrandChange::CountForeign(counts) => {
                let counts = counts.then_some(true);
                self.set(strand, json!({"countsForeignWrites": counts}))
                    .await
            }
            StrandChange::Own(owner) => {
                own(&self.strands, &strand.name_any(), owner.as_ref()).await
            }
            StrandChange::Delete => self.delete(strand).await,
        }
    }

    /// Makes the integration the owner of a claim, or removes the integration as its owner.
    pub(crate) async fn own_claim(&self, claim: &str, owner: Option<&OwnerReference>) -> Outcome {
        own(&self.claims, claim, owner).await
    }

    /// Requests a size on a claim.
    pub(crate) async fn resize_claim(&self, claim: &str, size: &str) -> Outcome {
        let change = json!({"spec": {"resources": {"requests": {"storage": size}}}});
        self.claims
            .patch(claim, &merge_parameters(), &Patch::Merge(&change))
            .await
            .map(drop)
    }

    async fn bind(&self, strand: &BoboykaStrand, pod_name: &str, pod_uid: &str) -> Outcome {
        let spec = json!({
            "holder": {"podName": pod_name, "podUid": pod_uid},
            "witnessed": witness::newest(strand),
        });
        self.set(strand, spec).await
    }

    async fn release(
        &self,
        strand: &BoboykaStrand,
        pod_name: &str,
        pod_uid: &str,
        next: Option<&Holder>,
    ) -> Outcome {
        if self.is_pod_alive(pod_name, pod_uid).await? {
            return Ok(());
        }
        let spec = json!({"holder": next, "witnessed": witness::newest(strand)});
        self.set(strand, spec).await
    }

    async fn take_back(&self, strand: &BoboykaStrand, token: &str) -> Outcome {
        if self.is_carried(token).await? {
            return Ok(());
        }
        let name = strand.name_any();
        tracing::info!(
            namespace = self.integration.namespace,
            strand = name,
            "took back strand {name}: the pod that it was given to never came"
        );
        self.set(strand, json!({"holder": null})).await
    }

    async fn delete(&self, strand: &BoboykaStrand) -> Outcome {
        let parameters = DeleteParams {
            preconditions: Some(Preconditions {
                resource_version: strand.resource_version(),
                uid: strand.uid(),
            }),
            ..DeleteParams::default()
        };
        let deleted = self.strands.delete(&strand.name_any(), &parameters).await;
        deleted.map(drop)
    }

    async fn set(&self, strand: &BoboykaStrand, spec: Value) -> Outcome {
        self.write(strand, spec).await.map(drop)
    }

    async fn write(
        &self,
        strand: &BoboykaStrand,
        spec: Value,
    ) -> Result<BoboykaStrand, kube::Error> {
        let change = json!({
            "metadata": {"resourceVersion": strand.metadata.resource_version}, "spec": spec,
        });
        let name = strand.name_any();
        self.strands
            .patch(&name, &merge_parameters(), &Patch::Merge(&change))
            .await
    }

    /// Whether a pod carries the token of this hash, as the API server knew when the first was asked for.
    async fn is_carried(&self, token: &str) -> Result<bool, kube::Error> {
        let carried = self.carried.get_or_try_init(|| async {
            let pods = self.pods.list_metadata(&self.ours()).await?;
            let tokens = pods.iter().filter_map(|pod| {
                let token = pod.annotations().get(names::TOKEN_ANNOTATION)?;
                Some(digest(token))
            });
            Ok::<_, kube::Error>(tokens.collect())
        });
        Ok(carried.await?.contains(token))
    }

    /// Selects what belongs to the integration.
    fn ours(&self) -> ListParams {
        let label = format!("{}={}", names::INTEGRATION_LABEL, self.integration.name);
        ListParams::default().labels(&label)
    }
}

/// Makes the integration the owner of an object, or removes the integration as its owner.
async fn own<K>(api: &Api<K>, name: &str, owner: Option<&OwnerReference>) -> Outcome
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + DeserializeOwned
        + std::fmt::Debug,
{
    let found = api.get_metadata(name).await?;
    let others = found.metadata.owner_references.into_iter().flatten();
    let others = others.filter(|one| one.kind != "BoboykaIntegration");
    let owners: Vec<OwnerReference> = others.chain(owner.cloned()).collect();
    let change = json!({"metadata": {
        "resourceVersion": found.metadata.resource_version, "ownerReferences": owners,
    }});
    api.patch(name, &merge_parameters(), &Patch::Merge(&change))
        .await
        .map(drop)
}

/// Says on a strand what contradicts a checkpoint that the operator has cosigned; what was found first stays.
pub(crate) async fn contradict(
    client: &Client,
    namespace: &str,
    name: &str,
    found: &Contradiction,
) -> Outcome {
    let strands: Api<BoboykaStrand> = Api::namespaced(client.clone(), namespace);
    for last in [false, false, true] {
        let Some(strand) = strands.get_opt(name).await? else {
            return Ok(());
        };
        if strand.spec.contradiction.is_some() {
            return Ok(());
        }
        let change = json!({
            "metadata": {"resourceVersion": strand.metadata.resource_version},
            "spec": {"contradiction": found},
        });
        let (parameters, change) = (merge_parameters(), Patch::Merge(&change));
        match strands.patch(name, &parameters, &change).await {
            Err(error) if is_outdated(&error) && !last => {}
            written => return written.map(drop),
        }
    }
    Ok(())
}
