//! Reads from the caches, once, what exists of one integration. Nothing after this reads anywhere else.

use boboyka_crds::{BoboykaIntegration, names};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::Selector;
use kube::runtime::reflector::Store;
use kube::{Resource, ResourceExt as _};

use super::seen::Seen;
use super::workload::{Workload, WorkloadKind, selected_by};
use crate::caches::{Caches, Meta, Unread};
use crate::integration::selector_of;

/// Reads what exists of an integration.
pub(super) fn observe(caches: &Caches, integration: &BoboykaIntegration) -> Seen {
    let (namespace, name) = (
        integration.namespace().unwrap_or_default(),
        integration.name_any(),
    );
    let ours = |meta: &ObjectMeta| {
        let labels = meta.labels.as_ref();
        let label = labels.and_then(|labels| labels.get(names::INTEGRATION_LABEL));
        meta.namespace.as_deref() == Some(&namespace) && label == Some(&name)
    };
    let selects = integration.spec.workload_selector.is_some();
    let workloads = workloads(caches, |meta| {
        meta.namespace.as_deref() == Some(&namespace)
            && (selects || selected_by(meta) == Some(&name))
    });
    let all = caches.strands_of(&namespace, &name);
    let (history, strands) = all.into_iter().partition::<Vec<_>, _>(|it| it.is_history());
    Seen {
        strands,
        history: history.into_iter().next(),
        pods: caches
            .pods
            .select(&namespace, |pod| *pod.integration == *name),
        claims: caches
            .claims
            .select(&namespace, |claim| *claim.integration == *name),
        jobs: caches.jobs.state_filter(|job| ours(&job.metadata)),
        workloads: workloads.into_iter().map(|(_, one)| one).collect(),
        rivals: rivals(caches, integration),
        names: names_of_projects(caches, integration),
        fleet: caches.strands.count(),
    }
}

/// The names of legacy projects, if the integration reads them from a ConfigMap.
fn names_of_projects(
    caches: &Caches,
    integration: &BoboykaIntegration,
) -> Option<Result<Vec<String>, Unread>> {
    let from = integration.spec.migration.as_ref()?.reads()?;
    let namespace = integration.namespace().unwrap_or_default();
    Some(caches.lists.names(&namespace, from))
}

/// Older integrations of the same namespace that select workloads. Of two of the same age the first by name is older. A
/// suspended one keeps its workloads too: their pods would change sides, and back when it goes on.
fn rivals(caches: &Caches, integration: &BoboykaIntegration) -> Vec<(String, Selector)> {
    let age = |one: &BoboykaIntegration| {
        let made = one.metadata.creation_timestamp.as_ref();
        (made.map(|made| made.0), one.name_any())
    };
    let all = caches.integrations.state_filter(|one| {
        let read = one.0.as_ref();
        one.namespace() == integration.namespace()
            && read.is_ok_and(|one| age(one) < age(integration))
    });
    let selecting = all.iter().filter_map(|one| {
        let one = one.0.as_ref().ok()?;
        Some((one.name_any(), selector_of(one)?.ok()?))
    });
    selecting.collect()
}

/// The workloads of every kind that are wanted, each with its namespace.
pub(super) fn workloads(
    caches: &Caches,
    wanted: impl Fn(&ObjectMeta) -> bool,
) -> Vec<(String, Workload)> {
    let all = &caches.workloads;
    let mut found = of_kind(&all.deployments, WorkloadKind::Deployment, &wanted);
    found.extend(of_kind(
        &all.stateful_sets,
        WorkloadKind::StatefulSet,
        &wanted,
    ));
    found.extend(of_kind(&all.daemon_sets, WorkloadKind::DaemonSet, &wanted));
    found.extend(of_kind(&all.cron_jobs, WorkloadKind::CronJob, &wanted));
    found
}

fn of_kind<K>(
    store: &Store<Meta<K>>,
    kind: WorkloadKind,
    wanted: impl Fn(&ObjectMeta) -> bool,
) -> Vec<(String, Workload)>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    let found = store.state_filter(|one| wanted(&one.metadata));
    found
        .iter()
        .map(|one| {
            let namespace = one.metadata.namespace.clone().unwrap_or_default();
            (namespace, Workload::of(kind, &one.metadata))
        })
        .collect()
}
