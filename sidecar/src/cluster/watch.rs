//! Following one resource by its name, for ever. Objects are handed on unparsed, so that one which a newer version wrote
//! breaks no watch.

use std::pin::pin;

use futures_util::StreamExt as _;
use kube::api::{ApiResource, DynamicObject};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Resource};

use super::backoff::Backoff;
use super::client::reason;
use crate::trouble::Trouble;

/// Seconds after which a watch begins again: a connection that died silently is noticed soon after.
const WATCH_SECONDS: u32 = 120;

/// Hands on a resource whenever it changes; says what is in the way.
pub(super) async fn follow<K: Resource<DynamicType = ()>>(
    client: Client,
    namespace: &str,
    name: &str,
    mut trouble: Trouble,
    mut adopt: impl FnMut(&DynamicObject),
) {
    let resource = ApiResource::erase::<K>(&());
    let api = Api::<DynamicObject>::namespaced_with(client, namespace, &resource);
    let config = watcher::Config::default()
        .fields(&format!("metadata.name={name}"))
        .timeout(WATCH_SECONDS);
    let mut events = pin!(watcher(api, config));
    let (mut backoff, mut seen) = (Backoff::default(), false);
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => seen = false,
            Ok(Event::InitApply(object) | Event::Apply(object)) => {
                seen = true;
                trouble.over();
                backoff.reset();
                adopt(&object);
            }
            Ok(Event::InitDone) => {
                backoff.reset();
                if !seen {
                    trouble.is("it does not exist");
                }
            }
            Ok(Event::Delete(_)) => trouble.is("it was deleted"),
            Err(error) => {
                trouble.is(&watch_reason(&error));
                // The stream would go on at once.
                tokio::time::sleep(backoff.next()).await;
            }
        }
    }
}

/// Why, in words that stay the same while the reason does.
fn watch_reason(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => reason(error),
        watcher::Error::WatchError(status) => format!("{} ({})", status.message, status.code),
        watcher::Error::NoResourceVersion => error.to_string(),
    }
}
