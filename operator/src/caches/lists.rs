//! The lists of legacy projects that are in `ConfigMap`s, kept by one watch for each name of a ConfigMap that the operator may
//! read: its role permits no others.
//!
//! What the roles don't permit is not waited for: the list in force stays, and the condition says so.

use std::collections::BTreeMap;
use std::sync::Arc;

use boboyka_crds::{ConfigMapKeyReference, WrongNames, names_in};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::watcher::{Config, watcher};
use tokio::sync::watch::Sender;
use tokio::task::JoinSet;

use super::kept::Kept;
use super::watch::{Scope, fill, in_pages, watched};

/// Why there is no list of names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unread {
    /// The operator reads no `ConfigMap`s of this name.
    #[error(
        "the operator reads no ConfigMap {name}: use one of the names in the value legacyProjects.configMaps of its chart, which are {}",
        some(.known)
    )]
    NotOurs {
        /// The name.
        name: String,
        /// The names that it reads.
        known: Vec<String>,
    },
    /// The API server has not let them be listed.
    #[error(
        "the operator can't read ConfigMap {0}: it lacks the permission, or the API server does not answer"
    )]
    Refused(String),
    /// There is no such ConfigMap.
    #[error("there is no ConfigMap {0} in this namespace")]
    Missing(String),
    /// It has no such key.
    #[error("ConfigMap {name} has no key {key}")]
    NoKey {
        /// Its name.
        name: String,
        /// The key.
        key: String,
    },
    /// The value is no list.
    #[error("{from}: {wrong}")]
    Wrong {
        /// Where it is.
        from: ConfigMapKeyReference,
        /// What is wrong with it.
        wrong: WrongNames,
    },
}

fn some(known: &[String]) -> String {
    if known.is_empty() {
        return "none".to_owned();
    }
    known.join(", ")
}

/// The `ConfigMap`s. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Lists(Arc<BTreeMap<String, Named>>);

/// The `ConfigMap`s of one name.
struct Named {
    maps: Kept<BTreeMap<String, String>>,
    refused: Sender<bool>,
}

impl Lists {
    /// Starts the watches. `changed` is called with the namespace and the name of a ConfigMap that changed.
    pub(super) fn start(
        scope: &Scope,
        names: &[String],
        tasks: &mut JoinSet<()>,
        changed: impl Fn(&str, &str) + Clone + Send + 'static,
    ) -> Self {
        let lists = names.iter().filter(|name| !name.is_empty()).map(|name| {
            let one = Named {
                maps: Kept::default(),
                refused: Sender::new(false),
            };
            let config = in_pages(Config::default()).fields(&format!("metadata.name={name}"));
            let refused = one.refused.clone();
            let events = watched(watcher(scope.api::<ConfigMap>(), config), move || {
                refused.send_replace(true);
            });
            let (changed, of) = (changed.clone(), name.clone());
            let changed = move |_, namespace: &str| changed(namespace, &of);
            fill(
                &one.maps,
                events,
                tasks,
                |map| Some(map.data.unwrap_or_default()),
                changed,
            );
            (name.clone(), one)
        });
        Self(Arc::new(lists.collect()))
    }

    /// Waits until all have been listed, or the API server did not let them be listed.
    pub(super) async fn wait_until_answered(&self) {
        for named in self.0.values() {
            let mut refused = named.refused.subscribe();
            tokio::select! {
                () = named.maps.wait_until_listed() => {}
                // The sender is behind `self`.
                _ = refused.wait_for(|refused| *refused) => {}
            }
        }
    }

    /// The names that a key of a ConfigMap of a namespace has.
    ///
    /// # Errors
    /// Why there is no list.
    pub(crate) fn names(
        &self,
        namespace: &str,
        from: &ConfigMapKeyReference,
    ) -> Result<Vec<String>, Unread> {
        let name = || from.name.clone();
        let named = self.0.get(&from.name).ok_or_else(|| Unread::NotOurs {
            name: name(),
            known: self.0.keys().cloned().collect(),
        })?;
        if !named.maps.is_listed() {
            return Err(Unread::Refused(name()));
        }
        let map = named.maps.get(namespace, &from.name);
        let map = map.ok_or_else(|| Unread::Missing(name()))?;
        let value = map.get(&from.key).ok_or_else(|| Unread::NoKey {
            name: name(),
            key: from.key.clone(),
        })?;
        names_in(value).map_err(|wrong| Unread::Wrong {
            from: from.clone(),
            wrong,
        })
    }
}

#[cfg(test)]
mod tests {
    use kube::runtime::watcher::Event;

    use super::*;

    fn reference(name: &str, key: &str) -> ConfigMapKeyReference {
        ConfigMapKeyReference {
            name: name.to_owned(),
            key: key.to_owned(),
        }
    }

    fn map(namespace: &str, key: &str, value: &str) -> ConfigMap {
        let mut map = ConfigMap::default();
        map.metadata.namespace = Some(namespace.to_owned());
        map.metadata.name = Some("lists".to_owned());
        map.data = Some([(key.to_owned(), value.to_owned())].into());
        map
    }

    /// What the watch of the `ConfigMap`s `lists` tells.
    fn lists(events: impl IntoIterator<Item = Event<ConfigMap>>) -> Lists {
        let named = Named {
            maps: Kept::default(),
            refused: Sender::new(false),
        };
        for event in events {
            named.maps.follow(event, |map| map.data);
        }
        Lists(Arc::new([("lists".to_owned(), named)].into()))
    }

    #[test]
    fn the_names_are_those_of_the_key_in_the_namespace() {
        let told = [
            Event::Init,
            Event::InitApply(map("one", "names", "a\nb\n")),
            Event::InitApply(map("two", "names", "c\n")),
            Event::InitDone,
        ];
        let lists = lists(told);
        let names = lists.names("one", &reference("lists", "names"));
        assert_eq!(names.unwrap(), ["a", "b"]);
    }

    #[test]
    fn why_there_is_no_list_names_the_config_map_and_what_to_do() {
        let told = || {
            [
                Event::Init,
                Event::InitApply(map("one", "names", "a\nb\u{1}\n")),
                Event::InitDone,
            ]
        };
        let read = lists(told());
        for (namespace, name, key, why) in [
            (
                "one",
                "other",
                "names",
                "the operator reads no ConfigMap other: use one of the names in the value legacyProjects.configMaps of its chart, which are lists",
            ),
            (
                "two",
                "lists",
                "names",
                "there is no ConfigMap lists in this namespace",
            ),
            ("one", "lists", "none", "ConfigMap lists has no key none"),
            (
                "one",
                "lists",
                "names",
                "key names of ConfigMap lists: line 2: must be a name of 1 to 256 characters without control characters",
            ),
        ] {
            let unread = read.names(namespace, &reference(name, key)).unwrap_err();
            assert_eq!(unread.to_string(), why);
        }
        let unheard = lists([Event::Init]).names("one", &reference("lists", "names"));
        assert!(
            unheard
                .unwrap_err()
                .to_string()
                .contains("lacks the permission")
        );
        let none = Lists::default().names("one", &reference("lists", "names"));
        assert!(none.unwrap_err().to_string().ends_with("which are none"));
    }

    #[tokio::test]
    async fn what_the_api_server_refuses_is_not_waited_for() {
        let lists = lists([]);
        lists.0["lists"].refused.send_replace(true);
        lists.wait_until_answered().await;
    }
}
