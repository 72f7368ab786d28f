//! Objects of one kind by namespace and name, of each only what is read.
//!
//! kube's store keeps whole objects and searches all of them for those of one namespace. Pods and strands are too many for
//! that: every admission asks for them.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use kube::runtime::watcher::Event;
use kube::{Resource, ResourceExt as _};
use tokio::sync::watch;

/// Objects of one kind. Cheap to clone.
pub(crate) struct Kept<T>(Arc<Inner<T>>);

struct Inner<T> {
    state: RwLock<State<T>>,
    listed: watch::Sender<bool>,
}

struct State<T> {
    namespaces: HashMap<String, BTreeMap<Box<str>, Entry<T>>>,
    /// Counts the lists that were begun: objects that the newest list did not have are gone.
    list: u64,
}

struct Entry<T> {
    list: u64,
    one: Arc<T>,
}

/// What an event changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Changed<T> {
    /// It exists, as this.
    There(Arc<T>),
    /// It existed, as this.
    Gone(Arc<T>),
}

impl<T> Clone for Kept<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        let state = State {
            namespaces: HashMap::new(),
            list: 0,
        };
        Self(Arc::new(Inner {
            state: RwLock::new(state),
            listed: watch::Sender::new(false),
        }))
    }
}

impl<T> Kept<T> {
    /// One object.
    pub(crate) fn get(&self, namespace: &str, name: &str) -> Option<Arc<T>> {
        let state = self.read();
        let entry = state.namespaces.get(namespace)?.get(name)?;
        Some(Arc::clone(&entry.one))
    }

    /// The wanted objects of a namespace, by name.
    pub(crate) fn select(&self, namespace: &str, wanted: impl Fn(&T) -> bool) -> Vec<Arc<T>> {
        let state = self.read();
        let entries = state.namespaces.get(namespace).into_iter().flatten();
        let found = entries.filter(|(_, entry)| wanted(&entry.one));
        found.map(|(_, entry)| Arc::clone(&entry.one)).collect()
    }

    /// The first object that is wanted, of all namespaces.
    pub(crate) fn find(&self, mut wanted: impl FnMut(&T) -> bool) -> Option<Arc<T>> {
        let state = self.read();
        let mut entries = state.namespaces.values().flat_map(BTreeMap::values);
        let found = entries.find(|entry| wanted(&entry.one))?;
        Some(Arc::clone(&found.one))
    }

    /// How many objects there are.
    pub(crate) fn count(&self) -> usize {
        self.read().namespaces.values().map(BTreeMap::len).sum()
    }

    /// How many are wanted.
    pub(crate) fn count_if(&self, wanted: impl Fn(&T) -> bool) -> usize {
        let state = self.read();
        let entries = state.namespaces.values().flat_map(BTreeMap::values);
        entries.filter(|entry| wanted(&entry.one)).count()
    }

    /// Whether all objects have been listed once.
    pub(super) fn is_listed(&self) -> bool {
        *self.0.listed.borrow()
    }

    /// Waits until all objects have been listed once.
    pub(crate) async fn wait_until_listed(&self) {
        let mut listed = self.0.listed.subscribe();
        // The sender is behind `self`.
        let _ = listed.wait_for(|listed| *listed).await;
    }

    /// Follows an event of the kind's watch; returns what changed, with its namespace. An object that `read` can't read is
    /// not kept.
    pub(super) fn follow<K: Resource>(
        &self,
        event: Event<K>,
        read: impl FnOnce(K) -> Option<T>,
    ) -> Vec<(String, Changed<T>)> {
        let mut state = self.write();
        match event {
            Event::Init => {
                state.list += 1;
                Vec::new()
            }
            Event::Apply(object) | Event::InitApply(object) => {
                let (namespace, name) = key(&object);
                match read(object).map(Arc::new) {
                    Some(one) => {
                        let entry = Entry {
                            list: state.list,
                            one: Arc::clone(&one),
                        };
                        let of_namespace = state.namespaces.entry(namespace.clone()).or_default();
                        of_namespace.insert(name.into(), entry);
                        vec![(namespace, Changed::There(one))]
                    }
                    None => state.remove(namespace, &name),
                }
            }
            Event::Delete(object) => {
                let (namespace, name) = key(&object);
                state.remove(namespace, &name)
            }
            Event::InitDone => {
                let gone = state.remove_unlisted();
                self.0.listed.send_replace(true);
                gone
            }
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, State<T>> {
        self.0.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State<T>> {
        self.0.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> State<T> {
    fn remove(&mut self, namespace: String, name: &str) -> Vec<(String, Changed<T>)> {
        let Some(of_namespace) = self.namespaces.get_mut(&namespace) else {
            return Vec::new();
        };
        let gone = of_namespace.remove(name);
        if of_namespace.is_empty() {
            self.namespaces.remove(&namespace);
        }
        gone.map(|entry| (namespace, Changed::Gone(entry.one)))
            .into_iter()
            .collect()
    }

    fn remove_unlisted(&mut self) -> Vec<(String, Changed<T>)> {
        let mut gone = Vec::new();
        let list = self.list;
        self.namespaces.retain(|namespace, of_namespace| {
            of_namespace.retain(|_, entry| {
                let there = entry.list == list;
                if !there {
                    gone.push((namespace.clone(), Changed::Gone(Arc::clone(&entry.one))));
                }
                there
            });
            !of_namespace.is_empty()
        });
        gone
    }
}

fn key<K: Resource>(object: &K) -> (String, String) {
    (object.namespace().unwrap_or_default(), object.name_any())
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::core::ObjectMeta;

    use super::*;

    fn object(namespace: &str, name: &str, says: &str) -> ConfigMap {
        ConfigMap {
            metadata: ObjectMeta {
                namespace: Some(namespace.to_owned()),
                name: Some(name.to_owned()),
                ..ObjectMeta::default()
            },
            data: Some([("says".to_owned(), says.to_owned())].into()),
            ..ConfigMap::default()
        }
    }

    fn says(object: ConfigMap) -> Option<String> {
        object.data?.remove("says").filter(|says| !says.is_empty())
    }

    fn gone(namespace: &str, says: &str) -> Vec<(String, Changed<String>)> {
        vec![(
            namespace.to_owned(),
            Changed::Gone(Arc::new(says.to_owned())),
        )]
    }

    /// Two objects, listed.
    fn listed() -> Kept<String> {
        let kept = Kept::default();
        for event in [
            Event::Init,
            Event::InitApply(object("a", "one", "1")),
            Event::InitApply(object("b", "two", "2")),
            Event::InitDone,
        ] {
            kept.follow(event, says);
        }
        kept
    }

    #[test]
    fn objects_are_found_in_their_namespace_and_no_other() {
        let kept = listed();
        assert_eq!(kept.get("a", "one").as_deref(), Some(&"1".to_owned()));
        assert_eq!(kept.get("b", "one"), None);
        assert_eq!(kept.select("b", |_| true), [Arc::new("2".to_owned())]);
        assert_eq!(kept.select("b", |one| one == "1"), []);
        assert_eq!((kept.count(), kept.count_if(|one| one == "1")), (2, 1));
    }

    #[test]
    fn a_change_replaces_and_a_deletion_says_what_was_there() {
        let kept = listed();
        let changed = kept.follow(Event::Apply(object("a", "one", "3")), says);
        assert_eq!(
            changed,
            [("a".to_owned(), Changed::There(Arc::new("3".to_owned())))]
        );
        assert_eq!(
            kept.follow(Event::Delete(object("a", "one", "")), says),
            gone("a", "3")
        );
        assert_eq!(kept.follow(Event::Delete(object("a", "one", "")), says), []);
        assert_eq!(kept.count(), 1);
    }

    #[test]
    fn what_a_new_list_does_not_have_is_gone_once_the_list_is_whole() {
        let kept = listed();
        kept.follow(Event::Init, says);
        kept.follow(Event::InitApply(object("b", "two", "2")), says);
        assert_eq!(kept.count(), 2);
        // A list that failed half-way is begun anew.
        kept.follow(Event::Init, says);
        kept.follow(Event::InitApply(object("a", "one", "1")), says);
        assert_eq!(kept.follow(Event::InitDone, says), gone("b", "2"));
        assert_eq!(kept.count(), 1);
    }

    #[test]
    fn what_can_not_be_read_is_not_kept_as_it_was() {
        let kept = listed();
        assert_eq!(
            kept.follow(Event::Apply(object("a", "one", "")), says),
            gone("a", "1")
        );
        assert_eq!(kept.get("a", "one"), None);
    }

    #[tokio::test]
    async fn everybody_who_waits_for_the_first_list_is_woken() {
        let kept = Kept::<String>::default();
        let done = async {
            kept.follow(Event::<ConfigMap>::Init, says);
            tokio::task::yield_now().await;
            kept.follow(Event::<ConfigMap>::InitDone, says);
        };
        tokio::join!(kept.wait_until_listed(), kept.wait_until_listed(), done);
        kept.wait_until_listed().await;
    }
}
