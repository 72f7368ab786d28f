//! A `ConfigMap` of the memory as it was read, with an index for monitors: an answer to one must not cost a look at every log.

use std::collections::{BTreeMap, HashMap};

use k8s_openapi::api::core::v1::ConfigMap;
use tokio::time::Instant;
use uuid::Uuid;

use crate::witness::memory::{Cosigned, Memory};
use crate::witness::origin::Origin;

/// What was read, and what was written since.
pub(super) struct Read {
    pub(super) at: Instant,
    /// `None` while the `ConfigMap` does not exist.
    pub(super) version: Option<String>,
    pub(super) memories: BTreeMap<Uuid, Memory>,
    /// The logs by the paths at which monitors ask for them.
    paths: HashMap<String, Origin>,
    /// Keys whose values mean nothing to this version; nothing is written to them.
    pub(super) unreadable: Vec<String>,
    /// What the data takes.
    pub(super) bytes: usize,
}

impl Read {
    /// What is there; an absent `ConfigMap` remembers nothing.
    pub(super) fn of(at: Instant, found: Option<ConfigMap>) -> Self {
        let mut read = Self {
            at,
            version: None,
            memories: BTreeMap::new(),
            paths: HashMap::new(),
            unreadable: Vec::new(),
            bytes: 0,
        };
        let Some(found) = found else { return read };
        read.version = found.metadata.resource_version;
        for (key, value) in found.data.unwrap_or_default() {
            let strand: Option<Uuid> = key.parse().ok();
            let memory = strand.and_then(|strand| Some((strand, Memory::read(strand, &value)?)));
            if let Some((strand, memory)) = memory {
                read.learn(strand, memory);
            } else {
                read.bytes += key.len() + value.len();
                read.unreadable.push(key);
            }
        }
        read
    }

    /// What was cosigned of the log at the path of a monitor.
    pub(super) fn at_path(&self, path: &str) -> Option<&Cosigned> {
        let origin = self.paths.get(path)?;
        self.memories.get(&origin.strand)?.of(*origin)
    }

    /// Remembers this of a strand, and nothing else.
    pub(super) fn learn(&mut self, strand: Uuid, memory: Memory) {
        self.forget(strand);
        self.bytes += bytes(strand, &memory);
        let paths = memory.0.iter().map(|one| (one.path(), one.origin));
        self.paths.extend(paths);
        self.memories.insert(strand, memory);
    }

    /// Forgets a strand.
    pub(super) fn forget(&mut self, strand: Uuid) {
        let Some(memory) = self.memories.remove(&strand) else {
            return;
        };
        self.bytes -= bytes(strand, &memory);
        for one in &memory.0 {
            self.paths.remove(&one.path());
        }
    }
}

fn bytes(strand: Uuid, memory: &Memory) -> usize {
    strand.to_string().len() + memory.text().len()
}
