//! Strands that this replica gave away a moment ago: its cache may not know yet, and two pods must not want one.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use boboyka_crds::BoboykaStrand;
use kube::ResourceExt as _;

/// A strand is passed over until the cache knows, at most for so long.
const RECENT: Duration = Duration::from_secs(5);

/// What was given away, by `NAMESPACE/STRAND`.
#[derive(Default)]
pub(super) struct Given(Mutex<HashMap<String, Gift>>);

#[derive(Clone, Copy)]
struct Gift {
    since: Instant,
    /// The version of its resource then; the cache knows better once it has this one. `u64::MAX` until it is written.
    version: u64,
}

impl Given {
    /// Begins to give a strand away; false when that is being done already.
    pub(super) fn begin(&self, key: &str) -> bool {
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        recent.retain(|_, given| given.since.elapsed() < RECENT);
        if recent
            .get(key)
            .is_some_and(|given| given.version == u64::MAX)
        {
            return false;
        }
        let given = Gift {
            since: Instant::now(),
            version: u64::MAX,
        };
        recent.insert(key.to_owned(), given);
        true
    }

    /// Notes what came of it: the version of the resource that was written, or nothing.
    pub(super) fn end(&self, key: String, version: Option<u64>) {
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match version {
            Some(version) => {
                let since = Instant::now();
                recent.insert(key, Gift { since, version });
            }
            None => drop(recent.remove(&key)),
        }
    }

    /// Strands that were given away here, of which the cache does not know yet.
    pub(super) fn not_yet_known(
        &self,
        namespace: &str,
        strands: &[Arc<BoboykaStrand>],
    ) -> HashSet<String> {
        let recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let given = recent
            .iter()
            .filter(|(_, given)| given.since.elapsed() < RECENT);
        let given = given.filter_map(|(key, given)| {
            let name = key.strip_prefix(namespace)?.strip_prefix('/')?;
            let cached = strands.iter().find(|strand| strand.name_any() == name);
            cached
                .is_none_or(|strand| version(strand) < given.version)
                .then(|| name.to_owned())
        });
        given.collect()
    }
}

/// The version of a strand's resource, which the API server lets its clients compare.
pub(super) fn version(strand: &BoboykaStrand) -> u64 {
    strand
        .resource_version()
        .and_then(|version| version.parse().ok())
        .unwrap_or_default()
}
