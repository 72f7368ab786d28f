//! What is there of one integration, read once from the caches. Nothing after this looks anywhere else.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use boboyka_crds::{BoboykaIntegration, BoboykaStrand, IntegrationStatus, names};
use k8s_openapi::Resource as Kind;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::ResourceExt as _;
use kube::runtime::reflector::Store;

use super::status::chain_of;
use crate::caches::{Caches, Meta, Pod};
use crate::phases::Evidence;

/// A report older than so many intervals is no sign of life.
const FRESH_INTERVALS: i32 = 8;
/// The least interval, in seconds.
pub(super) const INTERVAL_MIN: i32 = 10;

/// The kind of a workload that a selector may choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WorkloadKind {
    Deployment,
    StatefulSet,
    DaemonSet,
    CronJob,
}

/// A workload of the integration's namespace.
#[derive(Clone, Debug)]
pub(super) struct Workload {
    pub(super) kind: WorkloadKind,
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) generation: i64,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) selected_by: Option<String>,
}

/// What is there of an integration.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub(super) strands: Vec<Arc<BoboykaStrand>>,
    pub(super) pods: Vec<Arc<Pod>>,
    pub(super) claims: Vec<ObjectMeta>,
    pub(super) drains: Vec<Arc<Job>>,
    pub(super) workloads: Vec<Workload>,
    /// Strands of all integrations: they share the API server.
    pub(super) fleet: usize,
}

/// Reads what is there.
pub(super) fn observe(caches: &Caches, integration: &BoboykaIntegration) -> Seen {
    let (namespace, name) = (
        integration.namespace().unwrap_or_default(),
        integration.name_any(),
    );
    let ours = |meta: &ObjectMeta| {
        let label = meta
            .labels
            .as_ref()
            .and_then(|labels| labels.get(names::INTEGRATION_LABEL));
        meta.namespace.as_deref() == Some(&namespace) && label == Some(&name)
    };
    let claims = caches.claims.state_filter(|claim| ours(&claim.metadata));
    let all = &caches.workloads;
    let mut workloads = in_namespace(&all.deployments, WorkloadKind::Deployment, &namespace);
    workloads.extend(in_namespace(
        &all.stateful_sets,
        WorkloadKind::StatefulSet,
        &namespace,
    ));
    workloads.extend(in_namespace(
        &all.daemon_sets,
        WorkloadKind::DaemonSet,
        &namespace,
    ));
    workloads.extend(in_namespace(
        &all.cron_jobs,
        WorkloadKind::CronJob,
        &namespace,
    ));
    Seen {
        strands: caches.strands_of(&namespace, &name),
        pods: caches
            .pods
            .select(&namespace, |pod| pod.integration == name),
        claims: claims.iter().map(|claim| claim.metadata.clone()).collect(),
        drains: caches.drains.state_filter(|job| ours(&job.metadata)),
        workloads,
        fleet: caches.strands.count(),
    }
}

/// The workloads of a kind in one namespace.
pub(super) fn in_namespace<K>(
    store: &Store<Meta<K>>,
    kind: WorkloadKind,
    namespace: &str,
) -> Vec<Workload>
where
    K: kube::Resource<DynamicType = ()> + Kind + Clone + 'static,
{
    let found = store.state_filter(|one| one.metadata.namespace.as_deref() == Some(namespace));
    found
        .iter()
        .map(|one| workload_of(kind, &one.metadata))
        .collect()
}

/// A workload from its metadata.
pub(super) fn workload_of(kind: WorkloadKind, meta: &ObjectMeta) -> Workload {
    let annotations = meta.annotations.as_ref();
    Workload {
        kind,
        name: meta.name.clone().unwrap_or_default(),
        uid: meta.uid.clone().unwrap_or_default(),
        generation: meta.generation.unwrap_or_default(),
        labels: meta.labels.clone().unwrap_or_default(),
        selected_by: annotations
            .and_then(|all| all.get(names::SELECTED_ANNOTATION))
            .cloned(),
    }
}

impl Seen {
    /// What the strands show for a change of phase.
    pub(super) fn evidence(&self, before: &IntegrationStatus, now: &Time) -> Vec<Evidence> {
        let shown = self.strands.iter().map(|strand| {
            Evidence::of(
                strand,
                is_fresh(strand, before, now),
                chain_of(strand).is_ok(),
            )
        });
        shown.collect()
    }
}

/// Whether the strand's holder has said something lately.
pub(super) fn is_fresh(strand: &BoboykaStrand, before: &IntegrationStatus, now: &Time) -> bool {
    let (Some(status), Some(holder)) = (&strand.status, &strand.spec.holder) else {
        return false;
    };
    let interval = before
        .report_interval_seconds
        .unwrap_or(INTERVAL_MIN)
        .max(INTERVAL_MIN);
    let most = Duration::from_secs(u64::try_from(interval * FRESH_INTERVALS).unwrap_or_default());
    let recent = status
        .reported_at
        .as_ref()
        .is_some_and(|at| now.0.duration_since(at.0).unsigned_abs() <= most || at.0 > now.0);
    recent && holder.pod_uid.is_some() && status.pod_uid == holder.pod_uid
}
