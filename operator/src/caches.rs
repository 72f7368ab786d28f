//! What every replica knows of the cluster, kept by watches: integrations and strands whole, everything else by its
//! metadata alone. Admission answers from here, and the controller observes from here.
//!
//! An object that this version can't read is kept as that, with the reason, and breaks no watch.

mod changes;

use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use boboyka_crds::{BoboykaIntegration, BoboykaStrand, names};
use futures_util::{Stream, StreamExt as _};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, watcher as watch};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;

pub use changes::{Changes, Touched};

/// An integration, or why it can't be read.
pub type GuardedIntegration = DeserializeGuard<BoboykaIntegration>;
/// The metadata of an object.
pub type Meta<K> = PartialObjectMeta<K>;

/// Pods that have come to their end look deleted: what they held is free.
const LIVE_PODS: &str = "status.phase!=Succeeded,status.phase!=Failed";

/// What is known of the cluster. Cheap to clone.
#[derive(Clone)]
pub struct Caches {
    /// All integrations.
    pub integrations: Store<GuardedIntegration>,
    /// All strands.
    pub strands: Store<DeserializeGuard<BoboykaStrand>>,
    /// Labelled pods that have not come to their end.
    pub pods: Store<Meta<Pod>>,
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

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    There,
    Gone,
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
        let touch = |touched: fn(&Changes, Touched)| {
            let changes = changes.clone();
            move |reference| touched(&changes, reference)
        };
        let caches = Self {
            integrations: keep(scope, plain(), tasks, |_| {}, {
                let touch = touch(Changes::now);
                move |one: &GuardedIntegration, _| touch(own(one))
            }),
            strands: keep(scope, plain(), tasks, |_| {}, {
                let touch = touch(Changes::soon);
                move |one: &DeserializeGuard<BoboykaStrand>, _| {
                    if let Ok(strand) = &one.0 {
                        touch(of(strand, &strand.spec.integration));
                    }
                }
            }),
            pods: keep(
                scope,
                labelled(names::INTEGRATION_LABEL).fields(LIVE_PODS),
                tasks,
                slim_pod,
                {
                    let touch = touch(Changes::now);
                    let changes = changes.clone();
                    move |one: &Meta<Pod>, change| {
                        if change == Change::Gone {
                            changes.note_gone(&one.metadata);
                        }
                        touch(labelled_with(one));
                    }
                },
            ),
            claims: keep(scope, labelled(names::STRAND_LABEL), tasks, slim, {
                let touch = touch(Changes::now);
                move |one: &Meta<PersistentVolumeClaim>, _| touch(labelled_with(one))
            }),
            drains: keep(
                scope,
                labelled(names::DRAIN_LABEL),
                tasks,
                |job: &mut Job| slim_meta(&mut job.metadata),
                {
                    let touch = touch(Changes::now);
                    move |one: &Job, _| touch(labelled_with(one))
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
            self.strands.wait_until_ready(),
            self.pods.wait_until_ready(),
            self.claims.wait_until_ready(),
            self.drains.wait_until_ready(),
            workloads.deployments.wait_until_ready(),
            workloads.stateful_sets.wait_until_ready(),
            workloads.daemon_sets.wait_until_ready(),
            workloads.cron_jobs.wait_until_ready(),
        );
        self.synced.store(true, Ordering::Relaxed);
    }

    /// An integration's strands that this version can read.
    pub fn strands_of(&self, namespace: &str, integration: &str) -> Vec<Arc<BoboykaStrand>> {
        let all = self.strands.state_filter(|one| {
            one.0.as_ref().is_ok_and(|strand| {
                strand.spec.integration == integration
                    && strand.metadata.namespace.as_deref() == Some(namespace)
            })
        });
        let strands = all.iter().filter_map(|one| one.0.as_ref().ok());
        strands.map(|strand| Arc::new(strand.clone())).collect()
    }
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
        move |one: &Meta<K>, _| {
            changes.workload(one.metadata.namespace.clone().unwrap_or_default());
        },
    )
}

/// Watches a kind into a store. `slim` drops what nobody reads; `changed` hears of every object that changed.
fn keep<K>(
    scope: &Scope,
    config: watcher::Config,
    tasks: &mut JoinSet<()>,
    slim: impl Fn(&mut K) + Send + Sync + 'static,
    changed: impl Fn(&K, Change) + Send + Sync + 'static,
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
    let (store, writer) = reflector::store::<K>();
    let events = watch(scope.api::<K>(), config)
        .default_backoff()
        .map(move |event| {
            event.map(|event| match event {
                Event::Apply(one) => Event::Apply(slimmed(one, &slim)),
                Event::InitApply(one) => Event::InitApply(slimmed(one, &slim)),
                other @ (Event::Delete(_) | Event::Init | Event::InitDone) => other,
            })
        })
        .reflect(writer);
    tasks.spawn(follow(events, changed));
    store
}

async fn follow<K: Resource>(
    events: impl Stream<Item = watcher::Result<Event<K>>>,
    changed: impl Fn(&K, Change),
) where
    K::DynamicType: Default,
{
    let kind = K::kind(&K::DynamicType::default()).into_owned();
    let mut failing = false;
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Apply(one) | Event::InitApply(one)) => changed(&one, Change::There),
            Ok(Event::Delete(one)) => changed(&one, Change::Gone),
            Ok(Event::InitDone) => failing = false,
            // Said once: the watch is tried again until it holds.
            Err(error) if !failing => {
                failing = true;
                let error = &error as &dyn std::error::Error;
                tracing::warn!(kind, error, "the watch on {kind} failed and is tried again");
            }
            Ok(Event::Init) | Err(_) => {}
        }
    }
}

fn slimmed<K>(mut one: K, slim: &impl Fn(&mut K)) -> K
where
    K: Resource,
{
    one.meta_mut().managed_fields = None;
    slim(&mut one);
    one
}

/// Pods are the many: what tells who made them goes too.
fn slim_pod(pod: &mut Meta<Pod>) {
    slim(pod);
    pod.metadata.owner_references = None;
    pod.metadata.generate_name = None;
    pod.metadata.finalizers = None;
}

/// Of pods and claims only our own labels and annotations are read.
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
    of(one, &one.name_any())
}

fn of<K: Resource>(one: &K, integration: &str) -> Touched {
    ObjectRef::new(integration).within(&one.namespace().unwrap_or_default())
}

fn labelled_with<K: Resource>(one: &K) -> Touched {
    let label = one.labels().get(names::INTEGRATION_LABEL);
    of(one, label.map_or("", String::as_str))
}
