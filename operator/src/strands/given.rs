//! Strands that this replica gave away a moment ago: its cache may not know yet, and two pods must not get one strand.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use boboyka_crds::BoboykaStrand;
use kube::ResourceExt as _;

/// A strand is passed over until the cache knows, for this long at most.
const RECENT: Duration = Duration::from_secs(5);

/// Strands that were given away, by `NAMESPACE/STRAND`.
#[derive(Default)]
pub(super) struct Given(Mutex<HashMap<String, Gift>>);

#[derive(Clone, Copy)]
struct Gift {
    since: Instant,
    /// The resource version that was written; a cache that has this version knows. `u64::MAX` until it is written.
    version: u64,
}

/// One strand while it is given away. Dropping it says that nothing came of it, also where a review ran out of time.
pub(super) struct Giving<'a> {
    given: &'a Given,
    key: String,
    written: Option<u64>,
}

impl Given {
    /// Begins to give a strand away; `None` while another call gives the same strand.
    pub(super) fn begin(&self, key: String) -> Option<Giving<'_>> {
        let mut recent = self.lock();
        recent.retain(|_, gift| gift.since.elapsed() < RECENT);
        if recent
            .get(&key)
            .is_some_and(|gift| gift.version == u64::MAX)
        {
            return None;
        }
        recent.insert(key.clone(), Gift::of(u64::MAX));
        Some(Giving {
            given: self,
            key,
            written: None,
        })
    }

    /// Strands of a namespace that were given away here, which the cached `strands` do not show yet.
    pub(super) fn not_yet_known(
        &self,
        namespace: &str,
        strands: &[Arc<BoboykaStrand>],
    ) -> HashSet<String> {
        let recent = self.lock();
        let given = recent
            .iter()
            .filter(|(_, gift)| gift.since.elapsed() < RECENT);
        let given = given.filter_map(|(key, gift)| {
            let name = key.strip_prefix(namespace)?.strip_prefix('/')?;
            let cached = strands
                .iter()
                .find(|strand| strand.metadata.name.as_deref() == Some(name));
            cached
                .is_none_or(|strand| version(strand) < gift.version)
                .then(|| name.to_owned())
        });
        given.collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Gift>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gift {
    fn of(version: u64) -> Self {
        Self {
            since: Instant::now(),
            version,
        }
    }
}

impl Giving<'_> {
    /// Notes the strand as it was written.
    pub(super) fn end(mut self, written: &BoboykaStrand) {
        self.written = Some(version(written));
    }
}

impl Drop for Giving<'_> {
    fn drop(&mut self) {
        let key = std::mem::take(&mut self.key);
        let mut recent = self.given.lock();
        match self.written {
            Some(version) => drop(recent.insert(key, Gift::of(version))),
            None => drop(recent.remove(&key)),
        }
    }
}

/// The version of a strand's resource, which the API server lets its clients compare.
fn version(strand: &BoboykaStrand) -> u64 {
    strand
        .resource_version()
        .and_then(|version| version.parse().ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use boboyka_crds::BoboykaStrandSpec;

    use super::*;

    fn at_version(version: &str) -> BoboykaStrand {
        let mut strand = BoboykaStrand::new("i-0", BoboykaStrandSpec::default());
        strand.metadata.resource_version = Some(version.to_owned());
        strand
    }

    #[test]
    fn a_strand_is_passed_over_until_the_cache_has_what_was_written() {
        let given = Given::default();
        let begin = || given.begin("n/i-0".to_owned());
        let giving = begin().unwrap();
        assert!(begin().is_none(), "another call gives it");
        let cached = |version| vec![Arc::new(at_version(version))];
        let unknown = HashSet::from(["i-0".to_owned()]);
        assert_eq!(given.not_yet_known("n", &cached("7")), unknown);
        giving.end(&at_version("9"));
        assert_eq!(given.not_yet_known("n", &cached("8")), unknown);
        assert_eq!(given.not_yet_known("n", &[]), unknown);
        assert_eq!(given.not_yet_known("other", &[]), HashSet::new());
        assert_eq!(given.not_yet_known("n", &cached("9")), HashSet::new());
        drop(begin().unwrap());
        assert_eq!(given.not_yet_known("n", &[]), HashSet::new());
        assert!(begin().is_some(), "a call that was given up keeps nothing");
    }
}
