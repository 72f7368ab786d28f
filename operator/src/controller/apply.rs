//! The one place that changes the cluster for an integration. Every write is tried; what fails is told and tried again.
//!
//! A strand is freed only after the API server itself was asked about its pod: a cache that lags must not hand out a
//! strand that is open.

mod sidecars;
mod strands;
pub(super) mod workloads;

use std::time::Instant;

use boboyka_crds::names;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::api::rbac::v1::RoleBinding;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;

use super::observe::Workload;
use super::plan::{Plan, StrandChange, WITNESS_INTERVAL};
use super::rollout::Rollout;
use super::{Leader, Memory};
use crate::build;
use crate::integration::Validated;

/// Writes side by side: a fleet that starts at once is bound within seconds, and the API server is not flooded.
const SIDE_BY_SIDE: usize = 8;

/// What came of a plan.
#[derive(Debug, Default)]
pub(super) struct Applied {
    /// What could not be done, and why, as "do this: reason".
    pub(super) failures: Vec<String>,
    /// Workloads that somebody else gave another integration's label.
    pub(super) contested: Vec<String>,
}

type Outcome = Result<(), kube::Error>;

/// Awaits writes, some at a time; their outcomes in the same order.
async fn side_by_side(writes: Vec<BoxFuture<'_, Outcome>>) -> Vec<Outcome> {
    futures_util::stream::iter(writes)
        .buffered(SIDE_BY_SIDE)
        .collect()
        .await
}

impl Leader {
    pub(super) async fn apply(
        &self,
        validated: &Validated,
        plan: Plan,
        rollout: &Rollout,
        memory: &mut Memory,
    ) -> Applied {
        let Plan {
            bind_role,
            strands,
            found,
            unclaimed,
            claims,
            resized,
            select,
            deselect,
        } = plan;
        let mut applied = Applied::default();
        let doer = &Doer {
            client: self.client.clone(),
            validated,
        };
        if bind_role {
            let bound = doer.bind_role().await;
            let ok = applied.note("bind the sidecars' role", bound);
            memory.bound = ok.then(|| (Instant::now(), validated.generation));
        }
        let made = found.iter().map(|strand| doer.make(strand).boxed());
        for outcome in side_by_side(made.collect()).await {
            applied.note("make a strand again from its claim", outcome);
        }
        let changed = strands
            .iter()
            .map(|(strand, change)| doer.change(strand, change).boxed());
        let outcomes = side_by_side(changed.collect()).await;
        for ((strand, change), outcome) in strands.iter().zip(outcomes) {
            let doing = format!("change the strand {}", strand.name_any());
            if applied.note(&doing, outcome) && matches!(change, StrandChange::Witness(_)) {
                let next = Instant::now() + WITNESS_INTERVAL;
                memory
                    .witness_due
                    .extend(strand.uid().map(|uid| (uid, next)));
            }
        }
        for strand in &unclaimed {
            let claimed = doer.claim(strand).await;
            applied.note(
                &format!("make the claim of the strand {}", strand.name_any()),
                claimed,
            );
        }
        for (claim, owner) in &claims {
            let owned = doer
                .own::<PersistentVolumeClaim>(claim, owner.as_ref())
                .await;
            applied.note(&format!("change the owner of the claim {claim}"), owned);
        }
        if resized {
            let resized = doer.resize().await;
            applied.note("ask for larger volumes", resized);
        }
        self.apply_workloads(doer, &select, &deselect, memory, &mut applied)
            .await;
        let moved = doer.roll(rollout).await;
        applied.note("move a sidecar to its new image", moved);
        applied
    }

    async fn apply_workloads(
        &self,
        doer: &Doer<'_>,
        select: &[Workload],
        deselect: &[Workload],
        memory: &mut Memory,
        applied: &mut Applied,
    ) {
        for workload in select {
            match workloads::label(
                &doer.client,
                &doer.validated.namespace,
                workload,
                Some(&doer.validated.name),
            )
            .await
            {
                Ok(generation) => {
                    memory.selected.insert(workload.uid.clone(), generation);
                }
                Err(kube::Error::Api(status)) if status.is_conflict() => {
                    applied
                        .contested
                        .push(format!("{:?} {}", workload.kind, workload.name));
                }
                Err(error) => drop(applied.note(&format!("label {}", workload.name), Err(error))),
            }
        }
        for workload in deselect {
            let gone = workloads::label(&doer.client, &doer.validated.namespace, workload, None)
                .await
                .map(drop);
            applied.note(&format!("take the label off {}", workload.name), gone);
            memory.selected.remove(&workload.uid);
        }
    }
}

impl Applied {
    /// Whether it was done; something that is gone meanwhile, or was changed by another, is seen at the next look.
    fn note(&mut self, doing: &str, outcome: Outcome) -> bool {
        match outcome {
            Ok(()) => true,
            Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => false,
            Err(error) => {
                self.failures.push(format!("{doing}: {error}"));
                false
            }
        }
    }
}

/// Writes for one integration.
pub(super) struct Doer<'a> {
    client: Client,
    validated: &'a Validated,
}

impl Doer<'_> {
    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.validated.namespace)
    }

    async fn bind_role(&self) -> Outcome {
        let Some(binding) = build::role_binding::new(self.validated) else {
            return Ok(());
        };
        let name = build::role_binding::name(&self.validated.name);
        let parameters = PatchParams::apply(names::OPERATOR_MANAGER).force();
        self.api::<RoleBinding>()
            .patch(&name, &parameters, &Patch::Apply(&binding))
            .await
            .map(drop)
    }

    /// Makes the integration the owner of an object, or not any more.
    async fn own<K>(&self, name: &str, owner: Option<&OwnerReference>) -> Outcome
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
            + Clone
            + serde::de::DeserializeOwned
            + std::fmt::Debug,
    {
        let api = self.api::<K>();
        let found = api.get_metadata(name).await?;
        let others = found
            .metadata
            .owner_references
            .unwrap_or_default()
            .into_iter();
        let others = others.filter(|one| one.kind != "BoboykaIntegration");
        let owners: Vec<OwnerReference> = others.chain(owner.cloned()).collect();
        let change = json!({"metadata": {
            "resourceVersion": found.metadata.resource_version, "ownerReferences": owners,
        }});
        api.patch(name, &merge_parameters(), &Patch::Merge(&change))
            .await
            .map(drop)
    }
}

fn merge_parameters() -> PatchParams {
    PatchParams {
        field_manager: Some(names::OPERATOR_MANAGER.to_owned()),
        ..PatchParams::default()
    }
}
