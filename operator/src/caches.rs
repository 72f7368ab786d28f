//! What every replica knows of the cluster, kept by watches: integrations and strands whole, pods as a few facts,
//! everything else by its metadata. Admission answers from here, and the controller observes from here.
//!
//! What this version can't read breaks no watch: an integration is kept as that, with the reason; a strand is not kept.

mod changes;
mod kept;
mod pod;

use std::fmt::Debug;
use std::future::ready;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use boboyka_crds::{BoboykaIntegration, BoboykaStrand, names};
use futures_util::{Stream, StreamExt as _};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{self, PersistentVolumeClaim};
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, watcher as watch};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;

pub use changes::{Changes, Touched};
use kept::Changed;
pub use kept::Kept;
pub use pod::Pod;

use crate::backoff::WatchBackoff;

/// An integration, or why it can't be read.
pub type GuardedIntegration = DeserializeGuard<BoboykaIntegration>;
/// The metadata of an object.
pub type Meta<K> = PartialObjectMeta<K>;

/// Pods that have come to their end look deleted: what they held is free.
const LIVE_PODS: &str = "status.phase!=Succeeded,status.phase!=Failed";

/// Objects of a page when a kind is listed: what is read of them stays between what is not, so that large pages leave
/// large holes behind.
const PAGE: u32 = 50;

/// What is known of the cluster. Cheap to clone.
#[derive(Clone)]
pub struct Caches {
    /// All integrations.
    pub integrations: Store<GuardedIntegration>,
    /// All strands that this version can read.
    pub strands: Kept<BoboykaStrand>,
    /// Labelled pods that have not come to their end.
    pub pods: Kept<Pod>,
    /// Claims on strands' volumes.
    pub claims: Store<Meta<PersistentVolumeClaim>>,
    /// Jobs that drain.
    pub drains: Store<Job>,
    /// Workloads that a selector may choose.
    pub workloads: Workloads,
    /// What changed, for the controller.
    pub changes: Changes,
    synced: Arc<AtomicBool>,
}

/// The workloads of each kind that a selector may choose.
#[derive(Clone)]
pub struct Workloads {
    /// Deployments.
    pub deployments: Store<Meta<Deployment>>,
    /// StatefulSets.
    pub stateful_sets: Store<Meta<StatefulSet>>,
    /// DaemonSets.
    pub daemon_sets: Store<Meta<DaemonSet>>,
    /// CronJobs.
    pub cron_jobs: Store<Meta<CronJob>>,
}

impl Debug for Caches {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Caches")
    }
}

/// A scope to watch: one namespace, or all.
#[derive(Clone)]
pub struct Scope {
    client: Client,
    namespace: Option<String>,
}

impl Debug for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Scope({:?})", self.namespace)
    }
}

impl Scope {
    /// One namespace, or all.
    pub fn new(client: Client, namespace: Option<String>) -> Self {
        Self { client, namespace }
    }

    fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        match &self.namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        }
    }
}

impl Caches {
    /// Starts the watches in `tasks`; none of them ends by itself.
    pub fn start(scope: &Scope, tasks: &mut JoinSet<()>) -> Self {
        let changes = Changes::new(tasks);
        let plain = watcher::Config::default;
        let labelled = |label: &str| plain().labels(label);
        let touch = || {
            let changes = changes.clone();
            move |reference| changes.now(reference)
        };
        let caches = Self {
            integrations: keep(scope, plain(), tasks, |_| {}, {
                let touch = touch();
                move |one: &GuardedIntegration| touch(own(one))
            }),
            strands: keep_strands(scope, tasks, &changes),
            pods: keep_pods(scope, tasks, &changes),
            claims: keep(scope, labelled(names::STRAND_LABEL), tasks, slim, {
                let touch = touch();
                move |one: &Meta<PersistentVolumeClaim>| touch(labelled_with(one))
            }),
            drains: keep(
                scope,
                labelled(names::DRAIN_LABEL),
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
            synced: Arc::default(),
            changes,
        };
        tasks.spawn({
            let caches = caches.clone();
            async move {
                caches.wait_until_synced().await;
                std::future::pending::<()>().await;
            }
        });
        caches
    }

    /// Whether everything has been listed once.
    pub fn is_synced(&self) -> bool {
        self.synced.load(Ordering::Relaxed)
    }

    /// Waits until everything has been listed once.
    pub async fn wait_until_synced(&self) {
        let workloads = &self.workloads;
        // An error says that a watch's task ended, which ends the process.
        let _ = tokio::join!(
            self.integrations.wait_until_ready(),
            self.strands.wait_until_listed(),
            self.pods.wait_until_listed(),
            self.claims.wait_until_ready(),
            self.drains.wait_until_ready(),
            workloads.deployments.wait_until_ready(),
            workloads.stateful_sets.wait_until_ready(),
            workloads.daemon_sets.wait_until_ready(),
            workloads.cron_jobs.wait_until_ready(),
        );
        self.synced.store(true, Ordering::Relaxed);
    }

    /// An integration's strands that this version can read, by name.
    pub fn strands_of(&self, namespace: &str, integration: &str) -> Vec<Arc<BoboykaStrand>> {
        self.strands
            .select(namespace, |strand| strand.spec.integration == integration)
    }
}

fn keep_strands(scope: &Scope, tasks: &mut JoinSet<()>, changes: &Changes) -> Kept<BoboykaStrand> {
    let changes = changes.clone();
    let read = |one: DeserializeGuard<BoboykaStrand>| one.0.ok();
    let tell = move |change: Changed<BoboykaStrand>, namespace: &str| {
        let (Changed::There(strand) | Changed::Gone(strand)) = change;
        changes.soon(reference(namespace, &strand.spec.integration));
    };
    keep_read(scope, watcher::Config::default(), tasks, read, tell)
}

fn keep_pods(scope: &Scope, tasks: &mut JoinSet<()>, changes: &Changes) -> Kept<Pod> {
    let changes = changes.clone();
    let config = watcher::Config::default()
        .labels(names::INTEGRATION_LABEL)
        .fields(LIVE_PODS);
    let read = |one: Meta<v1::Pod>| Some(Pod::of(one.metadata));
    let tell = move |change: Changed<Pod>, namespace: &str| {
        if let Changed::Gone(pod) = &change {
            changes.note_gone(&pod.uid);
        }
        let (Changed::There(pod) | Changed::Gone(pod)) = change;
        changes.now(reference(namespace, &pod.integration));
    };
    keep_read(scope, config, tasks, read, tell)
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
            changes.workload(one.metadata.namespace.clone().unwrap_or_default());
        },
    )
}

/// Watches a kind into a store. `slim` drops what nobody reads; `changed` hears of every object that changed.
fn keep<K>(
    scope: &Scope,
    config: watcher::Config,
    tasks: &mut JoinSet<()>,
    slim: impl Fn(&mut K) + Send + 'static,
    changed: impl Fn(&K) + Send + 'static,
) -> Store<K>
where
    K: Resource<Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + Sync
        + 'static,
    K::DynamicType: Default + Eq + Hash + Clone + Send + Sync,
{
    let (store, mut writer) = reflector::store::<K>();
    let events = watched::<K>(scope, config);
    tasks.spawn(events.for_each(move |mut event| {
        if let Event::Apply(one) | Event::InitApply(one) = &mut event {
            slim(one);
        }
        writer.apply_watcher_event(&event);
        if let Event::Apply(one) | Event::InitApply(one) | Event::Delete(one) = &event {
            changed(one);
        }
        ready(())
    }));
    store
}

/// Watches a kind and keeps what is read of it. `changed` hears of every change, with the namespace.
fn keep_read<K, T>(
    scope: &Scope,
    config: watcher::Config,
    tasks: &mut JoinSet<()>,
    read: impl Fn(K) -> Option<T> + Send + 'static,
    changed: impl Fn(Changed<T>, &str) + Send + 'static,
) -> Kept<T>
where
    K: Resource<Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned + Send + 'static,
    K::DynamicType: Default + Clone + Send + Sync,
    T: Send + Sync + 'static,
{
    let kept = Kept::default();
    let follower = kept.clone();
    tasks.spawn(watched::<K>(scope, config).for_each(move |event| {
        for (namespace, change) in follower.follow(event, &read) {
            changed(change, &namespace);
        }
        ready(())
    }));
    kept
}

/// The events of a kind's watch, for ever, without what says who manages which field.
fn watched<K>(scope: &Scope, config: watcher::Config) -> impl Stream<Item = Event<K>> + use<K>
where
    K: Resource<Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned + Send + 'static,
    K::DynamicType: Default + Clone,
{
    let kind = K::kind(&K::DynamicType::default()).into_owned();
    let mut failing = false;
    let events = watch(scope.api::<K>(), config.page_size(PAGE)).backoff(WatchBackoff::default());
    events.filter_map(move |event| {
        ready(match event {
            Ok(mut event) => {
                match &mut event {
                    Event::Apply(one) | Event::InitApply(one) | Event::Delete(one) => {
                        one.meta_mut().managed_fields = None;
                    }
                    Event::InitDone => failing = false,
                    Event::Init => {}
                }
                Some(event)
            }
            Err(error) => {
                // Said once: the watch is tried again until it holds.
                if !failing {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(kind, error, "the watch on {kind} failed and is tried again");
                }
                failing = true;
                None
            }
        })
    })
}

/// Of claims and jobs only our own labels and annotations are read.
fn slim<K>(one: &mut Meta<K>) {
    one.types = None;
    slim_meta(&mut one.metadata);
}

fn slim_meta(meta: &mut kube::core::ObjectMeta) {
    let ours = |name: &String, _: &mut String| name.starts_with(names::GROUP);
    if let Some(labels) = &mut meta.labels {
        labels.retain(ours);
    }
    if let Some(annotations) = &mut meta.annotations {
        annotations.retain(ours);
    }
}

/// Of workloads their labels are read too: selectors choose by them.
fn slim_workload<K>(one: &mut Meta<K>) {
    one.types = None;
    one.metadata.owner_references = None;
    if let Some(annotations) = &mut one.metadata.annotations {
        annotations.retain(|name, _| name == names::SELECTED_ANNOTATION);
    }
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
