//! Watches that fill the caches: each kind is listed in pages, then followed, and retried for ever.

use std::fmt::Debug;
use std::future::ready;
use std::hash::Hash;

use boboyka_crds::names;
use futures_util::{Stream, StreamExt as _};
use k8s_openapi::{ClusterResourceScope, NamespaceResourceScope};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::reflector::{self, Store};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;

use super::kept::{Changed, Kept};
use super::kinds::Meta;
use crate::backoff::Waits;
use crate::causes::causes;

/// Objects per page when a kind is listed. What is kept of a page lies between what is freed, so large pages leave large
/// holes in memory.
const PAGE: u32 = 50;

/// A scope to watch: one namespace, or all.
#[derive(Clone)]
pub(crate) struct Scope {
    client: Client,
    namespace: Option<String>,
}

impl Scope {
    /// One namespace, or all.
    pub(crate) fn new(client: Client, namespace: Option<String>) -> Self {
        Self { client, namespace }
    }

    /// A kind whose objects lie in namespaces.
    pub(super) fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        match &self.namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        }
    }

    /// A kind whose objects lie in no namespace; `None` when only one namespace is to be read.
    pub(super) fn cluster_api<K>(&self) -> Option<Api<K>>
    where
        K: Resource<Scope = ClusterResourceScope>,
        K::DynamicType: Default,
    {
        self.namespace
            .is_none()
            .then(|| Api::all(self.client.clone()))
    }
}

/// Lists in pages.
pub(super) fn in_pages(config: watcher::Config) -> watcher::Config {
    config.page_size(PAGE)
}

/// Watches a kind into a store. `slim` drops what nobody reads; `changed` is called for every object that changed.
pub(super) fn keep<K>(
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
    let events = watched(watcher(scope.api::<K>(), in_pages(config)), || {});
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

/// Watches a kind and keeps what `read` makes of it. `changed` is called for every change, with the namespace.
pub(super) fn keep_read<K, T>(
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
    let events = watched(watcher(scope.api::<K>(), in_pages(config)), || {});
    fill(&kept, events, tasks, read, changed);
    kept
}

/// Fills `kept` with what `read` makes of the objects of a watch.
pub(super) fn fill<K, T>(
    kept: &Kept<T>,
    events: impl Stream<Item = Event<K>> + Send + 'static,
    tasks: &mut JoinSet<()>,
    read: impl Fn(K) -> Option<T> + Send + 'static,
    changed: impl Fn(Changed<T>, &str) + Send + 'static,
) where
    K: Resource + Send + 'static,
    T: Send + Sync + 'static,
{
    let follower = kept.clone();
    tasks.spawn(events.for_each(move |event| {
        for (namespace, change) in follower.follow(event, &read) {
            changed(change, &namespace);
        }
        ready(())
    }));
}

/// The events of a kind's watch, for ever, without the managed fields. `failed` is called whenever the watch fails.
pub(super) fn watched<K>(
    events: impl Stream<Item = watcher::Result<Event<K>>>,
    failed: impl Fn(),
) -> impl Stream<Item = Event<K>>
where
    K: Resource,
    K::DynamicType: Default,
{
    let kind = K::kind(&K::DynamicType::default()).into_owned();
    let mut failing = false;
    let events = events.backoff(Waits::of_watch());
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
                // Logged once: the watch is retried until it holds.
                if !failing {
                    let error = causes(&error);
                    tracing::warn!(kind, error, "could not watch {kind}; retrying");
                }
                failing = true;
                failed();
                None
            }
        })
    })
}

/// Keeps what is read of claims and jobs: our own labels and annotations.
pub(super) fn slim_meta(meta: &mut kube::core::ObjectMeta) {
    let ours = |name: &String, _: &mut String| name.starts_with(names::GROUP);
    if let Some(labels) = &mut meta.labels {
        labels.retain(ours);
    }
    if let Some(annotations) = &mut meta.annotations {
        annotations.retain(ours);
    }
}

/// Keeps what is read of workloads: all labels, because selectors choose by them, and one annotation.
pub(super) fn slim_workload<K>(one: &mut Meta<K>) {
    one.types = None;
    one.metadata.owner_references = None;
    if let Some(annotations) = &mut one.metadata.annotations {
        annotations.retain(|name, _| name == names::SELECTED_ANNOTATION);
    }
}
