//! One `ConfigMap` of the memory as it was read last, and writes with that version as their condition.

mod read;

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use super::memory::{Cosigned, Memory};
use crate::causes::causes;
use crate::writes::{is_conflict, is_outdated, merge_parameters};
use read::Read;

/// What all names of these `ConfigMap`s begin with; a hexadecimal digit follows.
const NAME: &str = "boboyka-operator-witness-";
/// An API server takes this long at most: whoever asks waits ten seconds.
const REQUEST_MAX: Duration = Duration::from_secs(3);
/// A `ConfigMap` may have a MiB.
const BYTES_MAX: usize = 900_000;
/// One incarnation takes this much at most, with the key of its strand.
const LOG_BYTES_MAX: usize = 320;

/// One `ConfigMap`.
pub(super) struct Map {
    api: Api<ConfigMap>,
    name: String,
    read: Option<Read>,
}

/// How a write ended.
pub(super) enum Written {
    Done,
    /// Another replica wrote first.
    Outdated,
}

impl Map {
    pub(super) fn new(client: Client, namespace: &str, number: u8) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            name: format!("{NAME}{number:x}"),
            read: None,
        }
    }

    /// What is remembered of a strand.
    ///
    /// # Errors
    /// Nothing was read yet, or the value can't be read.
    pub(super) fn memory(&self, strand: Uuid) -> Result<Option<&Memory>, String> {
        let read = self.read.as_ref();
        let read = read.ok_or_else(|| format!("ConfigMap {} was not read yet", self.name))?;
        let name = strand.to_string();
        if read.unreadable.contains(&name) {
            return Err(format!(
                "what ConfigMap {} says of strand {name} can't be read: restore it",
                self.name
            ));
        }
        Ok(read.memories.get(&strand))
    }

    /// All strands.
    pub(super) fn strands(&self) -> impl Iterator<Item = (&Uuid, &Memory)> {
        self.read.iter().flat_map(|read| &read.memories)
    }

    /// What was cosigned of the log at the path of a monitor.
    pub(super) fn at_path(&self, path: &str) -> Option<&Cosigned> {
        self.read.as_ref()?.at_path(path)
    }

    /// Whether this many logs more can be remembered, beside those that are.
    ///
    /// # Errors
    /// They can't.
    pub(super) fn room_for(&self, more: usize) -> Result<(), String> {
        let bytes = self.read.as_ref().map_or(0, |read| read.bytes);
        if bytes + more * LOG_BYTES_MAX > BYTES_MAX {
            return Err(format!("ConfigMap {} has no room for more logs", self.name));
        }
        Ok(())
    }

    /// Reads the `ConfigMap` unless that was done lately.
    ///
    /// # Errors
    /// It can't be read.
    pub(super) async fn refresh(&mut self, fresh: Duration) -> Result<(), String> {
        let is_fresh = |read: &Read| read.at.elapsed() < fresh;
        if self.read.as_ref().is_some_and(is_fresh) {
            return Ok(());
        }
        let at = Instant::now();
        let found = match timeout(REQUEST_MAX, self.api.get_opt(&self.name)).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => return Err(self.failed("read", &causes(&error))),
            Err(_) => return Err(self.failed("read", "the API server did not answer in time")),
        };
        let version = |found: &ConfigMap| found.metadata.resource_version.clone();
        match &mut self.read {
            Some(read) if found.as_ref().and_then(version) == read.version => read.at = at,
            read => *read = Some(Read::of(at, found)),
        }
        Ok(())
    }

    /// Writes what changed and removes what is forgotten.
    ///
    /// # Errors
    /// It can't be written, or whether it was is unknown; then it is read before anything else.
    pub(super) async fn write(
        &mut self,
        work: &BTreeMap<Uuid, Memory>,
        forgotten: &[Uuid],
    ) -> Result<Written, String> {
        if work.is_empty() {
            return Ok(Written::Done);
        }
        let Some(read) = &self.read else {
            return Ok(Written::Outdated);
        };
        let written = timeout(
            REQUEST_MAX,
            self.send(read.version.as_deref(), work, forgotten),
        );
        match written.await {
            Ok(Ok(version)) => {
                self.adopt(version, work, forgotten);
                Ok(Written::Done)
            }
            Ok(Err(error)) if is_conflict(&error) || is_outdated(&error) => Ok(Written::Outdated),
            Ok(Err(error)) => {
                self.read = None;
                Err(self.failed("write", &causes(&error)))
            }
            Err(_) => {
                self.read = None;
                Err(self.failed("write", "the API server did not answer in time"))
            }
        }
    }

    async fn send(
        &self,
        version: Option<&str>,
        work: &BTreeMap<Uuid, Memory>,
        forgotten: &[Uuid],
    ) -> Result<Option<String>, kube::Error> {
        let values = work
            .iter()
            .map(|(strand, memory)| (strand.to_string(), Value::from(memory.text())));
        let Some(version) = version else {
            let data = values.filter_map(|(key, value)| Some((key, value.as_str()?.to_owned())));
            let mut made = ConfigMap {
                data: Some(data.collect()),
                ..ConfigMap::default()
            };
            made.metadata.name = Some(self.name.clone());
            let made = self.api.create(&PostParams::default(), &made).await?;
            return Ok(made.metadata.resource_version);
        };
        let gone = forgotten
            .iter()
            .map(|strand| (strand.to_string(), Value::Null));
        let data: serde_json::Map<String, Value> = gone.chain(values).collect();
        let change = json!({"metadata": {"resourceVersion": version}, "data": data});
        let (parameters, change) = (merge_parameters(), Patch::Merge(&change));
        let sent = self.api.patch_metadata(&self.name, &parameters, &change);
        Ok(sent.await?.metadata.resource_version)
    }

    fn adopt(
        &mut self,
        version: Option<String>,
        work: &BTreeMap<Uuid, Memory>,
        forgotten: &[Uuid],
    ) {
        let Some(read) = &mut self.read else { return };
        for strand in forgotten {
            read.forget(*strand);
        }
        for (strand, memory) in work {
            read.learn(*strand, memory.clone());
        }
        read.version = version;
        read.at = Instant::now();
    }

    fn failed(&self, what: &str, why: &str) -> String {
        format!("could not {what} ConfigMap {}: {why}", self.name)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::convert::Infallible;

    use axum::http::{Method, Request, Response};
    use boboyka_tlog::TreeHash;
    use kube::client::Body;

    use super::super::memory::tests::{STRAND, cosigned};
    use super::*;

    /// A map whose API server has it in version 7 and answers writes with this status.
    fn map(status: u16) -> Map {
        map_of(status, json!({"nonsense": "x"}))
    }

    /// The same with this data.
    pub(in super::super) fn map_of(status: u16, data: Value) -> Map {
        let service = tower::service_fn(move |request: Request<Body>| {
            let is_read = request.method() == Method::GET;
            let (status, body) = if is_read || status == 200 {
                let found =
                    json!({"metadata": {"name": "m", "resourceVersion": "7"}, "data": data});
                (200, found)
            } else {
                (
                    status,
                    json!({"kind": "Status", "code": status, "message": "no", "reason": "no", "status": "Failure"}),
                )
            };
            let answer = Response::builder().status(status);
            let answer = answer.body(Body::from(body.to_string().into_bytes()));
            std::future::ready(Ok::<_, Infallible>(answer.unwrap()))
        });
        Map::new(Client::new(service, "system"), "system", 3)
    }

    fn work() -> BTreeMap<Uuid, Memory> {
        let memory = Memory(vec![cosigned(1, 5, TreeHash::of_leaf(b"a"))]);
        BTreeMap::from([(STRAND, memory)])
    }

    #[tokio::test]
    async fn a_write_that_may_not_have_happened_is_read_before_anything_is_decided() {
        for (status, outdated) in [(409, true), (500, false), (403, false)] {
            let mut map = map(status);
            assert!(map.memory(STRAND).is_err(), "nothing was read yet");
            map.refresh(Duration::ZERO).await.unwrap();
            assert_eq!(map.memory(STRAND), Ok(None));
            let written = map.write(&work(), &[]).await;
            if outdated {
                assert!(matches!(written, Ok(Written::Outdated)));
                assert_eq!(map.memory(STRAND), Ok(None), "nothing was remembered");
            } else {
                let why = written.err().unwrap();
                assert!(
                    why.contains("could not write ConfigMap boboyka-operator-witness-3"),
                    "{why}"
                );
                assert!(map.memory(STRAND).is_err(), "what is there is unknown");
            }
        }
        let mut map = map(200);
        map.refresh(Duration::ZERO).await.unwrap();
        assert!(matches!(map.write(&work(), &[]).await, Ok(Written::Done)));
        assert_eq!(map.memory(STRAND), Ok(work().get(&STRAND)));
        let shown = &work()[&STRAND].0[0];
        assert_eq!(map.at_path(&shown.path()), Some(shown));
        assert_eq!(map.at_path("another"), None);
    }
}
