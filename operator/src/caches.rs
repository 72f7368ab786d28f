//! What every replica knows of the cluster, kept by watches: integrations and strands whole, pods, claims, volumes and
//! nodes as a few facts, lists of legacy projects, everything else by its metadata. Admission decides from here, and the controller observes from here.
//!
//! An object that this version can't read breaks no watch: an integration is kept as the error, a strand is not kept.

mod changes;
mod claim;
mod kept;
mod kinds;
mod lists;
mod pod;
mod topology;
mod watch;
mod words;

use std::fmt::Debug;
use std::sync::Arc;

use boboyka_crds::{BoboykaStrand, Migration, names};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{self, PersistentVolumeClaim};
use kube::core::DeserializeGuard;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher;
use kube::{Resource, ResourceExt as _};
use tokio::sync::watch::Sender;
use tokio::task::JoinSet;

pub(crate) use changes::Changes;
pub(crate) use claim::Claim;
use kept::Changed;
pub(crate) use kept::Kept;
pub(crate) use kinds::{GuardedIntegration, Meta, Touched};
pub(crate) use lists::{Lists, Unread};
pub(crate) use pod::Pod;
pub(crate) use topology::{Node, Topology};
pub(crate) use watch::Scope;
use watch::{keep, keep_read, slim_meta, slim_workload};
use words::Words;

/// Pods that have ended look deleted: what they held is free.
const LIVE_PODS: &str = "status.phase!=Succeeded,status.phase!=Failed";

/// What is known of the cluster. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Caches {
    /// All integrations.
    pub(crate) integrations: Store<GuardedIntegration>,
    /// All strands that this version can read.
    pub(crate) strands: Kept<BoboykaStrand>,
    /// Labelled pods that have not ended.
    pub(crate) pods: Kept<Pod>,
    /// Claims on the volumes of strands.
    pub(crate) claims: Kept<Claim>,
    /// The operator's own Jobs, which work on strands.
    pub(crate) jobs: Store<Job>,
    /// Workloads that a selector may choose.
    pub(crate) workloads: Workloads,
    /// Lists of legacy projects in `ConfigMap`s.
    pub(crate) lists: Lists,
    /// Where volumes lie; `None` when only one namespace is read.
    topology: Option<Topology>,
    /// Changes, for the controller.
    pub(crate) changes: Changes,
    synced: Arc<Sender<bool>>,
}

/// The workloads of each kind that a selector may choose.
#[derive(Clone)]
pub(crate) struct Workloads {
    /// Deployments.
    pub(crate) deployments: Store<Meta<Deployment>>,
    /// StatefulSets.
    pub(crate) stateful_sets: Store<Meta<StatefulSet>>,
    /// DaemonSets.
    pub(crate) daemon_sets: Store<Meta<DaemonSet>>,
    /// CronJobs.
    pub(crate) cron_jobs: Store<Meta<CronJob>>,
}

impl Caches {
    /// Starts the watches in `tasks`; none of them ends by itself.
    /// `lists` are the names of the `ConfigMap`s that may have lists of legacy projects.
    pub(crate) fn start(scope: &Scope, lists: &[String], tasks: &mut JoinSet<()>) -> Self {
        let changes = Changes::new(tasks);
        let plain = watcher::Config::default;
        let touch = || {
            let changes = changes.clone();
            move |reference| changes.touch(reference)
        };
        let integrations = keep(scope, plain(), tasks, |_| {}, {
            let touch = touch();
            move |one: &GuardedIntegration| touch(own(one))
        });
        let caches = Self {
            lists: keep_lists(scope, lists, tasks, &changes, &integrations),
            integrations,
            strands: keep_strands(scope, tasks, &changes),
            pods: keep_pods(scope, tasks, &changes),
            claims: keep_claims(scope, tasks, &changes),
            jobs: keep(
                scope,
                plain().labels(names::JOB_LABEL),
                tasks,
                |job: &mut Job| slim_meta(&mut job.metadata),
                {
                    let touch = touch();
                    move |one: &Job| touch(labelled_with(one))
                },
            ),
            workloads: Workloads {
                deployments: keep_workloads(scope, tasks, &changes),
                stateful_sets: keep_workloads(scope, tasks, &changes),
                daemon_sets: keep_workloads(scope, tasks, &changes),
                cron_jobs: keep_workloads(scope, tasks, &changes),
            },
            topology: Topology::start(scope, tasks),
            synced: Arc::new(Sender::new(false)),
            changes,
        };
        tasks.spawn({
            let caches = caches.clone();
            async move {
                caches.sync().await;
                std::future::pending::<()>().await;
            }
        });
        caches
    }

    /// Waits until everything has been listed once.
    pub(crate) async fn wait_until_synced(&self) {
        let mut synced = self.synced.subscribe();
        // The sender is behind `self`.
        let _ = synced.wait_for(|synced| *synced).await;
    }

    /// Whether everything has been listed once.
    pub(crate) fn is_synced(&self) -> bool {
        *self.synced.borrow()
    }

    /// Waits for every list. kube's stores wake only one of those who wait, so everybody else waits for `synced`.
    async fn sync(&self) {
        let workloads = &self.workloads;
        // An error says that a watch's task ended, which ends the process.
        let _ = tokio::join!(
            self.integrations.wait_until_ready(),
            self.strands.wait_until_listed(),
            self.pods.wait_until_listed(),
            self.claims.wait_until_listed(),
            self.jobs.wait_until_ready(),
            workloads.deployments.wait_until_ready(),
            workloads.stateful_sets.wait_until_ready(),
            workloads.daemon_sets.wait_until_ready(),
            workloads.cron_jobs.wait_until_ready(),
            self.lists.wait_until_answered(),
            async {
                if let Some(topology) = &self.topology {
                    topology.wait_until_answered().await;
                }
            },
        );
        self.synced.send_replace(true);
    }

    /// Where volumes lie, if the operator may read it.
    pub(crate) fn known_topology(&self) -> Option<&Topology> {
        self.topology
            .as_ref()
            .filter(|topology| topology.is_known())
    }

    /// An integration's strands that this version can read, by name.
    pub(crate) fn strands_of(&self, namespace: &str, integration: &str) -> Vec<Arc<BoboykaStrand>> {
        self.strands
            .select(namespace, |strand| strand.spec.integration == integration)
    }
}

fn keep_strands(scope: &Scope, tasks: &mut JoinSet<()>, changes: &Changes) -> Kept<BoboykaStrand> {
    let changes = changes.clone();
    let read = |one: DeserializeGuard<BoboykaStrand>| {
        let mut strand = one.0.ok()?;
        // Nobody reads them; there are as many as strands.
        (strand.metadata.labels, strand.metadata.annotations) = (None, None);
        Some(strand)
    };
    let note = move |change: Changed<BoboykaStrand>, namespace: &str| {
        let (Changed::There(strand) | Changed::Gone(strand)) = change;
        changes.touch_soon(reference(namespace, &strand.spec.integration));
    };
    keep_read(scope, watcher::Config::default(), tasks, read, note)
}

fn keep_pods(scope: &Scope, tasks: &mut JoinSet<()>, changes: &Changes) -> Kept<Pod> {
    let changes = changes.clone();
    let config = watcher::Config::default()
        .labels(names::INTEGRATION_LABEL)
        .fields(LIVE_PODS);
    let words = Words::default();
    let read = move |one: Meta<v1::Pod>| Some(Pod::of(one.metadata, &words));
    let note = move |change: Changed<Pod>, namespace: &str| {
        if let Changed::Gone(pod) = &change {
            changes.note_gone(&pod.uid);
        }
        let (Changed::There(pod) | Changed::Gone(pod)) = change;
        changes.touch(reference(namespace, &pod.integration));
    };
    keep_read(scope, config, tasks, read, note)
}

fn keep_claims(scope: &Scope, tasks: &mut JoinSet<()>, changes: &Changes) -> Kept<Claim> {
    let changes = changes.clone();
    let config = watcher::Config::default().labels(names::STRAND_LABEL);
    let words = Words::default();
    let read = move |one: PersistentVolumeClaim| Some(Claim::of(one, &words));
    let note = move |change: Changed<Claim>, namespace: &str| {
        let (Changed::There(claim) | Changed::Gone(claim)) = change;
        changes.touch(reference(namespace, &claim.integration));
    };
    keep_read(scope, config, tasks, read, note)
}

/// Has the integrations looked at that read a ConfigMap which changed.
fn keep_lists(
    scope: &Scope,
    names: &[String],
    tasks: &mut JoinSet<()>,
    changes: &Changes,
    integrations: &Store<GuardedIntegration>,
) -> Lists {
    let (changes, integrations) = (changes.clone(), integrations.clone());
    Lists::start(scope, names, tasks, move |namespace, name| {
        let reads = |one: &GuardedIntegration| {
            let spec = one.0.as_ref().map(|one| &one.spec).ok();
            let migration = spec.and_then(|spec| spec.migration.as_ref());
            let from = migration.and_then(Migration::reads);
            one.namespace().as_deref() == Some(namespace) && from.is_some_and(|it| it.name == name)
        };
        let readers = integrations.state_filter(reads);
        for one in &readers {
            changes.touch(own(&**one));
        }
    })
}

fn keep_workloads<K>(scope: &Scope, tasks: &mut JoinSet<()>, changes: &Changes) -> Store<Meta<K>>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + Debug
        + Send
        + Sync
        + 'static,
{
    let changes = changes.clone();
    keep(
        scope,
        watcher::Config::default(),
        tasks,
        slim_workload,
        move |one: &Meta<K>| {
            changes.note_workload(one.metadata.namespace.clone().unwrap_or_default());
        },
    )
}

fn own<K: Resource>(one: &K) -> Touched {
    reference(&one.namespace().unwrap_or_default(), &one.name_any())
}

fn labelled_with<K: Resource>(one: &K) -> Touched {
    let label = one.labels().get(names::INTEGRATION_LABEL);
    reference(
        &one.namespace().unwrap_or_default(),
        label.map_or("", String::as_str),
    )
}

fn reference(namespace: &str, integration: &str) -> Touched {
    ObjectRef::new(integration).within(namespace)
}

#[cfg(test)]
mod tests;
